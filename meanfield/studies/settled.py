"""What `compare` makes of its arguments, checked before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meanfield.checks import real, whole
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.manifolds import Torus
from meanfield.particles.plan import check_flow, check_scheme, make_plan, whole_steps
from meanfield.start import Start
from meanfield.studies.gauge import FEWEST, LOOKS, TOO_FEW, no_control, too_long

# A halved step leaves this share of the bias, at the least favourable: bias terms of first order in
# dt for Algorithm 1's step, of second order for the Strang step.
LEFT = {"euler": 0.5, "strang": 0.25}


@dataclass(frozen=True)
class Settled:
    """What `compare` makes of its arguments before anything runs.

    every: time between comparisons; gap: between the states of the mean field that are kept; field: how it is
    solved; without: "none" and why no control is used, empty where one is.
    """

    start: Start
    sizes: tuple[int, ...]
    counts: tuple[int, ...]
    every: float
    gap: float
    field: dict[str, Any]
    without: str


def settled(
    game: Game, flow: Flow, start: Start | None, time: float, particles: Sequence[int],
    replicas: int | Sequence[int] | None, step: float, scheme: str, save_every: float | None, cells: Any,
    engine: str | None, tol: float | None, control: str | bool, seed: int = 0, threads: int | None = None,
    confidence: float = 0.95, **_: Any,
) -> Settled:  # fmt: skip
    """The arguments of `compare` checked, and whether it uses a control; ValueError for control=True without one."""
    check_flow(game, flow, scheme)
    asked = [whole("particles", n) for n in np.atleast_1d(particles)]
    if not asked:
        raise ValueError("particles must hold a number of particles, got none")
    sizes, counts = zip(
        *sorted(dict(zip(asked, _replicas(replicas, asked), strict=True)).items()), strict=True
    )
    if scheme not in LEFT:
        raise ValueError(f"scheme must be one of {', '.join(LEFT)}, got {scheme!r}")
    if not 0 < real("confidence", confidence) < 1:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95, got {confidence!r}")
    # About 20 comparisons, where the particles' steps end.
    twentieth = step * max(
        1, round(real("time", time, 0.0, strict=True) / real("step", step, 0.0, strict=True) / 20)
    )
    every, start = (
        twentieth if save_every is None else save_every,
        Start() if start is None else start,
    )
    for n in sizes:  # the finest run of each: what it refuses is refused before anything runs
        plan = make_plan(
            time=time, step=step / 2, particles=n, seed=seed, scheme=scheme, save_every=every, replica=0, refine=1,
            placement="iid",
        )  # fmt: skip
        check_scheme(game, flow, plan.scheme)
        whole_steps("save_every", every, step, low=1)
        whole_steps("time", time, step)
    if threads is not None:
        whole("threads", threads)
    field = {
        "cells": _labels(game, flow, sizes[-1]) if cells is None else cells,
        "engine": engine,
        "tol": tol,
    }
    if not (control == "auto" or isinstance(control, bool)):
        raise ValueError(f'control must be "auto", True or False, got {control!r}')
    if control is False:
        return Settled(start, sizes, counts, every, every, field, "none")
    gap = LOOKS[scheme] * step
    refused = no_control(game, flow, scheme, control) or (TOO_FEW if max(counts) < FEWEST else "")
    refused = refused or too_long(game, flow, start, time, gap, field)
    if control is True and refused:
        raise ValueError(f"control=True: {refused}")
    return Settled(
        start,
        sizes,
        counts,
        every,
        every if refused else gap,
        field,
        f"none: {refused}" if refused else "",
    )


def _labels(game: Game, flow: Flow, largest: int) -> tuple[int | None, ...] | None:
    """Nodes for a mean field that characteristics carry as atoms.

    N atoms for a density over a length L put a floor of (L/N)^2/12 under W2^2: with N = 10 n^(1/2) it is
    1% of L^2/(12 n), the mean for n independent uniform points.
    """
    if flow.diffuses or flow.responds:
        return None
    enough = max(256, int(np.ceil(10 * np.sqrt(largest))))
    return tuple(enough if isinstance(M, Torus) and M.d == 1 else None for M in game.manifolds)


def _replicas(given: int | Sequence[int] | None, sizes: Sequence[int]) -> tuple[int, ...]:
    """As many as there are sizes, in their order."""
    if given is None:
        return tuple(int(np.clip(400_000 // n, 24, 400)) for n in sizes)
    counts = [given] * len(sizes) if np.ndim(given) == 0 else list(given)  # type: ignore[arg-type]
    if len(counts) != len(sizes):
        raise ValueError(
            f"replicas must be one number or {len(sizes)} (one per particle number), got {given!r}"
        )
    return tuple(whole("replicas", R, 2) for R in counts)
