"""A periodic solution of (7), or a Nash equilibrium of atoms, followed in a parameter.

Pseudo-arclength continuation (Keller 1977): the parameter is an unknown like the others, and a step
is as long along the curve. Where the tangent of a curve of orbits has no part in the parameter, it
turns back: a stable and an unstable orbit meet and vanish. Curves of equilibria do not turn back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from meanfield.checks import Array, allow_underflow, real, whole
from meanfield.equilibria.curve import Curve, Walk
from meanfield.equilibria.nash import Equilibrium
from meanfield.equilibria.nash_branch import NashBranch, NashWalk
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
    family: Callable[[float], Any],
    near: Orbit | Equilibrium,
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
) -> Branch | NashBranch:
    """The periodic solutions of (7), or the Nash equilibria, on a curve in a parameter.

    Equilibria are followed through changes of support, which are located: an atom's weight reaches
    zero and it leaves, or a new best response appears and joins. At some of them the equilibria of
    one parameter are a segment, along which the branch goes. Where an atom splits in two, or two
    of them meet, it ends.

    Parameters
    ----------
    family : function of a number
        Gives the pair (game, flow) at a value of the parameter, both of which may depend on it; for
        equilibria the game alone.
    near : Orbit or Equilibrium
        What to begin from, of `family(at)`.
    at : float
    between : pair of floats
        The branch ends where the parameter leaves this range, with what is found at its end.
    step : float, optional
        The first step in the parameter, towards the far end when positive; by default a fiftieth of
        the range, towards its nearer end.
    points : int, optional
        The most orbits or equilibria.
    folds : int, optional
        End at the fold of this number, the first being 1; orbits alone have folds.
    name : str, optional
        What the parameter is called in pictures and tables.
    tol : float, optional
        The residual wanted of each orbit; equilibria are solved for to rounding.
    progress : bool, optional
    checkpoint, checkpoint_every : path, seconds, optional
        The file that is kept up to date, from which the same call goes on to the same bits, as in
        `meanfield.simulate`.

    Returns
    -------
    Branch or NashBranch

    Raises
    ------
    NotConverged
        Where `near` lies on no curve.
    ValueError
        Where what Newton's method finds of `family(at)` from `near` is no equilibrium.

    Examples
    --------
    Players who pay for their places, and x for a tilt p too: y answers by moving its weight, which
    is used up at p = 2.

    >>> import meanfield as mf
    >>> def family(p):
    ...     text = "cos(2*x) - cos(2*y) + 2*sin(x)*sin(y) + p*sin(x)"
    ...     return mf.games.expression(text, p=p)
    >>> found = mf.branch(family, mf.nash(family(0.5)), 0.5, (0.0, 3.0), name="p", step=0.25)
    >>> print(f"{found.changes[0]:.8f}", found.what[0])
    2.00000000 an atom of y leaves
    """
    if not callable(family):
        raise TypeError(f"family must be a function of the parameter, got {family!r}")
    if np.shape(between) != (2,):
        raise TypeError(f"between must be two numbers, got {between!r}")
    low, high = sorted(real("between", b) for b in between)
    if step is not None and real("step", step) == 0:
        raise ValueError("step must not be 0: its sign says which way the branch begins")
    if folds is not None and isinstance(near, Equilibrium):
        raise ValueError("folds counts those of orbits; equilibria have none: leave it out")
    at, points = real("at", at), whole("points", points, 2)
    if not low <= at <= high:
        raise ValueError(f"at is {at:g}, outside the range from {low:g} to {high:g}")
    if not isinstance(near, (Orbit, Equilibrium)):
        raise TypeError(f"near must be a meanfield Orbit or Equilibrium, got {type(near).__name__}")
    away = (low - at if at - low < high - at else high - at) / 50 if step is None else step
    most = None if folds is None else whole("folds", folds)
    options = {"between": (low, high), "step": away, "points": points, "folds": most, "tol": tol}
    job = {"call": "branch", "near": near, "at": at, "name": name, "options": options}
    walk: Walk | NashWalk
    gathered: Callable[[], Branch | NashBranch]
    if isinstance(near, Orbit):
        job["game"], job["flow"] = family(at)
        curve = Curve(family, near, high - low, real("tol", tol, 0.0, strict=True))
        walk = orbits = Walk(curve, (low, high), points, most, name)
        gathered = partial(_gathered, orbits)
    else:
        job["game"] = family(at)
        walk = equilibria = NashWalk(family, near, (low, high), points, name)
        gathered = equilibria.result
    keeper = None
    if checkpoint is not None:
        keeper = Keeper(checkpoint, job, checkpoint_every)
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
                keeper.offer(gathered)
            before = len(walk.found)
            walk.step()
            shown.update(len(walk.found) - before)
        if isinstance(walk, Walk):
            curve.watch(np.array([point.u for point in walk.found]))
        result = gathered()
        if keeper is not None:
            keeper.finish(result)
    return result


def _gathered(walk: Walk) -> Branch:
    """The branch of orbits so far."""
    curve, points = walk.curve, np.array([point.u for point in walk.found])
    states = [curve.maps(u[-1]).densities(u[:-2]) for u in points]
    turned = np.array([(walk.value(u), u[-2]) for u in walk.folds]).reshape(-1, 2)
    return Branch(
        walk.name, points[:, -1] * curve.unit, points[:, -2], np.array(walk.sizes),
        np.array(walk.multipliers), turned, walk.end or "not finished",
        [x for x, _ in states], [y for _, y in states], {} if walk.end else walk.state(),
    )  # fmt: skip
