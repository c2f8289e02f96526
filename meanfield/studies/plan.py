"""What `compare` makes of its arguments, checked before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from meanfield.checks import Array, as_tuple, automatic, known_name, real, whole
from meanfield.cores import cores
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.manifolds import Torus
from meanfield.needs import NUMBER, PROCESS, WEIGHTS, Needs, of_particles
from meanfield.particles.eigenbasis import spherical
from meanfield.particles.plan import make_plan, whole_steps
from meanfield.particles.schemes import check_flow, check_scheme
from meanfield.schedule import saved_times
from meanfield.start import Start
from meanfield.studies.controls import FEWEST, LOOKS, TOO_FEW, no_control, too_long
from meanfield.studies.reference import REPLICAS, reference_size

# The share of the step's bias that a halved step leaves at worst: it is of first order in dt for
# Algorithm 1's step, of second order for the Strang step.
REMAINING = {"euler": 0.5, "strang": 0.25}


@dataclass(frozen=True)
class Plan:
    """What a comparison runs.

    sizes: numbers of particles; counts: replicas of each. every: time between comparisons; gap:
    between the states of the mean field that are kept; field: options of `solve`. without: why no
    control is used, beginning with "none", or empty where one is. reference: how many particles
    stand for the mean field, None where it is solved.
    """

    start: Start
    sizes: tuple[int, ...]
    counts: tuple[int, ...]
    every: float
    gap: float
    field: dict[str, Any]
    without: str
    reference: int | None = None


def plan(
    game: Game, flow: Flow, start: Start | None, time: float, particles: Sequence[int],
    replicas: int | Sequence[int] | None, step: float, scheme: str, save_every: float | None,
    cells: Any, engine: str | None, tol: float | None, control: str | bool, seed: int = 0,
    threads: int | None = None, confidence: float = 0.95, reference: int | None = None, **_: Any,
) -> Plan:  # fmt: skip
    """The arguments of `compare` checked; ValueError for control=True where there is no control."""
    check_flow(game, flow, scheme)
    start = Start() if start is None else start
    several = particles if isinstance(particles, (tuple, list)) else np.atleast_1d(particles)
    asked = [whole("particles", n) for n in several]
    if not asked:
        raise ValueError("particles must hold a number of particles, got none")
    if twice := [n for n in asked if asked.count(n) > 1]:
        raise ValueError(
            f"particles must hold every number once, but {twice[0]} stands there twice"
        )
    pairs = sorted(dict(zip(asked, _replicas(replicas, asked), strict=True)).items())
    sizes, counts = zip(*pairs, strict=True)
    known_name("scheme", scheme, REMAINING)
    if not 0 < real("confidence", confidence) < 1:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95, got {confidence!r}")
    steps = real("time", time, 0.0, strict=True) / real("step", step, 0.0, strict=True)
    if steps > 2.0**53:
        raise ValueError(f"time must be at most 2^53 steps of {step:g}, got {steps:.3g} of them")
    # About 20 comparisons, where the particles' steps end.
    every = step * max(1, round(steps / 20)) if save_every is None else save_every
    whole_steps("save_every", every, step, low=1)
    whole_steps("time", time, step)
    for n in sizes:  # the finest run of each: what it refuses is refused before anything runs
        finest = make_plan(
            time=time, step=step / 2, particles=n, seed=seed, scheme=scheme, save_every=every,
            replica=0, refine=1, placement="iid",
        )  # fmt: skip
        check_scheme(game, flow, finest.scheme)
    if threads is not None:
        whole("threads", threads)
    automatic("control", control)
    field: dict[str, Any] = {"cells": as_tuple(cells), "engine": engine, "tol": tol}
    N, gap, why = reference_size(game, sizes, reference, field), LOOKS[scheme] * step, ""
    if N:
        field, why = {}, "particles stand for the mean field, and copies have none"
        if control is True:
            raise ValueError(f"control=True: {why}; leave control or reference out")
    elif cells is None:
        field["cells"] = _labels(game, flow, sizes[-1])
    if control is not False and not N:
        why = no_control(game, flow, scheme, control) or (TOO_FEW if max(counts) < FEWEST else "")
        why = why or too_long(game, flow, start, time, gap, field)
        if control is True and why:
            raise ValueError(f"control=True: {why}")
    without = "none" if control is False else f"none: {why}" if why else ""
    return Plan(start, sizes, counts, every, every if without else gap, field, without, N)


def needs(game: Game, flow: Flow, p: Plan, time: float, workers: int | None = None) -> Needs:
    """What a comparison takes: what is compared with, the samples, and a run for each worker."""
    from meanfield.density.choice import needs as of_field

    saves, turned = len(saved_times(time, p.every)), spherical(game)
    run = of_particles(game, flow, (p.sizes[-1],) * 2, saves, turned, False)
    at_once = min(workers or cores(), max(p.counts)) * (1 if p.without else 2)
    samples = NUMBER * 4 * saves * (sum(p.counts) + p.counts[-1])
    if p.reference:
        one = of_particles(game, flow, (p.reference,) * 2, saves, turned, True)
        runs = 1.5 * REPLICAS  # as many again of half as many particles
        field = Needs(PROCESS + runs * (one.memory - PROCESS), runs * one.disk)
    else:
        every = len(saved_times(time, p.gap))
        field = of_field(game, flow, p.start, saves=every, file=True, **p.field)
    memory = field.memory + at_once * (run.memory - PROCESS) + 2 * samples
    memory += WEIGHTS if flow.reacts else 0.0
    return Needs(memory, field.disk + samples)


def _labels(game: Game, flow: Flow, largest: int) -> tuple[int | None, ...] | None:
    """Nodes for a mean field that characteristics carry as atoms.

    N atoms for a density over a length L put a floor of (L/N)^2/12 under W2^2: with N = 10 n^(1/2)
    it is 1% of L^2/(12 n), the mean for n independent uniform points.
    """
    if flow.diffuses or flow.responds:
        return None
    enough = max(256, int(np.ceil(10 * np.sqrt(largest))))
    return tuple(enough if isinstance(M, Torus) and M.d == 1 else None for M in game.manifolds)


def usual_replicas(sizes: ArrayLike) -> Array:
    """As many replicas of each n as make 400,000 particles, but 24 at least and 400 at most."""
    return np.clip(400_000 // np.asarray(sizes), 24, 400)


def _replicas(given: int | Sequence[int] | None, sizes: Sequence[int]) -> tuple[int, ...]:
    """As many as there are sizes, in their order."""
    if given is None:
        return tuple(map(int, usual_replicas(sizes)))
    counts = [given] * len(sizes) if np.ndim(given) == 0 else list(given)  # type: ignore[arg-type]
    if len(counts) != len(sizes):
        raise ValueError(
            f"replicas must be one number or {len(sizes)} (one per particle number), got {given!r}"
        )
    return tuple(whole("replicas", R, 2) for R in counts)
