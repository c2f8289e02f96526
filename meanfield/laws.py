"""Probability laws that runs start from, for densities and for particles alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from meanfield.checks import Array, finite_array, read_only, unmasked
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Density, Measure
from meanfield.meshes import Mesh, mesh
from meanfield.meshes.sharing import shared

FAR = 0.25  # by how much the integral of a density may depend on where the nodes of a mesh lie
MOVES = 4
SMALL = 1 << 14  # nodes of a mesh that is remembered moved, for the next run
MOST_TRIES = 1e5  # uniform points drawn for one that is kept of a bump
BATCH = 1 << 18  # uniform points drawn at once
LARGEST = 1e300  # of a density
# Standard deviations on spheres beyond which scipy's sampler loses digits: narrow bumps are normal
# in the tangent space to std^2, wide ones are found by rejection from uniform points.
NARROW, WIDE = 1e-4, 1e3


class Law(Protocol):
    """A probability law on a manifold, at both levels."""

    def density(self, points: Array) -> Array:
        """The density (n,) at points (n, a), up to a constant factor."""

    def on(self, onto: Mesh) -> Density:
        """The masses on a mesh."""

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """n i.i.d. points (n, a)."""


@dataclass(frozen=True)
class Uniform:
    manifold: Manifold

    def density(self, points: Array) -> Array:
        return np.ones(len(points))

    def on(self, onto: Mesh) -> Density:
        return Density(onto.volumes / onto.volumes.sum(), onto)

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        return self.manifold.sample(n, rng)


@dataclass(frozen=True, eq=False)
class OfMeasure:
    """A measure as it stands: resampled for particles, shared among nodes or interpolated on a
    mesh.
    """

    measure: Measure

    def density(self, points: Array) -> Array:
        if isinstance(self.measure, Density):
            return self.measure(points)
        raise ValueError("a measure of atoms has no density; give a density function to start from")

    def on(self, onto: Mesh) -> Density:
        if not isinstance(self.measure, Density):
            return Density(shared(onto, self.measure.points, self.measure.masses), onto)
        return self.measure.on(onto)

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        return self.measure.draw(n, rng)


@dataclass(frozen=True, eq=False)
class OfFunction:
    """A density given as a function, sampled by rejection."""

    f: Callable[[Array], Array]
    manifold: Manifold
    name: str

    def density(self, points: Array) -> Array:
        try:
            raw = unmasked(self.f(read_only(points)))
        except TypeError as error:
            raise TypeError(f"{self.name} must return densities, got no array: {error}") from None
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
        points = (_kept if len(onto) <= SMALL else _probes)(onto)
        values = self.density(points).reshape(-1, len(onto))
        if not values.max() < LARGEST:
            raise ValueError(
                f"{self.name} reaches {values.max():g}; a density must stay below {LARGEST:g}"
            )
        masses = values[0] * onto.volumes
        if masses.sum() <= 0:
            raise ValueError(
                f"{self.name} is zero at every node of {onto}; refine the mesh or check the density"
            )
        # The integral must not depend on where the nodes happen to lie.
        found = values @ onto.volumes
        if (np.abs(found - found.mean()) > FAR * found.mean()).any():
            raise ValueError(
                f"{self.name} is narrower than the cells of {onto}: as these are moved along, its "
                f"integral is anything from {found.min():.3g} to {found.max():.3g}; raise cells"
            )
        return Density(masses / masses.sum(), onto)

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        propose, bound = _envelope(self, self.manifold)
        drawn, tried = np.empty((0, self.manifold.ambient)), 0
        while len(drawn) < n:
            if tried > MOST_TRIES * (len(drawn) + 1):
                raise ValueError(
                    f"{self.name} is zero at nearly all points of {self.manifold}: of {tried:,} "
                    f"only {len(drawn)} were kept; give a measure, or concentrated(...)"
                )
            points, ceiling = propose(max(2 * (n - len(drawn)), 64), rng)
            tried += len(points)
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


def _envelope(law: OfFunction, manifold: Manifold) -> tuple[Sampler, str]:
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
        _bounded(law, float(values.max()))
        ceiling = 1.5 * values.ravel() + 1e-3 * values.mean()
        envelope = Density(ceiling / ceiling.sum(), grid)

        def in_cells(n: int, rng: np.random.Generator) -> tuple[Array, Array]:
            points = envelope.draw(n, rng)
            return points, ceiling[grid.locate(points)]

        return in_cells, "1.5 times its values at near nodes"
    top = 1.5 * float(law.density(manifold.sample(1 << 14, np.random.default_rng(0))).max())
    _bounded(law, top)
    return (lambda n, rng: (manifold.sample(n, rng), np.full(n, top))), f"{top:.4g}"


def _bounded(law: OfFunction, top: float) -> None:
    """ValueError where the largest density found cannot be sampled by rejection."""
    if not 0.0 < top < LARGEST:
        raise ValueError(
            f"{law.name} is {top:g} at most wherever it was looked at, and cannot be sampled; give "
            f"a measure, or a density that is positive somewhere and below {LARGEST:g}"
        )


def _probes(on: Mesh) -> Array:
    """The nodes of a mesh, then as often as `MOVES` says moved by an isometry of a torus or a
    sphere: by parts of a cell on grids, turned at random elsewhere.
    """
    M, moved = on.manifold, []
    if isinstance(M, Torus) and on.shape is not None:
        h = M.period / np.array(on.shape)
        moved = [M.wrap(on.nodes + h * k / (MOVES + 1)) for k in range(1, MOVES + 1)]
    elif isinstance(M, Sphere):
        turns = np.random.default_rng(0).standard_normal((MOVES, M.ambient, M.ambient))
        moved = [on.nodes @ np.linalg.qr(turn)[0] for turn in turns]
    return np.concatenate([on.nodes, *moved])


_kept = lru_cache(maxsize=4)(_probes)


def _spacing(on: Mesh) -> float:
    """How far nodes of a mesh are apart, along the coarsest axis of a grid or of a product."""
    if on.factors is not None:
        return max(map(_spacing, on.factors))
    if isinstance(on.manifold, Torus) and on.shape is not None:
        return float(on.manifold.period / min(on.shape))
    return float(on.volumes.mean() ** (1 / on.manifold.dim))


class Bump(OfFunction):
    """A von Mises(-Fisher) bump, sampled by exact generators; elsewhere a bump of the distance."""

    def __init__(self, center: Array, std: float, manifold: Manifold, name: str) -> None:
        if len(center) != manifold.ambient:
            raise ValueError(
                f"{name}: the center has {len(center)} coordinates, points of {manifold} "
                f"have {manifold.ambient}"
            )
        manifold.check(f"{name} center", center[None])
        turn = 2 * np.pi / manifold.period if isinstance(manifold, Torus) else 1.0
        kappa = (1 / (turn * std)) ** 2

        def values(points: Array) -> Array:
            with np.errstate(under="ignore"):  # far from the center the density is zero
                if isinstance(manifold, Torus):
                    return np.exp(kappa * np.sum(np.cos(turn * (points - center)) - 1, axis=1))
                if isinstance(manifold, Sphere):
                    return np.exp(kappa * (points @ center - 1))
                return np.exp(-0.5 * kappa * manifold.distance(points, center) ** 2)

        super().__init__(values, manifold, name)
        object.__setattr__(self, "parameters", (center, kappa, std))

    def on(self, onto: Mesh) -> Density:
        std = self.parameters[2]  # type: ignore[attr-defined]
        if std < (coarsest := _spacing(onto)):
            raise ValueError(
                f"{self.name} has std = {std:g}, narrower than the cells of {onto}, which are "
                f"{coarsest:.3g} apart; raise cells, or start from a wider bump"
            )
        return super().on(onto)

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        M, (center, kappa, std) = self.manifold, self.parameters  # type: ignore[attr-defined]
        if isinstance(M, Torus):
            angles = rng.vonmises(0.0, kappa, (n, M.d))
            return M.wrap(center + angles * (M.period / (2 * np.pi)))
        if not isinstance(M, Sphere) or std > WIDE:
            return self._by_rejection(n, rng)
        if std < NARROW:
            steps = std * rng.standard_normal((n, M.d)) @ M.basis(center[None])[0]
            return M.retract(np.broadcast_to(center, steps.shape), steps)
        from scipy.stats import vonmises_fisher

        return vonmises_fisher(center, kappa).rvs(n, random_state=rng)

    def _by_rejection(self, n: int, rng: np.random.Generator) -> Array:
        """Uniform points, each kept with its density as the probability: one of some `tries`."""
        M, std = self.manifold, self.parameters[2]  # type: ignore[attr-defined]
        with np.errstate(over="ignore"):  # wide bumps fill everything
            tries = max(M.volume / (np.sqrt(2 * np.pi) * std) ** M.dim, 1.0)
        if tries > MOST_TRIES:
            raise ValueError(
                f"{self.name} fills 1/{tries:.2g} of {M}, too little to be found by uniform "
                "points; take a wider bump, or draw points of your own and give them as a Measure"
            )
        drawn = np.empty((0, M.ambient))
        while len(drawn) < n:
            count = min(int(1.2 * tries * (n - len(drawn))) + 64, BATCH)
            points = M.sample(count, rng)
            drawn = np.concatenate([drawn, points[rng.random(count) < self.density(points)]])
        return drawn[:n]
