"""Mixed strategies: weighted points, densities on meshes, and the laws that runs start from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from meanfield.checks import (
    Array,
    NotConverged,
    a_generator,
    finite_array,
    precision,
    read_only,
    unmasked,
    warn,
    whole,
)
from meanfield.manifolds import Manifold, Torus, a_manifold
from meanfield.meshes import Mesh, mesh
from meanfield.meshes.cells import scattered
from meanfield.meshes.harmonics import at_nodes, evaluate, of_values
from meanfield.shown import Shown

HOPELESS = 0.25  # of a mass, below zero
M = TypeVar("M", bound="Measure")
Allowed = Callable[[int], tuple[float, str]]


@dataclass(frozen=True, eq=False)
class Measure(Shown):
    """A probability measure sum_i masses_i delta(points_i) on a manifold.

    Parameters
    ----------
    points : (n, a)
    masses : (n,), optional
        Nonnegative with sum one; uniform when None. Numbers of single precision may be off by their
        own rounding, and are brought back to the manifold and to the sum one.
    manifold : Torus or Sphere

    Raises
    ------
    ValueError
        For wrong shapes, non-finite or negative masses, masses that do not sum to one within 1e-8,
        and points off the manifold.

    Examples
    --------
    >>> import meanfield as mf
    >>> mu = mf.Measure([[0.0], [1.0]], [0.25, 0.75], mf.Torus(1))
    >>> float(mu.integrate(lambda x: x[:, 0]))
    0.75
    """

    points: Array
    masses: Array
    manifold: Manifold

    def __init__(self, points: ArrayLike, masses: ArrayLike | None, manifold: Manifold) -> None:
        x = a_manifold("manifold", manifold, {"check"}).check("points", points)
        if not len(x):
            raise ValueError("points are empty; a probability measure needs at least one")
        m = np.full(len(x), 1 / len(x)) if masses is None else _checked_masses(masses, len(x))
        for name, value in (("points", x), ("masses", m), ("manifold", manifold)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.masses)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} points on {self.manifold})"

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw it as `meanfield.plotting.plot_measure` does; returns the matplotlib figure."""
        from meanfield.plotting import plot_measure

        return plot_measure(self, ax, **options)

    def integrate(self, values: Callable[[Array], Array] | Array) -> Any:
        """int f dmu, for a function of the points (n, a) or for its values (n, ...) there.

        Raises ValueError where it has no finite value at a point.
        """
        at = unmasked(values(read_only(self.points)) if callable(values) else values)
        if at.ndim == 0 or len(at) != len(self):
            raise ValueError(
                f"integrate needs a value for each of the {len(self)} points, or a function that "
                "gives them, "
                f"got shape {at.shape}"
            )
        if at.dtype.kind in "fc" and not np.isfinite(at).all():
            i = tuple(np.argwhere(~np.isfinite(at))[0].tolist())
            raise ValueError(
                f"integrate needs finite values, but that at point {i[0]}, {self.points[i[0]]}, is "
                f"{at[i]}"
            )
        return np.tensordot(self.masses, at, axes=(0, 0))

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """n i.i.d. points (n, a)."""
        n = whole("n", n, 0)
        a_generator("rng", rng)
        return self.points[rng.choice(len(self), size=n, p=self.masses / self.masses.sum())]

    def deposit(self, onto: Mesh) -> Density:
        """The masses gathered in the cells that the points lie in."""
        _same_manifold(self.manifold, _a_mesh("onto", onto).manifold)
        return Density(np.bincount(onto.locate(self.points), self.masses, len(onto)), onto)


