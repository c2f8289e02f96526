"""What a run starts from: one law for each player, for densities and for particles alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from meanfield.checks import Array, finite_array, read_only, real
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Density, Measure
from meanfield.meshes import Mesh, mesh

NARROWEST = 1e-30  # width; narrower bumps are points to rounding


class Law(Protocol):
    """A probability law on a manifold, at both levels."""

    def density(self, points: Array) -> Array:
        """The density (n,) at points (n, a), up to a constant factor."""

    def on(self, onto: Mesh) -> Density:
        """The masses on a mesh."""

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """n i.i.d. points (n, a)."""


@dataclass(frozen=True)
class Concentrated:
    """A von Mises bump as it was described; see `concentrated`."""

    center: tuple[float, ...]
    width: float


def concentrated(center: ArrayLike, width: float) -> Concentrated:
    """A smooth bump, the von Mises law: density proportional to exp((cos(x - center) - 1) / width).

    On a torus of period P the cosine is that of 2 pi (x - center) / P, and axes multiply; on a
    sphere it is <x, center> (von Mises-Fisher). A narrow bump has variance `width` along each axis,
    in units where the period is 2 pi.

    Parameters
    ----------
    center : float or (a,)
        A number on the circle, coordinates elsewhere.
    width : float
        At least 1e-30; ValueError otherwise.
    """
    c = np.atleast_1d(finite_array("center", center))
    width = real("width", width, 0.0, strict=True)
    if width < NARROWEST:
        raise ValueError(
            f"width must be at least {NARROWEST:g}, got {width:g}; for a point give a Measure of "
            "one atom"
        )
    return Concentrated(tuple(float(v) for v in c.ravel()), width)


Given = str | Measure | Concentrated | Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Start:
    """The two players' initial laws.

    Parameters
    ----------
    x, y : "uniform", concentrated(...), Measure or callable
        A callable maps points (n, a) to a nonnegative density (n,) that need not be normalised.
    """

    x: Given = "uniform"
    y: Given = "uniform"

    def laws(self, X: Manifold, Y: Manifold) -> tuple[Law, Law]:
        """The laws on the players' manifolds; ValueError, TypeError for what does not fit."""
        return law(self.x, X, "start.x"), law(self.y, Y, "start.y")


def law(given: Given, manifold: Manifold, name: str = "start") -> Law:
    """The law on `manifold` that is described by what `Start` takes for one player."""
    if isinstance(given, str):
        if given != "uniform":
            raise ValueError(f'{name} is {given!r}; the one law known by name is "uniform"')
        return _Uniform(manifold)
    if isinstance(given, Measure):
        if given.manifold != manifold:
            raise ValueError(
                f"{name} lives on {given.manifold}, but this player moves on {manifold}"
            )
        return _Given(given)
    if isinstance(given, Concentrated):
        return _Bump(given, manifold, name)
    if callable(given):
        return _Function(given, manifold, name)
    raise TypeError(
        f'{name} must be "uniform", a measure or a density function, got {type(given).__name__}'
    )


@dataclass(frozen=True)
class _Uniform:
    manifold: Manifold

    def density(self, points: Array) -> Array:
        return np.ones(len(points))

    def on(self, onto: Mesh) -> Density:
        return Density(onto.volumes / onto.volumes.sum(), onto)

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        return self.manifold.sample(n, rng)


@dataclass(frozen=True, eq=False)
class _Given:
    """A measure as it stands: resampled for particles, deposited or interpolated on a mesh."""

    measure: Measure

    def density(self, points: Array) -> Array:
        if isinstance(self.measure, Density):
            return self.measure(points)
        raise ValueError("a measure of atoms has no density; give a density function to start from")

    def on(self, onto: Mesh) -> Density:
        if not isinstance(self.measure, Density):
            return self.measure.deposit(onto)
        return self.measure.on(onto)

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        return self.measure.draw(n, rng)


