"""How far a run is off for its time step: the same run at twice the step, on the same noise.

With normals summed in pairs the longer steps follow the same Brownian paths, so that what differs
is the bias of the step and not chance. At order p the run itself is off by the difference over
2^p - 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from meanfield.checks import Array, warn
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Measure
from meanfield.metrics.w2.distance import w2
from meanfield.particles.plan import Plan
from meanfield.sums import total
from meanfield.trajectory import Trajectory

ROUNDING = 1e-12  # mass
LARGE = 0.1  # share of the particles' spread by which a step may move them without a word


def step_errors(run: Trajectory, plan: Plan, again: Callable[..., Trajectory]) -> dict[str, Array]:
    """The estimated errors of the step at the saves of a run, (S,) each.

    "step_error_value": of the expected loss. "step_error_x", "step_error_y": in W2, on circles that
    of both runs' particles, elsewhere the root mean square distance of each to itself, which is no
    less. NaN at saves that twice the step does not meet.

    again: makes the run with other settings. Warns UnderResolved where the step moves a player by
    more than a tenth of the spread of its particles.
    """
    steps = round(run.times[-1] / plan.step)
    if steps < 2:
        raise ValueError("check_step needs two steps or more")
    settings = {"step": 2 * plan.step, "refine": 2 * plan.refine, "save_every": None}
    every = plan.every if plan.every % 2 == 0 else 2 * plan.every
    settings["save_every"] = min(every, steps - steps % 2) * plan.step
    coarse = again(time=(steps - steps % 2) * plan.step, **settings)
    order = 2 if plan.second_order else 1
    found = {f"step_error_{name}": np.full(len(run), np.nan) for name in ("value", "x", "y")}
    for j, time in enumerate(coarse.times):
        k = int(np.argmin(np.abs(run.times - time)))
        if abs(run.times[k] - time) > 1e-9 * max(1.0, time):
            continue
        off = abs(run.diagnostics["value"][k] - coarse.diagnostics["value"][j]) / (2**order - 1)
        found["step_error_value"][k] = off
        for name in "xy":
            a, b = getattr(run, name)[k], getattr(coarse, name)[j]
            found[f"step_error_{name}"][k] = distance(a, b)
    _tell(run, found, plan)
    return found


def distance(a: Measure, b: Measure) -> float:
    """W2 on circles, elsewhere a bound of it: each particle goes to its own image, and what its
    weight has lost or won goes as far as the manifold allows.
    """
    M = a.manifold
    if M.dim == 1 and isinstance(M, Torus):
        return w2(a, b)
    kept = np.minimum(a.masses, b.masses)
    moved = total(kept, M.distance(a.points, b.points) ** 2)
    changed = 1 - float(kept.sum())  # of a mass of one
    return float(np.sqrt(moved + (changed * diameter(M) ** 2 if changed > ROUNDING else 0.0)))


def diameter(M: Manifold) -> float:
    """The largest distance of two points; infinite where it is not known."""
    if isinstance(M, Torus):
        return M.period / 2 * M.d**0.5
    return np.pi if isinstance(M, Sphere) else np.inf


def spread(mu: Measure) -> float:
    """The root mean square distance between particles, each with one other, half the list away."""
    other = np.roll(np.arange(len(mu)), len(mu) // 2)
    d = mu.manifold.distance(mu.points, mu.points[other])
    return float(np.sqrt(total(mu.masses, d**2)))


def _tell(run: Trajectory, found: dict[str, Array], plan: Plan) -> None:
    for name, measures in (("x", run.x), ("y", run.y)):
        errors = found[f"step_error_{name}"]
        wide = np.array([spread(mu) for mu in measures])
        share: Any = np.where(wide > 0, errors / np.maximum(wide, 1e-300), 0.0)
        if np.nanmax(share) > LARGE:
            k = int(np.nanargmax(share))
            warn(
                f"step = {plan.step:g} is long: at t = {run.times[k]:g} it moves player {name} by "
                f"about {errors[k]:.2g} in W2, {share[k]:.0%} of the spread of its particles; "
                "use a shorter one"
            )
