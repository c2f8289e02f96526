"""Games given by a user's numpy function, with gradients of the user's or by differences."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from meanfield.checks import Array, read_only, real, reals
from meanfield.games.pairwise import EPS, Pairwise, apart
from meanfield.manifolds import Manifold, Torus, a_manifold

Loss = Callable[[Array, Array], Array]
FIRST, SECOND = 1e-3, 2e-3  # steps of first and second differences, in periods over 2 pi


def function(
    loss: Loss,
    X: Manifold,
    Y: Manifold,
    gradient_x: Loss | None = None,
    gradient_y: Loss | None = None,
    name: str | None = None,
    curvature: float | tuple[float, float] | None = None,
) -> Function:
    """The game of a numpy function loss(x, y) of points x (n, 1, a) and y (1, m, b) -> (n, m).

    The functions cannot write to the points that they see.

    Parameters
    ----------
    loss : function
    X, Y : Torus or Sphere
    gradient_x, gradient_y : function, optional
        The derivatives in the coordinates of x (n, m, a) and of y (n, m, b), which are projected on
        the tangent spaces. Without them central differences of fourth order along the manifold are
        taken; docs/explanation/games.md says how large their errors are.
    name : str, optional
        What the game is called, by default the function's own name.
    curvature : float or pair of float, optional
        Numbers for x and for y, or one for both, that no second derivative of the loss along a
        geodesic exceeds in size. Certificates rest on them: Nikaido-Isoda errors have upper bounds
        then, and equilibria of `nash` are certified, up to the rounding of the loss.

    Returns
    -------
    Function

    Raises
    ------
    ValueError
        When outputs have a wrong shape or are not finite, when the loss is not periodic on a torus,
        and when a gradient or a curvature disagrees with differences of the loss.

    Warns
    -----
    UnderResolved
        When a constant in the loss, which is kept apart, leaves few of its digits.

    Examples
    --------
    >>> import numpy as np
    >>> import meanfield as mf
    >>> def loss(x, y):
    ...     return np.cos(x[..., 0] - y[..., 0])
    >>> game = mf.games.function(loss, mf.Torus(1), mf.Torus(1))
    >>> print(f"{game.value(mf.uniform(game.X), mf.uniform(game.Y)):.6f}".replace("-", ""))
    0.000000
    """
    if not callable(loss):
        raise TypeError(f"loss must be a function of points x and y, got {type(loss).__name__}")
    a_manifold("X", X), a_manifold("Y", Y)
    name = str(name or getattr(loss, "__name__", "function"))
    bounds = None
    if curvature is not None:
        both = curvature if isinstance(curvature, tuple | list) else (curvature, curvature)
        if len(both) != 2:
            raise ValueError(f"curvature must be one number or two, for x and y, got {curvature!r}")
        bounds = real("curvature", both[0], 0.0), real("curvature", both[1], 0.0)
    game = Function(loss, X, Y, (gradient_x, gradient_y), name, bounds)
    _probe(game)
    return game


class Function(Pairwise):
    """A game known by a function; every look at it is checked. Made by `function`.

    Parameters
    ----------
    loss : function
    X, Y : Torus or Sphere
    gradients : pair of functions or None
    name : str
    """

    def __init__(
        self,
        loss: Loss,
        X: Manifold,
        Y: Manifold,
        gradients: tuple[Loss | None, Loss | None],
        name: str,
        curvature: tuple[float, float] | None = None,
    ) -> None:
        self.curvature = curvature
        self.function, self.gradients, self.X, self.Y = loss, gradients, X, Y
        self.name, self.statement, self.answers = name, "", {}

    def loss(self, x: Array, y: Array) -> Array:
        return self._values("loss", self.function, *self._pairs(x, y))

    def moving_loss(self, x: Array, y: Array) -> Array:
        return self._values("loss", self.function, x, y) - self.constant

    def _values(self, what: str, function: Loss, x: Array, y: Array, *tail: int) -> Array:
        """The user's function as floats (n, m, *tail), named where shape or entries are wrong."""
        output = function(read_only(x[:, None]), read_only(y[None]))
        wanted = (len(x), len(y), *tail)
        try:
            values = np.asarray(reals(output), dtype=np.float64)
        except (TypeError, ValueError) as error:
            got = f"got {type(output).__name__}: {error}"
            raise TypeError(f"{what} of {self.name!r} must return real numbers, {got}") from None
        if values.shape != wanted:
            raise ValueError(
                f"{what} of {self.name!r} returned shape {values.shape} for x "
                f"{(len(x), 1, x.shape[1])} and y {(1, len(y), y.shape[1])}; "
                f"it must return {wanted}"
            )
        if not np.isfinite(values).all():
            i, j, *_ = np.argwhere(~np.isfinite(values))[0]
            raise ValueError(
                f"{what} of {self.name!r} is {values[i, j]} at x = {x[i]}, y = {y[j]}; "
                "it must be finite"
            )
        return values

    def pair_gradient(self, p: int, x: Array, y: Array) -> Array:
        own, manifold, gradient = (x, y)[p], self.manifolds[p], self.gradients[p]
        if gradient is None:
            return self._differences(p, x, y)
        raw = self._values(f"gradient_{'xy'[p]}", gradient, x, y, own.shape[1])
        return manifold.project(np.broadcast_to(np.expand_dims(own, 1 - p), raw.shape), raw)

    def _differences(self, p: int, x: Array, y: Array) -> Array:
        """[l(-2h) - 8 l(-h) + 8 l(h) - l(2h)]/12h along each vector of the tangent frame."""
        frame, h = self.manifolds[p].basis((x, y)[p]), FIRST * self._scale(p)
        total = np.zeros((len(x), len(y), (x, y)[p].shape[1]))
        for k in range(frame.shape[1]):
            far, near = (
                self._moved(p, x, y, s * h, k) - self._moved(p, x, y, -s * h, k) for s in (2, 1)
            )
            slope = (8 * near - far) / (12 * h)
            total += slope[..., None] * np.expand_dims(frame[:, k], 1 - p)
        return total

    def pair_laplacian(self, p: int, x: Array, y: Array) -> Array:
        """[-l(-2h) + 16 l(-h) - 30 l(0) + 16 l(h) - l(2h)]/12h^2, summed over the tangent frame."""
        h, dim = SECOND * self._scale(p), self.manifolds[p].dim
        total = -30 * dim * self.moving_loss(x, y)
        for k in range(dim):
            for s, c in ((2, -1), (1, 16)):
                total += c * (self._moved(p, x, y, s * h, k) + self._moved(p, x, y, -s * h, k))
        return total / (12 * h * h)

    def _moved(self, p: int, x: Array, y: Array, t: float, k: int) -> Array:
        """The loss with player p's points moved by t along the k-th vector of the frame."""
        own, M = (x, y)[p], self.manifolds[p]
        there = M.retract(own, t * M.basis(own)[:, k])
        return self.moving_loss(*((there, y) if p == 0 else (x, there)))

    def _scale(self, p: int) -> float:
        manifold = self.manifolds[p]
        return manifold.period / (2 * np.pi) if isinstance(manifold, Torus) else 1.0

    def swapped(self) -> Function:
        gx, gy = (None if g is None else partial(_turned, g) for g in self.gradients)
        loss = partial(_turned, self.function)
        bounds = None if self.curvature is None else self.curvature[::-1]
        name = f"{self.name}, swapped"
        game = Function(loss, self.Y, self.X, (gy, gx), name, bounds)
        game.constant, game.rounding = -self.constant, self.rounding
        return game


