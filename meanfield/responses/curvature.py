"""Proofs from below for losses whose second derivatives the user has bounded."""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.games.functions import Function
from meanfield.manifolds import Sphere
from meanfield.responses.cells import Balls, cut
from meanfield.responses.costs import OpponentCost

TIGHT = 1e-9  # gap wanted, relative to the largest size of cost and loss
PAIRS = 1 << 24  # cells times atoms looked at in all
NEAR = 1 / 16  # step of differences in radii
EPS = 2.0**-52


def floor_by_curvature(cost: OpponentCost, best: float, scale: float) -> float:
    """A lower bound of min U within 1e-9 scale of `best`, a value of U, if PAIRS suffice.

    Let no second derivative along a geodesic exceed B in size. Central differences D at distance h
    along a frame at c miss the d slopes by B h/2 each, so that on the geodesic ball of radius r

        U >= U(c) - r (|D| + sqrt(d) B h/2) - B r^2/2.

    The loss is taken to be right within some units in the last place of its values.
    """
    game, p, mu = cost.game, cost.p, cost.opponent
    assert isinstance(game, Function) and game.curvature is not None
    manifold: Any = game.manifolds[p]
    B, d = game.curvature[p], manifold.dim
    units = (len(mu) + 64) * EPS * (1 + np.sqrt(d) / NEAR)

    def bound(at: Balls) -> Array:
        frame, r = manifold.basis(at.centres), at.radii[:, 0]
        h = NEAR * r
        length = np.tan(h) if isinstance(manifold, Sphere) else h
        here, slopes = cost.values(at.centres), np.zeros(len(r))
        for k in range(d):
            step = length[:, None] * frame[:, k]
            ahead, behind = (cost.values(manifold.retract(at.centres, s * step)) for s in (1, -1))
            slopes += ((ahead - behind) / (2 * h)) ** 2
        fall = r * (np.sqrt(slopes) + 0.5 * np.sqrt(d) * B * h + 0.5 * B * r)
        return here - fall - units * (np.abs(here).max() + scale + game.rounding / EPS)

    return cut(manifold, bound, best - TIGHT * scale, PAIRS // ((2 * d + 1) * len(mu)))
