"""A smooth loss on tori as a trigonometric game, cut off where its Fourier coefficients are small.

Costs of n particles then take O(n K) operations instead of O(n^2).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.games.base import Game
from meanfield.games.lowrank import LowRank, Term, trigonometric
from meanfield.manifolds import Torus

NODES = 1 << 22  # of the finest grid
MODES = 400  # a player


def truncated(game: Game, bound: float) -> LowRank:
    """The loss within bound times its largest size, the constant left out, as a `LowRank` game.

    l = sum_k c_k e^{iwk.(x, y)} by FFT on a grid that is refined until the outer half of its modes
    sums to less than a tenth of the bound; then the smallest coefficients go, as many as sum to the
    rest. `answers["truncation"]` states the error: the sum of what was left out, and twice that of
    the outer half for modes beyond the grid, as coefficients of analytic losses fall geometrically.

    Raises ValueError for spheres, and for losses too rough for a grid of 2^22 points or 400 modes a
    player.
    """
    X, Y = game.X, game.Y
    if not (isinstance(X, Torus) and isinstance(Y, Torus)):
        raise ValueError(f"truncate needs a loss on two tori, got {X} and {Y}")
    c, size = _coefficients(game, X, Y, bound)
    shell = _outer(c)
    flat = np.abs(c).ravel()
    order = np.argsort(flat)
    dropped = np.cumsum(flat[order])
    # Modes come in pairs k, -k of one size: a pair is dropped whole or not at all.
    count = int(np.searchsorted(dropped, 0.9 * bound * size - 2 * shell, side="right")) // 2 * 2
    smallest = flat[order[count]] * (1 - 1e-9) if count < len(order) else np.inf
    keep = np.abs(c) >= smallest
    error = float(np.abs(c[~keep]).sum() + 2 * shell)
    about = {
        "name": game.name,
        "statement": f"{game.statement}, as a trigonometric polynomial within {error:.1e}",
        "answers": {"truncation": error},
    }
    constant = ((0,) * X.d, (0,) * Y.d, game.constant, 0.0)
    short = trigonometric([*_terms(c, keep, X.d), constant], X, Y, **about)
    if max(basis.size for basis in short.bases) > 2 * MODES:
        raise ValueError(
            f"{game.name} needs more than {MODES} modes a player for truncate={bound:g}; "
            "leave it out"
        )
    return short


def _coefficients(game: Game, X: Torus, Y: Torus, bound: float) -> tuple[Any, float]:
    """Fourier coefficients on the first grid that is fine enough; the loss's largest size."""
    D, n = X.d + Y.d, 16
    while n**D <= NODES:
        values = game.moving_loss(_grid(X, n), _grid(Y, n)).reshape((n,) * D)
        c, size = np.fft.fftn(values) / values.size, float(np.abs(values).max())
        # What the rounding of values and transform leaves in a coefficient that is zero.
        c[np.abs(c) < 8 * np.finfo(float).eps * size / np.sqrt(c.size)] = 0.0
        if _outer(c) <= 0.1 * bound * size / 2:
            return c, size
        n *= 2
    raise ValueError(
        f"{game.name} is not resolved to truncate={bound:g} by {n // 2} points an axis; "
        "raise truncate or leave it out"
    )


def _grid(torus: Torus, n: int) -> Any:
    axis = np.arange(n) * (torus.period / n)
    return np.stack(np.meshgrid(*[axis] * torus.d, indexing="ij"), -1).reshape(-1, torus.d)


def _outer(c: Any) -> float:
    """The sum of the coefficients in the outer half of the modes."""
    n = len(c)
    inner = np.abs(np.fft.fftfreq(n, 1 / n).astype(int)) < n // 4
    far = np.ones(c.shape, dtype=bool)
    far[np.ix_(*[inner] * c.ndim)] = False
    return float(np.abs(c[far]).sum())


def _terms(c: Any, keep: Any, d: int) -> list[Term]:
    """2 Re c_k e^{iwk.z} for one of k and -k, c_0 once."""
    n, terms = c.shape[0], []
    for index in np.argwhere(keep):
        k = tuple(int(i) if i < n // 2 else int(i) - n for i in index)
        if k < tuple(-v for v in k):
            continue
        value = c[tuple(index)] * (2.0 if any(k) else 1.0)
        terms.append((k[:d], k[d:], float(value.real), float(value.imag)))
    return terms or [((0,) * d, (0,) * (c.ndim - d), 0.0, 0.0)]
