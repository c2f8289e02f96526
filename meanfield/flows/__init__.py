"""Flows: rates and temperatures, and the named ones that are made of them."""

from meanfield.flows.base import RATES, Flow, Memory, Number, Rates, Schedule, pair
from meanfield.flows.named import (
    Annealed,
    AveragedLangevin,
    BestResponse,
    DiscountedLangevin,
    EntropicBestResponse,
    EntropicWassersteinFisherRao,
    Langevin,
    MirrorDescent,
    Quasistatic,
    TwoTimeScale,
    Wasserstein,
    WassersteinFisherRao,
)

__all__ = [
    "RATES", "Annealed", "AveragedLangevin", "BestResponse", "DiscountedLangevin",
    "EntropicBestResponse", "EntropicWassersteinFisherRao", "Flow", "Langevin", "Memory",
    "MirrorDescent", "Number", "Quasistatic", "Rates", "Schedule", "TwoTimeScale", "Wasserstein",
    "WassersteinFisherRao", "pair",
]  # fmt: skip
