"""A smooth loss on tori as a trigonometric game, cut off where its Fourier coefficients are small.

Costs of n particles then take O(n K) operations instead of O(n^2).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.games.base import Game
from meanfield.games.lowrank import LowRank, Term, trigonometric
from meanfield.manifolds import Torus

COARSEST, NODES = 16, 1 << 22  # points an axis of the first grid; all of the finest
# Points of x and of y, at all pairs of which the sum is compared with the loss.
PAIRS = (4096, 4), (4, 4096), (256, 256)
LINES, FINER = 4, 8  # lines along an axis, and how much finer they are than its grid
FINEST = 4096  # points that a line has at least
ROUNDING = 1e-13  # of either, times the loss's size
MODES = 400  # a player


def truncated(game: Game, bound: float) -> LowRank:
    """The loss within bound times its largest size, the constant left out, as a `LowRank` game.

    l = sum_k c_k e^{iwk.(x, y)} by FFT on a grid whose axes are refined until the outer half of its
    modes sums to less than a twentieth of the bound; then the smallest coefficients go, as many as
    sum to the rest. `answers["truncation"]` states the error: the sum of what was left out, and
    twice that of the outer half for modes beyond the grid, as coefficients of analytic losses fall
    geometrically. Waves that are too short for a grid look longer there, and narrow peaks are not
    seen: the sum must agree with the loss at many points beside it, or the axes are refined along
    which the loss has shorter waves. Peaks are met that are a hundredth wide along one player's
    axis, or along one of each.

    Raises ValueError for spheres, and for losses too rough for a grid of 2^22 points or 400 modes a
    player.
    """
    X, Y = game.X, game.Y
    if not (isinstance(X, Torus) and isinstance(Y, Torus)):
        raise ValueError(f"truncate needs a loss on two tori, got {X} and {Y}")
    shape = np.full(X.d + Y.d, COARSEST)
    while np.prod(shape) <= NODES:
        seen, (c, size) = shape, _coefficients(game, shape)
        (shell, along), limit = _outer(c), bound * size / 20
        if shell <= limit:
            short, error = _cut(game, c, bound, size, shell)
            if _agree(game, short, error + ROUNDING * size):
                return short
            shape = shape * _factors(game, shape, limit / len(shape))
        else:
            shape = shape * np.where(along > limit / len(shape), 2, 1)
    raise ValueError(
        f"{game.name} is not resolved to truncate={bound:g} by {'x'.join(map(str, seen))} points; "
        "raise truncate or leave it out"
    )


def _coefficients(game: Game, shape: Any) -> tuple[Any, float]:
    """Fourier coefficients on a grid; the loss's largest size there."""
    d = game.X.dim
    x, y = _grid(game.X, shape[:d]), _grid(game.Y, shape[d:])
    values = game.moving_loss(x, y).reshape(shape)
    size = float(np.abs(values).max())
    return _without_rounding(np.fft.fftn(values) / values.size, size), size


def _without_rounding(c: Any, size: float) -> Any:
    """Zeros for what the rounding of values and transform leaves in coefficients that are zero."""
    c[np.abs(c) < 8 * np.finfo(float).eps * size / np.sqrt(c.size)] = 0.0
    return c


def _cut(game: Any, c: Any, bound: float, size: float, shell: float) -> tuple[LowRank, float]:
    """The game of the largest coefficients, and its error."""
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
    X, Y = game.X, game.Y
    constant = ((0,) * X.dim, (0,) * Y.dim, game.constant, 0.0)
    short = trigonometric([*_terms(c, keep, X.dim), constant], X, Y, **about)
    if max(basis.size for basis in short.bases) > 2 * MODES:
        raise ValueError(
            f"{game.name} needs more than {MODES} modes a player for truncate={bound:g}; "
            "leave it out"
        )
    return short, error


def _agree(game: Game, short: LowRank, within: float) -> bool:
    """Whether two losses do where peaks that a grid does not see would be met."""
    rng, within = np.random.default_rng(0), within + ROUNDING * abs(game.constant)
    for n, m in PAIRS:
        x, y = _spread(game.X, n, rng), _spread(game.Y, m, rng)
        if not np.abs(short.loss(x, y) - game.loss(x, y)).max() <= within:
            return False
    return True


def _spread(torus: Any, n: int, rng: Any) -> Any:
    """n points that leave no gap of more than a few n-th parts of the period along any axis."""
    # Roberts's lattice: powers of the root of r^(d + 1) = r + 1, for d = 1 the golden section's.
    root = max(np.roots([1.0, *[0.0] * (torus.d - 1), -1.0, -1.0]).real)
    turns = np.arange(n)[:, None] * root ** -np.arange(1.0, torus.d + 1)
    return (turns + rng.random(torus.d)) % 1.0 * torus.period


def _factors(game: Game, shape: Any, limit: float) -> Any:
    """By axis, 2 where the loss has waves along it that are too short for the grid, whose
    coefficients on some line sum to more than the limit; 2 for all axes where none has.
    """
    rng, short = np.random.default_rng(1), []
    for axis, n in enumerate(shape):
        count = max(FINER * n, FINEST)
        c = [np.abs(_on_line(game, axis, count, rng))[n // 2 :].sum() for _ in range(LINES)]
        short.append(2 * max(c) > limit)
    return np.where(short, 2, 1) if any(short) else 2


def _on_line(game: Game, axis: int, count: int, rng: Any) -> Any:
    """Fourier coefficients k >= 0 of the loss along an axis, the other coordinates at random."""
    z = [M.sample(1, rng) for M in game.manifolds]
    p, own = (0, axis) if axis < game.X.dim else (1, axis - game.X.dim)
    torus: Any = game.manifolds[p]
    z[p] = np.repeat(z[p], count, axis=0)
    z[p][:, own] = np.arange(count) * (torus.period / count)
    values = game.moving_loss(*z).ravel()
    return _without_rounding(np.fft.rfft(values) / count, float(np.abs(values).max()))


def _grid(torus: Any, shape: Any) -> Any:
    axes = [np.arange(n) * (torus.period / n) for n in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, torus.d)


def _outer(c: Any) -> tuple[float, Any]:
    """The sum of the coefficients in the outer half of the modes, and of those in the outer half
    along each axis.
    """
    size, outside, along = np.abs(c), np.zeros(c.shape, dtype=bool), []
    for axis, n in enumerate(c.shape):
        far = np.abs(np.fft.fftfreq(n, 1 / n).astype(int)) >= n // 4
        along.append(size.compress(far, axis).sum())
        outside |= far.reshape([n if a == axis else 1 for a in range(c.ndim)])
    return float(size[outside].sum()), np.array(along)


def _terms(c: Any, keep: Any, d: int) -> list[Term]:
    """2 Re c_k e^{iwk.z} for one of k and -k, c_0 once."""
    terms = []
    for index in np.argwhere(keep):
        k = tuple(int(i) if i < n // 2 else int(i) - n for i, n in zip(index, c.shape, strict=True))
        if k < tuple(-v for v in k):
            continue
        value = c[tuple(index)] * (2.0 if any(k) else 1.0)
        terms.append((k[:d], k[d:], float(value.real), float(value.imag)))
    return terms or [((0,) * d, (0,) * (c.ndim - d), 0.0, 0.0)]