@dataclass(frozen=True, eq=False, repr=False)
class Density(Measure):
    """A measure whose points are the nodes of a mesh and that is spread evenly over its cells.

    Parameters
    ----------
    masses : (N,)
        Cell masses; `values` = masses / volumes is the density.
    mesh : Mesh
    """

    mesh: Mesh = field(repr=False)

    def __init__(self, masses: ArrayLike, mesh: Mesh) -> None:
        m = _checked_masses(masses, len(_a_mesh("mesh", mesh)))
        for name, value in (
            ("points", mesh.points),
            ("masses", m),
            ("manifold", mesh.manifold),
            ("mesh", mesh),
        ):
            object.__setattr__(self, name, value)

    @property
    def values(self) -> Array:
        """Density at the nodes, shape (N,)."""
        return self.masses / self.mesh.volumes

    def __call__(self, points: Array) -> Array:
        """The piecewise-constant density at points (n, a), shape (n,)."""
        return self.values[self.mesh.locate(self.manifold.check("points", points))]

    def interpolated(self, points: Array) -> Array:
        """The density between the nodes, at points (n, a), shape (n,).

        Multilinear on grids of tori; on a quadrature of S^2 (`quadrature_mesh`) the sum of
        harmonics through all values, exact for densities of degree below the number of parallels
        and as accurate as these are resolved for others, where it may be negative; elsewhere the
        value of the cell.
        """
        at, shape = self.manifold.check("points", points), self.mesh.shape
        if self.mesh.by_parallels:
            return evaluate(of_values(self.values, shape[0] - 1), at)  # type: ignore[index]
        if shape is None or not isinstance(self.manifold, Torus):
            return self(at)
        from scipy.ndimage import map_coordinates

        index = at * (np.array(shape) / self.manifold.period)
        return map_coordinates(self.values.reshape(shape), index.T, order=1, mode="grid-wrap")

    def on(self, onto: Mesh) -> Density:
        """The same density by its values at another mesh's nodes, see `interpolated`.

        Its integrals are those of the other mesh: on the 2562 Voronoi cells of S^2 moments of
        smooth densities are off by about 1e-5. Raises ValueError where the other mesh misjudges
        the mass by a tenth; warns UnderResolved where values are negative.
        """
        _same_manifold(self.manifold, _a_mesh("onto", onto).manifold)
        if self.mesh.same(onto):
            return self
        if self.mesh.by_parallels:
            at = at_nodes(of_values(self.values, self.mesh.shape[0] - 1), onto)  # type: ignore[index]
        else:
            at = self.interpolated(onto.nodes)
        return density_by(at, onto, "interpolated masses")

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """n i.i.d. points, uniform within cells; nodes where the mesh does not say how far its
        cells reach.
        """
        return scattered(self.mesh, super().draw(n, rng), rng)

    def entropy(self) -> float:
        """H = -int log(dmu/dx) dmu."""
        charged = self.masses > 0
        return -float(np.sum(self.masses[charged] * np.log(self.values[charged])))


def mixture(measures: Sequence[Measure], weights: ArrayLike | None = None) -> Measure:
    """sum_k weights_k measures_k: time averages, for one.

    Parameters
    ----------
    measures : sequence of Measure
        On one manifold.
    weights : (K,), optional
        Equal ones by default.

    Returns
    -------
    Measure
        A density where all are densities on one mesh, otherwise a measure on all points.

    Raises
    ------
    TypeError, ValueError
        For what is no measure, for none at all, and for weights that do not sum to one.
    """
    measures = list(measures) if isinstance(measures, Iterable) else [measures]
    if not measures:
        raise ValueError("measures are empty; a mixture needs at least one")
    for k, given in enumerate(measures):
        if not isinstance(given, Measure):
            raise TypeError(
                f"measures[{k}] must be a meanfield.Measure, got {type(given).__name__}"
            )
    w = np.full(len(measures), 1 / len(measures))
    if weights is not None:
        w = finite_array("weights", weights, (len(measures),))
        _check_masses(w)
    first = measures[0]
    for other in measures[1:]:
        _same_manifold(first.manifold, other.manifold)
    shared: Any = getattr(first, "mesh", None)
    if all(isinstance(m, Density) and m.mesh.same(shared) for m in measures):
        return Density(sum(c * m.masses for c, m in zip(w, measures, strict=True)), shared)
    points = np.concatenate([m.points for m in measures])
    return Measure(
        points,
        np.concatenate([c * m.masses for c, m in zip(w, measures, strict=True)]),
        first.manifold,
    )


def uniform(manifold: Manifold) -> Density:
    """The uniform law, as a density on the manifold's default mesh.

    Parameters
    ----------
    manifold : Torus or Sphere

    Returns
    -------
    Density
    """
    cells = mesh(manifold)
    return Density(cells.volumes / cells.volumes.sum(), cells)


def _checked_masses(masses: ArrayLike, n: int) -> Array:
    """A copy of masses (n,); those of single precision are divided by their sum."""
    m, rounding = finite_array("masses", masses, (n,)).copy(), precision(masses)
    _check_masses(m, max(1e-8, 32 * rounding))
    return m / m.sum() if rounding > 1e-8 else m


