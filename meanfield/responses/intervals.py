"""Proofs from below for losses given by formulas: intervals for the Hessian over cells.

Second derivatives are bounded over a box by intervals (`enclosures`). Let g be the gradient at the
centre c of a geodesic ball of radius r, and the second derivatives along its geodesics from c at
least those of the form A, less d. Then in the ball

    U >= U(c) + min over |v| <= r of (g.v + v'(A - d)v/2),

and cells are cut as in `cells`. On a torus A is the middle H of the Hessian's interval and d bounds
its half width. On the unit sphere of R^a a geodesic x = c cos t + w sin t from c has

    (U o x)'' = x'.H(x) x' - x.grad U(x),    x' = w cos t - c sin t,

with H and grad U in the space around: A = H - c.grad U(c) on the tangent space, and d has also how
far x' turns and x.grad U moves within the ball.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.games.base import SIGNS
from meanfield.games.formulas.expressions import Expression
from meanfield.responses.cells import Balls, cut, least_in_ball
from meanfield.responses.costs import OpponentCost
from meanfield.responses.enclosures import EPS, Tape, enclosed, tape

TIGHT = 1e-9  # gap wanted, relative to the largest size of cost and loss
PAIRS = 1 << 26  # cells times atoms looked at in all
ALONE = 32  # atoms that a cell itself costs as much as


def floor_by_intervals(cost: OpponentCost, best: float, scale: float) -> float:
    """A lower bound of min U within 1e-9 scale of `best`, a value of U, if PAIRS suffice."""
    game, p, mu = cost.game, cost.p, cost.opponent
    assert isinstance(game, Expression)
    manifold: Any = game.manifolds[p]
    H, a, curved = game.curvatures(p), manifold.ambient, game.curved(p)
    entries = tuple(np.array(list(H)).T)
    jet = tape(game.graph, [game.root, *game.ambient_slopes(p)], game.variables(p))
    second = tape(game.graph, list(H.values()), game.variables(p))

    def means(steps: Tape, x: Array, widths: Array) -> tuple[Array, Array]:
        low, high = enclosed(steps, x - widths, x + widths, mu.points, mu.masses)
        return (low, high) if SIGNS[p] > 0 else (-high, -low)

    @np.errstate(invalid="ignore")
    def bound(at: Balls) -> Array:
        low, high = means(jet, at.centres, 4 * EPS * (1 + np.abs(at.centres)))
        g, err = _middle(low[:, 1:], high[:, 1:])
        bends = means(second, at.centres, at.widths)
        mid, half = (_symmetric(v, entries, a) for v in _middle(*bends))
        frame, r = manifold.basis(at.centres), at.radii
        slope, A, less = np.einsum("nia,na->ni", frame, g), mid, _norm(half)
        if curved:
            A, less = _on_sphere(at, frame, g, err, mid, half)
        least = least_in_ball(slope, A - less[:, None, None] * np.eye(manifold.dim), r)
        # What is left are a few sums of these sizes, and the gradient's own error.
        rounding = r[:, 0] * (_norm(g) + r[:, 0] * (_norm(A) + less))
        least -= r[:, 0] * _norm(err) + 256 * EPS * rounding
        total = low[:, 0] + least
        # NaN, from operations outside their domain somewhere in a box, proves nothing.
        return np.where(np.isnan(total), -np.inf, total - 4 * EPS * np.abs(low[:, 0]))

    work = len(mu) * (len(jet.codes) + len(second.codes))
    return cut(manifold, bound, best - TIGHT * scale, PAIRS // (len(mu) + ALONE), work)


def _on_sphere(
    at: Balls, frame: Array, g: Array, err: Array, mid: Array, half: Array
) -> tuple[Array, Array]:
    """A (n, d, d) and d (n,) of balls of the sphere."""
    r, c, t = at.radii[:, 0], at.centres, frame.transpose(0, 2, 1)
    image = np.einsum("nij,nj->ni", mid, c)
    along, normal = np.einsum("ni,ni->n", image, c), np.einsum("ni,ni->n", g, c)
    across, slope = (_norm(np.einsum("nij,nj->ni", frame, v)) for v in (image, g))
    form = frame @ mid @ t
    first = 3 * across + slope + _norm(half) + _norm(err)
    twice = 1.5 * np.abs(along) + 2 * _norm(form) + 0.5 * (across + np.abs(normal))
    A = form - normal[:, None, None] * np.eye(form.shape[1])
    return A, _norm(half) + _norm(err) + r * first + r * r * twice


def _norm(v: Array) -> Array:
    """Euclidean norms of vectors (n, a), Frobenius norms of matrices (n, a, a), shape (n,)."""
    return np.sqrt((v * v).reshape(len(v), -1).sum(axis=1))  # type: ignore[no-any-return]


def _middle(low: Array, high: Array) -> tuple[Array, Array]:
    """The middles of intervals and half their widths, from above."""
    middle = 0.5 * (low + high)
    return middle, np.maximum(high - middle, middle - low) + 2 * EPS * np.abs(middle)


def _symmetric(values: Array, entries: tuple[Array, ...], a: int) -> Array:
    """Matrices (n, a, a) of their upper triangles (n, a (a + 1) / 2)."""
    full = np.empty((len(values), a, a))
    i, j = entries
    full[:, i, j] = full[:, j, i] = values
    return full
