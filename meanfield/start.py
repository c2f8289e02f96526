"""What a run starts from: one law a player, for densities and for particles alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from meanfield.checks import Array, finite_array, real
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Density, Measure, density_on
from meanfield.meshes import Mesh, mesh


class Law(Protocol):
    """A probability law on a manifold, at both levels."""

    def density(self, points: Array) -> Array:
        """Its density at points (n, a), up to a constant factor; shape (n,)."""

    def on(self, onto: Mesh) -> Density:
        """Its masses on a mesh."""

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """n i.i.d. points (n, a)."""


@dataclass(frozen=True)
class Concentrated:
    """A von Mises bump: density proportional to exp((cos(x - center) - 1) / width).

    On a torus of period P the cosine is that of 2 pi (x - center) / P, and axes multiply; on a
    sphere it is <x, center> (von Mises-Fisher). For a small width its variance per axis is `width`
    (in units where the period is 2 pi).
    """

    center: tuple[float, ...]
    width: float


def concentrated(center: ArrayLike, width: float) -> Concentrated:
    """A smooth bump at `center` (a number on the circle, coordinates elsewhere)."""
    c = np.atleast_1d(finite_array("center", center))
    return Concentrated(tuple(float(v) for v in c.ravel()), real("width", width, 0.0, strict=True))


Given = str | Measure | Concentrated | Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Start:
    """The two players' initial laws.

    x, y: "uniform", `concentrated(...)`, a measure, or a function of points (n, a) giving a
    nonnegative density (n,) that need not be normalised.
    """

    x: Given = "uniform"
    y: Given = "uniform"

    def laws(self, X: Manifold, Y: Manifold) -> tuple[Law, Law]:
        """The laws on the players' manifolds; raises for what does not fit there."""
        return law(self.x, X, "start.x"), law(self.y, Y, "start.y")


def law(given: Given, manifold: Manifold, name: str = "start") -> Law:
    """The law that `given` names on `manifold`."""
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
        return _bump(given, manifold, name)
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
        if self.measure.mesh.same(onto):
            return self.measure
        return density_on(_resampled(self.measure, onto) * onto.volumes, onto, "the start's masses")

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        return self.measure.draw(n, rng)


def _resampled(density: Density, onto: Mesh) -> Array:
    """Nodal values by multilinear interpolation (tensor grids) or of the nearest node."""
    shape = density.mesh.shape
    if shape is None or not isinstance(density.manifold, Torus):
        return density(onto.nodes)
    from scipy.ndimage import map_coordinates

    index = onto.nodes * (np.array(shape) / density.manifold.period)
    return map_coordinates(density.values.reshape(shape), index.T, order=1, mode="grid-wrap")


@dataclass(frozen=True, eq=False)
class _Function:
    f: Callable[[Array], Array]
    manifold: Manifold
    name: str

    def density(self, points: Array) -> Array:
        raw = np.asarray(self.f(points))
        # The indicator of a set is a density, too.
        values = finite_array(
            f"{self.name} density", raw.astype(float) if raw.dtype == bool else raw
        )
        if values.size != len(points):
            raise ValueError(
                f"{self.name} must map points {points.shape} to {len(points)} values, got shape {values.shape}"
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
        kept = np.empty((0, self.manifold.ambient))
        while len(kept) < n:
            points, ceiling = propose(max(2 * (n - len(kept)), 64), rng)
            values = self.density(points)
            if (values > ceiling).any():
                raise ValueError(
                    f"{self.name} rises above the bound found by probing ({bound}); it is too sharply peaked to be "
                    "sampled as a function: give a measure, or concentrated(...)"
                )
            kept = np.concatenate([kept, points[rng.random(len(points)) * ceiling < values]])
        return kept[:n]


def _envelope(law: _Function, manifold: Manifold):  # type: ignore[no-untyped-def]
    """A sampler of (points, ceiling) with density proportional to its ceiling >= the law's density.

    On tori with a mesh the ceiling is constant per cell (1.5 times the largest of the cell's probes
    and of its neighbours' nodes), elsewhere over the manifold.
    """
    if isinstance(manifold, Torus) and manifold.d <= 2:
        grid = mesh(manifold, {1: 512, 2: 96}[manifold.d])
        values = law.density(grid.nodes).reshape(grid.shape or ())
        for axis in range(manifold.d):
            values = np.maximum.reduce(
                [values, np.roll(values, 1, axis), np.roll(values, -1, axis)]
            )
        ceiling = 1.5 * values.ravel() + 1e-3 * values.mean()
        envelope = Density(ceiling / ceiling.sum(), grid)

        def in_cells(n: int, rng: np.random.Generator) -> tuple[Array, Array]:
            points = envelope.draw(n, rng)
            return points, ceiling[grid.locate(points)]

        return in_cells, "1.5 times its values at near nodes"
    top = 1.5 * float(law.density(manifold.sample(1 << 14, np.random.default_rng(0))).max())

    def anywhere(n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        return manifold.sample(n, rng), np.full(n, top)

    return anywhere, f"{top:.4g}"


class _Bump(_Function):
    """A von Mises(-Fisher) bump, sampled by scipy's exact generators."""

    def __init__(self, given: Concentrated, manifold: Manifold, name: str) -> None:
        center, kappa = np.array(given.center), 1 / given.width
        turn = 2 * np.pi / manifold.period if isinstance(manifold, Torus) else 1.0

        def values(points: Array) -> Array:
            if isinstance(manifold, Torus):
                return np.exp(kappa * np.sum(np.cos(turn * (points - center)) - 1, axis=1))
            return np.exp(kappa * (points @ center - 1))

        super().__init__(values, manifold, name)
        object.__setattr__(self, "center", center)
        object.__setattr__(self, "kappa", kappa)

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        if isinstance(self.manifold, Torus):
            angles = rng.vonmises(0.0, self.kappa, (n, self.manifold.d))  # type: ignore[attr-defined]
            return self.manifold.wrap(self.center + angles * (self.manifold.period / (2 * np.pi)))  # type: ignore[attr-defined]
        from scipy.stats import vonmises_fisher

        return vonmises_fisher(self.center, self.kappa).rvs(n, random_state=rng)  # type: ignore[attr-defined]


def _bump(given: Concentrated, manifold: Manifold, name: str) -> _Bump:
    if not isinstance(manifold, (Torus, Sphere)):
        raise ValueError(
            f"{name}: concentrated(...) is defined on tori and spheres; give a density function on {manifold}"
        )
    if len(given.center) != manifold.ambient:
        raise ValueError(
            f"{name}: the center has {len(given.center)} coordinates, points of {manifold} have {manifold.ambient}"
        )
    manifold.check(f"{name} center", np.array([given.center]))
    return _Bump(given, manifold, name)
