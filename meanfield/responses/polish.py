"""Newton descent on a manifold, batched over starting points."""

from __future__ import annotations

from math import cos, sin

import numpy as np

from meanfield.checks import Array
from meanfield.manifolds import Manifold, unit
from meanfield.responses.costs import Cost

NEWTON_ROUNDS = 60


def polish(
    cost: Cost, manifold: Manifold, points: Array, rounds: int = NEWTON_ROUNDS
) -> tuple[Array, Array]:
    """Newton descent from points (m, a): the points reached and their values, none above its start.

    Curvatures enter by absolute value, so that every step descends; steps are cut to an eighth of
    the manifold's reach and halved until the value falls.
    """
    x, value = points.copy(), cost.values(points)
    active = np.arange(len(x))
    for _ in range(rounds):
        step = _newton_step(cost, manifold, x[active])
        moved, fallen = _backtrack(cost, manifold, x[active], value[active], step)
        gain = value[active] - fallen
        x[active], value[active] = moved, fallen
        active = active[gain > 1e-15 * np.abs(fallen)]
        if not len(active):
            break
    return x, value


def polish_on_circle(waves: Array, c: Array, points: Array) -> tuple[Array, Array]:
    """`polish` for sum_j c_j cos(w_j x) + c_{J+j} sin(w_j x) and points (m, 1), number by number.

    Calls of numpy would take far longer than the sums of a few modes at a few points.
    """
    J = len(waves)
    modes = list(zip(waves.tolist(), c[:J].tolist(), c[J:].tolist(), strict=True))
    turn = np.pi / 4 / (float(np.abs(waves).max()) or 1.0)
    ends = [_descend(modes, x, turn) for x in points[:, 0].tolist()]
    return np.array([[x] for x, _ in ends]), np.array([value for _, value in ends])


def _descend(
    modes: list[tuple[float, float, float]], x: float, longest: float
) -> tuple[float, float]:
    value, slope, bend = _jet(modes, x)
    for _ in range(NEWTON_ROUNDS):
        step = -slope / max(abs(bend), 1e-8 * abs(slope) + 1e-300)
        step = min(max(step, -longest), longest)
        for _ in range(12):
            there = _jet(modes, x + step)
            if there[0] < value or abs(step) < 1e-9 * longest:
                break
            step *= 0.5
        if not there[0] < value:
            break
        gain = value - there[0]
        x += step
        value, slope, bend = there
        if gain <= 1e-15 * abs(value):
            break
    return x, value


def _jet(modes: list[tuple[float, float, float]], x: float) -> tuple[float, float, float]:
    """Value and two derivatives of sum p cos(w x) + q sin(w x)."""
    value = slope = bend = 0.0
    for w, p, q in modes:
        c, s = cos(w * x), sin(w * x)
        u = p * c + q * s
        value += u
        slope += w * (q * c - p * s)
        bend -= w * w * u
    return value, slope, bend


def _newton_step(cost: Cost, manifold: Manifold, x: Array) -> Array:
    frame = manifold.basis(x)
    slope = np.einsum("nia,na->ni", frame, cost.gradient(x))
    bend, axes = np.linalg.eigh(cost.hessian(x))
    bend = np.maximum(np.abs(bend), 1e-8 * np.abs(bend).max(axis=1, keepdims=True) + 1e-300)
    inside = -np.einsum("nij,nj->ni", axes, np.einsum("nij,ni->nj", axes, slope) / bend)
    length = np.linalg.norm(inside, axis=1, keepdims=True)
    inside *= np.minimum(1.0, manifold.reach / 8 / np.maximum(length, 1e-300))
    return np.einsum("ni,nia->na", inside, frame)


def _backtrack(
    cost: Cost, manifold: Manifold, x: Array, value: Array, step: Array
) -> tuple[Array, Array]:
    """Each point moved along its step, halved up to 12 times; it stays where nothing is gained."""
    best, lowest = x.copy(), value.copy()
    left, scale = np.arange(len(x)), 1.0
    for _ in range(12):
        trial = manifold.retract(x[left], scale * step[left])
        at = cost.values(trial)
        down = at < value[left]
        best[left[down]], lowest[left[down]] = trial[down], at[down]
        left, scale = left[~down], 0.5 * scale
        # A step within rounding of the stationary point gains nothing at any length.
        left = left[np.linalg.norm(step[left], axis=1) * scale > 1e-9 * unit(manifold)]
        if not len(left):
            break
    return best, lowest
