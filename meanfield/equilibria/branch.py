"""A periodic solution of (7) followed in a parameter, through the folds where two of them meet.

Pseudo-arclength continuation (Keller 1977): the parameter is an unknown like the state and the
period, and a step is as long along the curve. Where its tangent has no part in the parameter, the
curve turns back: a stable and an unstable orbit meet and vanish.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meanfield.checks import Array, allow_underflow, real, whole
from meanfield.equilibria.curve import Curve, Family, Walk
from meanfield.equilibria.orbit import Complex, Orbit
from meanfield.measures import Density
from meanfield.progress import bar
from meanfield.shown import Shown
from meanfield.storage.keeper import Keeper
from meanfield.storage.results import Result


@dataclass(frozen=True, eq=False)
class Branch(Shown, Result):
    """Orbits along a curve in a parameter.

    name: of the parameter. values, periods, sizes (P,): its values, the periods, and by how much
    the densities change over one (the largest distance of coefficients from the first state).
    multipliers (P, k): of each, but that of a shift in time. folds (F, 2): parameter and period
    where the branch turns back, at which the leading multiplier is 1. end: why it ends. x, y: the
    densities of each orbit at its phase zero. state: of an unfinished branch, how to go on.
    """

    name: str
    values: Array
    periods: Array
    sizes: Array
    multipliers: Complex = field(repr=False)
    folds: Array
    end: str
    x: list[Density] = field(repr=False)
    y: list[Density] = field(repr=False)
    state: dict[str, Any] = field(repr=False, default_factory=dict)

    @property
    def stable(self) -> Any:
        """Which of the orbits are stable, (P,)."""
        return (np.abs(self.multipliers) < 1).all(axis=1)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw periods and sizes over the parameter as `meanfield.plotting.plot_branch` does."""
        from meanfield.plotting import plot_branch

        return plot_branch(self, ax, **options)

    def __repr__(self) -> str:
        folds = ", ".join(f"{value:.10g}" for value in self.folds[:, 0]) or "none"
        return (
            f"Branch: {len(self.values)} orbits, {self.name} from {self.values.min():.6g} to "
            f"{self.values.max():.6g}, folds at {folds}; {self.end}"
        )


@allow_underflow
def branch(
    family: Family,
    near: Orbit,
    at: float,
    between: tuple[float, float],
    step: float | None = None,
    points: int = 100,
    folds: int | None = None,
    name: str = "parameter",
    tol: float = 1e-10,
    progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float | None = None,
) -> Branch:
    """The periodic solutions of (7) that an orbit belongs to, as a parameter changes.

    Parameters
    ----------
    family : function of a number
        Gives the pair (game, flow) at a value of the parameter; both may depend on it.
    near : Orbit
        The orbit to begin from, one of `family(at)`.
    at : float
    between : pair of floats
        The branch ends where the parameter leaves this range.
    step : float, optional
        The first step in the parameter, towards the far end when positive; by default a fiftieth of
        the range, towards its nearer end.
    points : int, optional
        The most orbits.
    folds : int, optional
        End at the fold of this number, the first being 1.
    name : str, optional
        What the parameter is called in pictures and tables.
    tol : float, optional
        The residual wanted of each orbit.
    progress : bool, optional
    checkpoint, checkpoint_every : path, seconds, optional
        The file that is kept up to date, from which the same call goes on to the same bits, as in
        `meanfield.simulate`.

    Returns
    -------
    Branch

    Raises
    ------
    NotConverged
        Where not even one further orbit is found.
    """
    low, high = sorted(real("between", b) for b in between)
    at, points = real("at", at), whole("points", points, 2)
    if not low <= at <= high:
        raise ValueError(f"at is {at:g}, outside the range from {low:g} to {high:g}")
    if not isinstance(near, Orbit):
        raise TypeError(f"near must be a meanfield Orbit, got {type(near).__name__}")
    away = (low - at if at - low < high - at else high - at) / 50 if step is None else step
    most = None if folds is None else whole("folds", folds)
    game, flow = family(at)
    options = {"between": (low, high), "step": away, "points": points, "folds": most, "tol": tol}
    job = {"call": "branch", "game": game, "flow": flow, "near": near, "at": at, "name": name}
    curve = Curve(family, near, high - low, real("tol", tol, 0.0, strict=True))
    walk = Walk(curve, (low, high), points, most, name)
    keeper = None
    if checkpoint is not None:
        keeper = Keeper(checkpoint, {**job, "options": options}, checkpoint_every)
        found, finished = keeper.held()
        if finished:
            return found  # type: ignore[no-any-return]
        if found is not None:
            walk.restore(found.state)
    with keeper or nullcontext(), bar(points, f"branch in {name}", progress) as shown:
        if not walk.found:
            walk.begin(at, away)
        shown.update(len(walk.found))
        while not walk.end:
            if keeper is not None:
                keeper.offer(lambda: _gathered(walk))
            before = len(walk.found)
            walk.step()
            shown.update(len(walk.found) - before)
        curve.watch(np.array([point.u for point in walk.found]))
        result = _gathered(walk)
        if keeper is not None:
            keeper.finish(result)
    return result


def _gathered(walk: Walk) -> Branch:
    """The branch so far."""
    curve, points = walk.curve, np.array([point.u for point in walk.found])
    states = [curve.maps(u[-1]).densities(u[:-2]) for u in points]
    turned = np.array([(walk.value(u), u[-2]) for u in walk.folds]).reshape(-1, 2)
    return Branch(
        walk.name, points[:, -1] * curve.unit, points[:, -2], np.array(walk.sizes),
        np.array(walk.multipliers), turned, walk.end or "not finished",
        [x for x, _ in states], [y for _, y in states], {} if walk.end else walk.state(),
    )  # fmt: skip
