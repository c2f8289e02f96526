"""How (7) returns to the Gibbs pair along its slowest mode, which decays at the eigenvalue's rate.

A run from elsewhere may have no share in that mode, and is then faster; the run here has nothing
else, so that its rate must be the eigenvalue's, no larger and no smaller.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from meanfield.checks import Array, NotConverged, UnderResolved
from meanfield.density.solve import build
from meanfield.equilibria import gibbs, stability
from meanfield.equilibria.gibbs import GibbsPoint
from meanfield.equilibria.stability import Stability
from meanfield.manifolds import Torus
from meanfield.measures import Density
from meanfield.start import Start
from meanfield.studies.stored import Data
from meanfield.studies.theorems.problem import Problem, betas
from meanfield.studies.theorems.settling import longest

CELLS = {1: 128, 2: 48}  # cells an axis of tori for the linearised equation
NUDGE = 1e-3  # largest relative change of a density that is moved along the slowest mode
FOLDS, LOOKS = 2.0, 25  # the time of that run in units of 1/rate, and how often it is looked at


def cells_of(p: Problem) -> Any:
    """Cells for the linearised equation: fewer on tori than runs have."""
    if p.cells is not None:
        return p.cells
    return tuple(CELLS.get(M.dim) if isinstance(M, Torus) else None for M in p.game.manifolds)


def linearised(p: Problem) -> Stability:
    """(7) linearised at the Gibbs pair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnderResolved)
        return stability(p.game, betas(p.flow), cells_of(p), 2, p.flow.gamma)


def slowest(p: Problem) -> Data:
    """(7) from the Gibbs pair moved a little along its slowest mode v: by `times`, the size |c| of
    what is left of it, the masses being those of the Gibbs pair and Re(c v).

    No times where the mode grows, or takes too long or more cells to be followed.
    """
    try:
        linear = linearised(p)
        times, left = _followed(p, linear)
    except NotConverged:
        return {"times": np.empty(0), "size": np.empty(0)}
    v = np.concatenate([linear.modes_x[0], linear.modes_y[0]])
    turning = np.stack([v.real, -v.imag], 1)[:, : 1 + (linear.frequency > 0)]
    c = np.linalg.lstsq(turning, left.T, rcond=None)[0]
    return {"times": times, "size": np.linalg.norm(c, axis=0)}


def _followed(p: Problem, linear: Stability) -> tuple[Array, Array]:
    """Times, and what the masses differ by from those of the Gibbs pair, (T, N_x + N_y)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnderResolved)
        moving: Any = build(p.game, p.flow, Start(), cells_of(p))
        span = FOLDS / linear.rate if linear.rate > 0 else np.inf
        if span > longest(moving.name, max(p.dims), p.quick) * p.natural_time:
            return np.empty(0), np.empty((0, len(linear.point.x) + len(linear.point.y)))
        x, y = moving.measures()
        rest = gibbs(p.game, betas(p.flow), (x.mesh, y.mesh))
        still = _side_by_side((rest.x, rest.y), linear)
        moving = build(p.game, p.flow, _nudged(linear, rest), cells_of(p))
        times, left = np.linspace(0, span, LOOKS), []
        for time in times:
            if time > 0:
                moving.advance(float(time))
            left.append(_side_by_side(moving.measures(), linear) - still)
    return times, np.array(left)


def _nudged(linear: Stability, rest: GibbsPoint) -> Start:
    """The Gibbs pair of a run's own mesh, moved along the slowest mode."""
    moved = []
    for own, there, before in zip(
        (rest.x, rest.y), linear.perturbed(NUDGE), (linear.point.x, linear.point.y), strict=True
    ):
        step = there.on(own.mesh).masses - before.on(own.mesh).masses
        masses = np.maximum(own.masses + step, 0.0)
        moved.append(Density(masses / masses.sum(), own.mesh))
    return Start(x=moved[0], y=moved[1])


def _side_by_side(pair: Any, linear: Stability) -> Array:
    """Both players' masses side by side on the cells of the linearised equation."""
    meshes = linear.point.x.mesh, linear.point.y.mesh
    return np.concatenate([mu.on(mesh).masses for mu, mesh in zip(pair, meshes, strict=True)])
