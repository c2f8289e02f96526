"""Distances between measures and distances from equilibrium. Importing this compiles nothing."""

from meanfield.metrics.energy import free_energy, gibbs_measures, kl, regularised_nikaido_isoda
from meanfield.metrics.nikaido import NikaidoIsoda, NikaidoIsodaError, nikaido_isoda
from meanfield.metrics.w2 import Transport, prepare, w2, w2_details, w2_squared

__all__ = [
    "NikaidoIsoda",
    "NikaidoIsodaError",
    "Transport",
    "free_energy",
    "gibbs_measures",
    "kl",
    "nikaido_isoda",
    "prepare",
    "regularised_nikaido_isoda",
    "w2",
    "w2_details",
    "w2_squared",
]
