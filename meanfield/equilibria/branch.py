"""A periodic solution of (7), a Nash equilibrium or a Gibbs point, followed in a parameter.

Pseudo-arclength continuation (Keller 1977): the parameter is an unknown like the others, and a step
is as long along the curve. Where the tangent of a curve of orbits has no part in the parameter, it
turns back: a stable and an unstable orbit meet and vanish. Curves of equilibria do not turn back,
and Gibbs points, one at each parameter, are solved for one after the other.
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
from meanfield.equilibria.atoms import with_weights
from meanfield.equilibria.curve import Curve, Walk
from meanfield.equilibria.gibbs import GibbsPoint
from meanfield.equilibria.gibbs_branch import GibbsBranch, GibbsWalk
from meanfield.equilibria.nash import Equilibrium
from meanfield.equilibria.nash_branch import NashBranch, NashWalk
from meanfield.equilibria.orbit import Complex, Orbit
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.measures import Density
from meanfield.progress import bar
from meanfield.shown import Shown
from meanfield.storage.keeper import Keeper, checked_pause
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
    near: Orbit | Equilibrium | GibbsPoint,
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
) -> Branch | NashBranch | GibbsBranch:
    """The periodic solutions of (7), the Nash equilibria or the Gibbs points (9) along a parameter.

    Equilibria are followed through changes of support, which are located: an atom's weight reaches
    zero and it leaves, or a new best response appears and joins. At some of them the equilibria of
    one parameter are a segment, along which the branch goes. Where an atom splits in two, or two
    of them meet, it ends.

    Gibbs points are unique: steps are equal, halved only where none is found. The twelve leading
    eigenvalues of the flow linearised at each, as `stability` has them, are followed, and Hopf
    points, where a pair of them crosses the imaginary axis, are located; flows without memory have
    none. A pair that crosses and comes back within one step is not seen. On tori, S^1 and S^3 more
    cells are taken where densities of low-rank games ask for them.

    Parameters
    ----------
    family : function of a number
        Gives the pair (game, flow) at a value of the parameter, both of which may depend on it; for
        Nash equilibria the game alone, or a flow with weights too, whose leading eigenvalue at
        each, as of `stability`, is then told.
    near : Orbit, Equilibrium or GibbsPoint
        What to begin from, of `family(at)`. A Gibbs point says on which cells.
    at : float
    between : pair of floats
        The branch ends where the parameter leaves this range, with what is found at its end.
    step : float, optional
        The first step in the parameter, its sign the direction; by default a fiftieth of the way to
        the nearer end of the range, or from an end of it a fiftieth of the range.
    points : int, optional
        The most orbits, equilibria or Gibbs points.
    folds : int, optional
        End at the fold of this number, the first being 1; orbits alone have folds.
    name : str, optional
        What the parameter is called in pictures and tables.
    tol : float, optional
        The residual wanted of each orbit or Gibbs point; equilibria are solved for to rounding.
    progress : bool, optional
    checkpoint, checkpoint_every : path, seconds, optional
        The file that is kept up to date, from which the same call goes on to the same bits, as in
        `meanfield.simulate`.

    Returns
    -------
    Branch, NashBranch or GibbsBranch

    Raises
    ------
    NotConverged
        Where `near` lies on no curve.
    ValueError
        Where what Newton's method finds of `family(at)` from `near` is no equilibrium, and for
        flows that have no spectrum at Gibbs points.

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

    The coupling c of cos(x - y) at which discounted gradients leave the Gibbs point, in closed form
    2 (r + 1/beta) / sqrt(r beta), and how fast they turn there, sqrt(r / beta).

    >>> def coupled(c):
    ...     return mf.games.uniform_equilibrium(c), mf.DiscountedLangevin(beta=1.0, rate=4.0)
    >>> near = mf.gibbs(coupled(4.0)[0], 1.0, cells=32)
    >>> found = mf.branch(coupled, near, 4.0, (4.0, 6.0), step=0.5, name="c")
    >>> print(found.hopf.round(9))
    [[5. 2.]]
    """
    if not callable(family):
        raise TypeError(f"family must be a function of the parameter, got {family!r}")
    if np.shape(between) != (2,):
        raise TypeError(f"between must be two numbers, got {between!r}")
    low, high = sorted(real("between", b) for b in between)
    if step is not None and real("step", step) == 0:
        raise ValueError("step must not be 0: its sign says which way the branch begins")
    if folds is not None and not isinstance(near, Orbit):
        raise ValueError("folds counts those of orbits; equilibria have none: leave it out")
    at, points = real("at", at), whole("points", points, 2)
    checked_pause(checkpoint_every)
    if not low <= at <= high:
        raise ValueError(f"at is {at:g}, outside the range from {low:g} to {high:g}")
    first = _first(family, near, at)
    away = _away(at, low, high) if step is None else step
    family = _alike(family, first)
    most = None if folds is None else whole("folds", folds)
    options = {"between": (low, high), "step": away, "points": points, "folds": most, "tol": tol}
    job = {"call": "branch", "near": near, "at": at, "name": name, "options": options, **first}
    walk: Walk | NashWalk | GibbsWalk
    gathered: Callable[[], Branch | NashBranch | GibbsBranch]
    if isinstance(near, Orbit):
        curve = Curve(family, near, high - low, real("tol", tol, 0.0, strict=True))
        walk = orbits = Walk(curve, (low, high), points, most, name)
        gathered = partial(_gathered, orbits)
    elif isinstance(near, GibbsPoint):
        fine = real("tol", tol, 0.0, strict=True)
        walk = rests = GibbsWalk(family, near, (low, high), points, name, fine)
        gathered = partial(rests.result, first["game"], first["flow"])
    else:
        walk = equilibria = NashWalk(family, near, (low, high), points, name)
        gathered = equilibria.result
    keeper = None
    if checkpoint is not None:
        keeper = Keeper(checkpoint, job, checkpoint_every)
        found, finished = keeper.held()
        if finished:
            return found  # type: ignore[no-any-return]
        if found is not None:
            walk.restore(found)
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


def _first(family: Callable[[float], Any], near: Any, at: float) -> dict[str, Any]:
    """Game and flow where the branch begins; TypeError or ValueError where `near` is not theirs."""
    if not isinstance(near, (Orbit, Equilibrium, GibbsPoint)):
        raise TypeError(
            f"near must be a meanfield Orbit, Equilibrium or GibbsPoint, got {type(near).__name__}"
        )
    given = family(at)
    held = _parts(given)
    alone = isinstance(near, Equilibrium) and len(held) == 1
    if len(held) != 2 - alone:
        wanted = f"a {'game or a ' if isinstance(near, Equilibrium) else ''}pair (game, flow)"
        raise TypeError(
            f"family must give {wanted} where near is of type {type(near).__name__}, got {given!r}"
        )
    pair: Any = (near.x[0], near.y[0]) if isinstance(near, Orbit) else (near.x, near.y)
    x, y = (mu.manifold for mu in pair)
    if (x, y) != held["game"].manifolds:
        X, Y = held["game"].manifolds
        raise ValueError(f"near is on {x} and {y}, but the game of the family is on {X} and {Y}")
    if isinstance(near, Equilibrium) and not alone:
        with_weights(held["flow"])
    return held


def _parts(given: Any) -> dict[str, Any]:
    """The game, or game and flow, that a family gives; nothing where it gives something else."""
    parts, kinds = given if isinstance(given, tuple) else (given,), {"game": Game, "flow": Flow}
    found = dict(zip(kinds, parts, strict=False))
    fits = len(parts) <= 2 and all(isinstance(found[name], kinds[name]) for name in found)
    return found if fits else {}


def _away(at: float, low: float, high: float) -> float:
    """The first step, where none is given."""
    if at in (low, high):
        return (high - low if at == low else low - high) / 50
    return (low - at if at - low < high - at else high - at) / 50


def _alike(family: Callable[[float], Any], first: dict[str, Any]) -> Callable[[float], Any]:
    """The family, whose members are held against that where the branch begins."""

    def member(p: float) -> Any:
        given = family(p)
        held = _parts(given)
        if held.keys() != first.keys():
            wanted = "a pair (game, flow)" if len(first) == 2 else "a game"
            raise TypeError(f"family gives {wanted} where the branch begins, {given!r} at {p:g}")
        if held["game"].manifolds != first["game"].manifolds:
            X, Y = held["game"].manifolds
            raise ValueError(f"family gives a game on {X} and {Y} at {p:g}, where it had others")
        return given

    return member


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