def _check_masses(m: Array, within: float = 1e-8) -> None:
    if (m < 0).any():
        i = int(np.argmin(m))
        raise ValueError(f"masses[{i}] is {m[i]:.6g}; masses must not be negative")
    if abs(m.sum() - 1) > within:
        raise ValueError(f"masses sum to {m.sum():.10g}, not to one; divide them by their sum")


def _a_mesh(name: str, value: Any) -> Mesh:
    if not isinstance(value, Mesh):
        raise TypeError(
            f"{name} must be a mesh, such as meanfield.mesh(manifold, cells), got {value!r}"
        )
    return value


def _same_manifold(a: Manifold, b: Manifold) -> None:
    if a != b:
        raise ValueError(f"measures live on different manifolds, {a} and {b}")


def total_variation(a: Density, b: Density) -> float:
    """Half the L1 distance of two densities on the same mesh.

    Parameters
    ----------
    a, b : Density

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Unless both are densities on one mesh.
    """
    if not (isinstance(a, Density) and isinstance(b, Density) and a.mesh.same(b.mesh)):
        raise ValueError(
            "total variation needs two densities on the same mesh; deposit them on one first"
        )
    return 0.5 * float(np.abs(a.masses - b.masses).sum())


def density_on(
    masses: Array,
    onto: Mesh,
    what: str = "masses",
    within: float = 1e-10,
    told: set[str] | None = None,
    cure: str = "raise `cells`",
) -> Density:
    """A Density from computed masses: what is negative is cut, the sum set to one.

    What is `within` the error that masses may have is cut in silence; more negative mass warns
    UnderResolved. told, of a run: the names of what has warned already, which warns no more; of a
    run NotConverged is raised where negative mass is a quarter of all. cure: what helps.
    """
    return densities_on(masses[None], onto, what, lambda _: (within, cure), told)[0]


def density_by(values: Array, onto: Mesh, what: str, within: float = 1e-10) -> Density:
    """`density_on` by values at the nodes, whose mass tells whether the cells resolve them."""
    masses = values * onto.volumes
    if not 0.9 < (mass := float(masses.sum())) < 1.1:
        raise ValueError(
            f"the density is narrower than the cells of {onto}, on which its mass is {mass:.3g}, "
            "not one; take more cells"
        )
    return density_on(masses, onto, what, within)


def densities_on(
    masses: Array, onto: Mesh, what: str, allowed: Allowed, told: set[str] | None
) -> list[Density]:
    """`density_on` of many masses at once, (S, N). allowed: k -> `within` and `cure` of those."""
    positive, lost = masses, [0.0] * len(masses)
    if not masses.min() >= 0.0:
        positive = np.maximum(masses, 0.0)
        lost = (positive - masses).sum(axis=1).tolist()
    found = []
    for k, (negative, mass) in enumerate(zip(lost, positive.sum(axis=1).tolist(), strict=True)):
        if negative != 0.0:
            _tell(what, negative, mass - negative, *allowed(k), told)
        there = 0.0 < mass < np.inf  # otherwise nothing at all, or no numbers
        found.append(_on(positive[k] / mass, onto) if there else Density(masses[k], onto))
    return found


def _tell(
    what: str, lost: float, mass: float, within: float, cure: str, told: set[str] | None
) -> None:
    """Of a negative mass `lost`."""
    if told is not None and not lost <= HOPELESS * abs(mass):
        raise NotConverged(
            f"{what} hold a negative mass of {lost:.2g}: these cells cannot carry the density; "
            'raise `cells`, or use engine="finite-volume", which keeps the sign'
        )
    if lost > within and (told is None or what not in told):
        if told is not None:
            told.add(what)
        warn(f"{what} hold a negative mass of {lost:.2e}, cut to zero; {cure}")


def _on(shares: Array, mesh: Mesh) -> Density:
    manifold, points = mesh.manifold, mesh.points
    return as_is(Density, points=points, masses=shares, manifold=manifold, mesh=mesh)


def as_is(kind: type[M], **values: Any) -> M:
    """A measure of arrays that are known to be right: they are neither checked nor copied."""
    made = object.__new__(kind)
    object.__setattr__(made, "__dict__", values)
    return made