def _turned(f: Loss, y: Array, x: Array) -> Array:
    """-f(x, y) at y (m, 1, b) and x (1, n, a)."""
    return -np.swapaxes(f(np.swapaxes(x, 0, 1), np.swapaxes(y, 0, 1)), 0, 1)


def _probe(game: Function) -> None:
    """Checks shapes, finiteness, periods and gradients at a few points.

    There are 5 of x and 3 of y, so that no shape is right by chance.
    """
    rng = np.random.default_rng(0)
    x, y = game.X.sample(5, rng), game.Y.sample(3, rng)
    values = game.loss(x, y)
    game.constant, game.rounding = apart(game.name, values)
    rounding = 64 * EPS * float(np.abs(values).max())
    for p, manifold in enumerate(game.manifolds):
        if isinstance(manifold, Torus):
            for v in manifold.period * np.eye(manifold.d):
                moved = game.loss(x + v, y) if p == 0 else game.loss(x, y + v)
                if np.abs(moved - values).max() > 1e-9 * float(np.ptp(values)) + rounding:
                    raise ValueError(
                        f"loss of {game.name!r} changes when {'xy'[p]} moves by the period "
                        f"{manifold.period:.6g} of {manifold}; it must be periodic"
                    )
        if game.gradients[p] is not None:
            _compare_gradients(game, p, x, y, rounding)
        if game.curvature is not None:
            _compare_curvature(game, p, x, y, rounding)


def _compare_curvature(game: Function, p: int, x: Array, y: Array, rounding: float) -> None:
    assert game.curvature is not None
    h, bound = SECOND * game._scale(p), game.curvature[p]
    for k in range(game.manifolds[p].dim):
        ends = game._moved(p, x, y, h, k) + game._moved(p, x, y, -h, k)
        found = float(np.abs(ends - 2 * game.moving_loss(x, y)).max()) / (h * h)
        if found > bound * (1 + 1e-4) + 4 * rounding / (h * h):
            raise ValueError(
                f"curvature={bound:g} is no bound for {'xy'[p]}: the loss of {game.name!r} has a "
                f"second derivative of {found:.6g}"
            )


def _compare_gradients(game: Function, p: int, x: Array, y: Array, rounding: float) -> None:
    gradient, differences = game.pair_gradient(p, x, y), game._differences(p, x, y)
    off = float(np.abs(gradient - differences).max())
    rounding /= FIRST * game._scale(p)
    if off > 1e-5 * (1 + float(np.abs(differences).max())) + rounding:
        raise ValueError(
            f"gradient_{'xy'[p]} of {game.name!r} differs from differences of its loss by "
            f"{off:.3g}; give the derivative in the point's own coordinates, or leave it out"
        )