@dataclass(frozen=True, eq=False)
class _Function:
    """A density given as a function, sampled by rejection."""

    f: Callable[[Array], Array]
    manifold: Manifold
    name: str

    def density(self, points: Array) -> Array:
        raw = np.asarray(self.f(read_only(points)))
        # The indicator of a set is a density, too.
        values = finite_array(
            f"{self.name} density", raw.astype(float) if raw.dtype == bool else raw
        )
        if values.size != len(points):
            raise ValueError(
                f"{self.name} must map points {points.shape} to {len(points)} values, "
                f"got shape {values.shape}"
            )
        values = values.reshape(len(points))
        if (values < 0).any():
            i = int(np.argmin(values))
            raise ValueError(
                f"{self.name} is {values[i]:.4g} at {points[i]}; a density must not be negative"
            )
        return values

    def on(self, onto: Mesh) -> Density:
        masses = self.density(onto.nodes) * onto.volumes
        if masses.sum() <= 0:
            raise ValueError(
                f"{self.name} is zero at every node of {onto}; refine the mesh or check the density"
            )
        return Density(masses / masses.sum(), onto)

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        propose, bound = _envelope(self, self.manifold)
        drawn = np.empty((0, self.manifold.ambient))
        while len(drawn) < n:
            points, ceiling = propose(max(2 * (n - len(drawn)), 64), rng)
            values = self.density(points)
            if (values > ceiling).any():
                raise ValueError(
                    f"{self.name} rises above the bound found by probing ({bound}); it is too "
                    "sharply peaked to be sampled as a function: give a measure, or "
                    "concentrated(...)"
                )
            drawn = np.concatenate([drawn, points[rng.random(len(points)) * ceiling < values]])
        return drawn[:n]


Sampler = Callable[[int, np.random.Generator], tuple[Array, Array]]


def _envelope(law: _Function, manifold: Manifold) -> tuple[Sampler, str]:
    """A sampler of (points, ceiling) of density proportional to the ceiling; its bound in words.

    The ceiling lies above the law's density. On T^1 and T^2 it is constant in each cell of a mesh
    (1.5 times the largest value at the node and at its neighbours), elsewhere on the manifold.
    """
    if isinstance(manifold, Torus) and manifold.d <= 2:
        grid = mesh(manifold, {1: 512, 2: 96}[manifold.d])
        values = law.density(grid.nodes).reshape(grid.shape or ())
        for axis in range(manifold.d):
            around = [values, np.roll(values, 1, axis), np.roll(values, -1, axis)]
            values = np.maximum.reduce(around)
        ceiling = 1.5 * values.ravel() + 1e-3 * values.mean()
        envelope = Density(ceiling / ceiling.sum(), grid)

        def in_cells(n: int, rng: np.random.Generator) -> tuple[Array, Array]:
            points = envelope.draw(n, rng)
            return points, ceiling[grid.locate(points)]

        return in_cells, "1.5 times its values at near nodes"
    top = 1.5 * float(law.density(manifold.sample(1 << 14, np.random.default_rng(0))).max())
    return (lambda n, rng: (manifold.sample(n, rng), np.full(n, top))), f"{top:.4g}"


class _Bump(_Function):
    """A von Mises(-Fisher) bump, sampled by exact generators."""

    def __init__(self, given: Concentrated, manifold: Manifold, name: str) -> None:
        if not isinstance(manifold, (Torus, Sphere)):
            raise ValueError(
                f"{name}: concentrated(...) is defined on tori and spheres; give a density "
                f"function on {manifold}"
            )
        if len(given.center) != manifold.ambient:
            raise ValueError(
                f"{name}: the center has {len(given.center)} coordinates, points of {manifold} "
                f"have {manifold.ambient}"
            )
        center, kappa = np.array(given.center), 1 / given.width
        manifold.check(f"{name} center", center[None])
        turn = 2 * np.pi / manifold.period if isinstance(manifold, Torus) else 1.0

        def values(points: Array) -> Array:
            with np.errstate(under="ignore"):  # far from the center the density is zero
                if isinstance(manifold, Torus):
                    return np.exp(kappa * np.sum(np.cos(turn * (points - center)) - 1, axis=1))
                return np.exp(kappa * (points @ center - 1))

        super().__init__(values, manifold, name)
        object.__setattr__(self, "parameters", (center, kappa))

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        center, kappa = self.parameters  # type: ignore[attr-defined]
        if isinstance(self.manifold, Torus):
            angles = rng.vonmises(0.0, kappa, (n, self.manifold.d))
            return self.manifold.wrap(center + angles * (self.manifold.period / (2 * np.pi)))
        from scipy.stats import vonmises_fisher

        return vonmises_fisher(center, kappa).rvs(n, random_state=rng)
