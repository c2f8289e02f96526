"""What a run starts from: one law for each player."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from meanfield.checks import Array, finite_array, known_keywords, real
from meanfield.laws import Bump, Law, OfFunction, OfMeasure, Uniform
from meanfield.manifolds import Manifold
from meanfield.measures import Measure

NARROWEST = 1e-15  # standard deviation; narrower bumps are points to rounding


@dataclass(frozen=True)
class Concentrated:
    """A von Mises bump as it was described; see `concentrated`."""

    center: tuple[float, ...]
    std: float


@known_keywords(gone={"width": "it was a variance; give its root as std"})
def concentrated(center: ArrayLike, std: float) -> Concentrated:
    """A smooth bump, the von Mises law of standard deviation `std`.

    On a torus of period P, with k = 2 pi / P, the density is proportional to the product over the
    axes of

        exp((cos(k (x - center)) - 1) / (k std)^2);

    on a sphere it is proportional to exp((<x, center> - 1) / std^2) (von Mises-Fisher), on other
    manifolds to exp(-distance(x, center)^2 / (2 std^2)).

    Parameters
    ----------
    center : float or (a,)
        A number on the circle, coordinates elsewhere.
    std : float
        The standard deviation along each axis, in the units of the points (radians on spheres), at
        least 1e-15. It is that of a narrow bump; a bump as wide as the space is a little wider than
        it says: on the circle of period 2 pi by 1% at 0.2, 2% at 0.3 and 12% at 0.55.

    Returns
    -------
    Concentrated
        What `Start` takes for a player.

    Raises
    ------
    ValueError
        For a std below 1e-15.

    Examples
    --------
    >>> import numpy as np
    >>> import meanfield as mf
    >>> start = mf.Start(x=mf.concentrated(1.1, std=0.2))
    >>> law, _ = start.laws(mf.Torus(1), mf.Torus(1))
    >>> drawn = law.draw(100_000, np.random.default_rng(0))
    >>> print(f"{drawn.mean():.2f} +- {drawn.std():.2f}")
    1.10 +- 0.20
    """
    c = np.atleast_1d(finite_array("center", center))
    if c.ndim > 1:
        raise ValueError(
            f"center must be one point, a number or coordinates (a,), got shape {c.shape}; for "
            "several points give a Measure"
        )
    std = real("std", std, 0.0, strict=True)
    if std < NARROWEST:
        raise ValueError(
            f"std must be at least {NARROWEST:g}, got {std:g}; for a point give a Measure of one "
            "atom"
        )
    return Concentrated(tuple(float(v) for v in c), std)


Given = str | Measure | Concentrated | Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Start:
    """The two players' initial laws.

    Parameters
    ----------
    x, y : "uniform", concentrated(...), Measure or callable
        A callable maps points (n, a) to a nonnegative density (n,) that need not be normalised.

    Examples
    --------
    >>> import numpy as np
    >>> import meanfield as mf
    >>> start = mf.Start(x=mf.concentrated(1.0, std=0.2), y=mf.games.density("1 + 0.5*cos(y)"))
    >>> run = mf.solve(mf.games.oscillator(), mf.Langevin(beta=5.0), start, time=0.0, cells=128)
    >>> means = [mu.integrate(lambda z: np.cos(z[:, 0])) for mu in run[0]]
    >>> print(f"{means[0]:.2f}, {means[1]:.2f}")
    0.53, 0.25
    """

    x: Given = "uniform"
    y: Given = "uniform"

    def __post_init__(self) -> None:
        for name in ("x", "y"):
            _check_kind(getattr(self, name), f"start.{name}")

    @property
    def uniform(self) -> bool:
        """Whether both players begin with their uniform laws, asked for by name."""
        return isinstance(self.x, str) and isinstance(self.y, str)

    def laws(self, X: Manifold, Y: Manifold) -> tuple[Law, Law]:
        """The laws on the players' manifolds; ValueError, TypeError for what does not fit."""
        return law(self.x, X, "start.x"), law(self.y, Y, "start.y")


def law(given: Given, manifold: Manifold, name: str = "start") -> Law:
    """The law on `manifold` that is described by what `Start` takes for one player."""
    _check_kind(given, name)
    if isinstance(given, str):
        return Uniform(manifold)
    if isinstance(given, Measure):
        if given.manifold != manifold:
            raise ValueError(
                f"{name} lives on {given.manifold}, but this player moves on {manifold}"
            )
        return OfMeasure(given)
    if isinstance(given, Concentrated):
        return Bump(np.array(given.center), given.std, manifold, name)
    return OfFunction(given, manifold, name)


def _check_kind(given: object, name: str) -> None:
    """TypeError for what describes no law, ValueError for a name that is none."""
    if isinstance(given, str) and given != "uniform":
        raise ValueError(f'{name} is {given!r}; the one law known by name is "uniform"')
    if isinstance(given, (str, Measure, Concentrated)) or callable(given):
        return
    points = isinstance(given, (np.ndarray, list, tuple))
    raise TypeError(
        f'{name} must be "uniform", a measure or a density function, got {type(given).__name__}'
        + ("; points (n, a) are given as Measure(points, None, manifold)" if points else "")
    )
