"""The compact manifolds that strategies live on: tori and spheres of any dimension.

Points are rows of arrays of shape (n, a), a the number of coordinates: d angles on the torus
T^d, d + 1 Cartesian coordinates on the sphere S^d. Every operation is batched over rows. Tangent
vectors have the shape of points.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from meanfield.checks import Array, a_generator, finite_array, precision, real, whole

MOST = 1e100  # a torus's period, and its reciprocal
FARTHEST = 1e9  # periods from 0, where angles are rounded to 1e-7 of a period

# Members of a manifold that whatever is done on it asks for.
ALWAYS = {"dim", "ambient", "check", "project", "retract", "sample"}


class Manifold(Protocol):
    """What every other room asks of a manifold; a new one has these twelve members."""

    @property
    def dim(self) -> int:
        """Dimension of the manifold."""

    @property
    def ambient(self) -> int:
        """Number of coordinates of a point."""

    @property
    def volume(self) -> float:
        """Riemannian volume."""

    @property
    def reach(self) -> float:
        """Longest tangent vector that `retract` follows without meeting itself."""

    def check(self, name: str, points: ArrayLike) -> Array:
        """Points (n, a) in canonical coordinates; raises ValueError for one off the manifold."""

    def project(self, x: Array, v: Array) -> Array:
        """Orthogonal projection of ambient vectors v (n, a) on the tangent spaces at x (n, a)."""

    def retract(self, x: Array, v: Array) -> Array:
        """The points reached from x along tangent vectors v, to first order or better."""

    def difference(self, x: Array, y: Array) -> Array:
        """Tangent vectors at x (n, a) that point to y (n, a), of length distance to first order."""

    def distance(self, x: Array, y: Array) -> Array:
        """Geodesic distances of x (..., a) and y (..., a), broadcast against each other."""

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """n independent uniform points, shape (n, a)."""

    def ball_fraction(self, radius: float) -> float:
        """Volume of a geodesic ball over the volume of the manifold (Theorem 1's V_delta)."""

    def basis(self, x: Array) -> Array:
        """Orthonormal tangent frames at x (n, a), shape (n, dim, a)."""


def a_manifold(name: str, value: Any, needed: Set[str] = ALWAYS) -> Manifold:
    """`value` itself; TypeError when it is no manifold, with what it lacks of what is `needed`."""
    if not isinstance(value, (Torus, Sphere)):
        what = f"{name} must be a Torus, a Sphere or their like"
        if isinstance(value, type):
            raise TypeError(f"{what}, got a class; make one of it, such as Torus(1) or Sphere(2)")
        lacks = sorted(needed - {*dir(value)})  # without asking for their values
        if "check" in lacks:
            raise TypeError(f"{what}, got {value!r}")
        if lacks:
            raise TypeError(f"{what}, but {value!r} has no {', '.join(lacks)}")
    return value  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Torus:
    """The flat torus T^d, points given by d angles.

    Parameters
    ----------
    d : int
        The dimension.
    period : float
        Of every angle, 2 pi by default; from 1e-100 to 1e100.
    """

    d: int = 1
    period: float = 2.0 * np.pi

    def __post_init__(self) -> None:
        object.__setattr__(self, "d", whole("Torus d", self.d))
        object.__setattr__(self, "period", real("Torus period", self.period, 0.0, strict=True))
        if not 1 / MOST <= self.period <= MOST:
            raise ValueError(
                f"Torus period must be from {1 / MOST:g} to {MOST:g}, got {self.period:g}"
            )

    def __repr__(self) -> str:
        return (
            f"Torus({self.d})"
            if self.period == 2 * np.pi
            else f"Torus({self.d}, period={self.period})"
        )

    @property
    def dim(self) -> int:
        return self.d

    @property
    def ambient(self) -> int:
        return self.d

    @property
    def volume(self) -> float:
        return self.period**self.d

    @property
    def reach(self) -> float:
        return self.period / 2

    def check(self, name: str, points: ArrayLike) -> Array:
        """Angles within 1e9 periods of 0 are points; they come back wrapped to [0, period)."""
        x = finite_array(name, points, (None, self.d))
        if (np.abs(x) > FARTHEST * self.period).any():
            raise ValueError(
                f"{name} reach {np.abs(x).max():.4g}, beyond {FARTHEST:g} periods of "
                f"{self.period:.4g}, where rounding takes an angle's digits"
            )
        return self.wrap(x)

    def wrap(self, x: Array) -> Array:
        wrapped = np.mod(x, self.period)
        # np.mod(-1e-20, P) rounds to P itself, which is the point 0.
        wrapped[wrapped >= self.period] = 0.0
        return wrapped

    def project(self, x: Array, v: Array) -> Array:
        return v

    def retract(self, x: Array, v: Array) -> Array:
        return self.wrap(x + v)

    def difference(self, x: Array, y: Array) -> Array:
        """y - x by the shortest way, each angle in [-period/2, period/2)."""
        half = self.period / 2
        return np.mod(y - x + half, self.period) - half

    def distance(self, x: Array, y: Array) -> Array:
        x, y = _coordinates("x", x), _coordinates("y", y)
        # The absolute value first: symmetric to the last bit, and small distances keep their
        # digits.
        gap = np.mod(np.abs(x - y), self.period)
        return np.sqrt(np.sum(np.minimum(gap, self.period - gap) ** 2, axis=-1))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        shape = whole("n", n, 0), self.d
        return self.wrap(a_generator("rng", rng).random(shape) * self.period)

    def ball_fraction(self, radius: float) -> float:
        """Closed for every radius when d = 1, up to half a period for d > 1 (else ValueError)."""
        from scipy.special import gamma

        r = real("radius", radius, 0.0)
        if self.d == 1:
            return min(2 * r / self.period, 1.0)
        if r > self.period / 2:
            raise ValueError(
                f"radius must be at most half a period, {self.period / 2:g}, got {r:g}"
            )
        return float(np.pi ** (self.d / 2) / gamma(self.d / 2 + 1) * (r / self.period) ** self.d)

    def basis(self, x: Array) -> Array:
        return np.broadcast_to(np.eye(self.d), (len(x), self.d, self.d))


@dataclass(frozen=True)
class Sphere:
    """The unit sphere S^d in R^{d+1}; `Sphere(2)` is the sphere of everyday life.

    Parameters
    ----------
    d : int
        The dimension; points have d + 1 coordinates.
    """

    d: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "d", whole("Sphere d", self.d))

    def __repr__(self) -> str:
        return f"Sphere({self.d})"

    @property
    def dim(self) -> int:
        return self.d

    @property
    def ambient(self) -> int:
        return self.d + 1

    @property
    def volume(self) -> float:
        from scipy.special import gamma

        return float(2 * np.pi ** ((self.d + 1) / 2) / gamma((self.d + 1) / 2))

    @property
    def reach(self) -> float:
        return np.pi / 2

    def check(self, name: str, points: ArrayLike) -> Array:
        """Points must have norm one within 1e-9, or their own precision; what is left of that is
        divided out.
        """
        x = finite_array(name, points, (None, self.ambient))
        norms = np.linalg.norm(x, axis=1)
        off = np.abs(norms - 1) > max(1e-9, 8 * precision(points))
        if off.any():
            i = int(np.argmax(off))
            raise ValueError(
                f"{name}[{i}] has norm {norms[i]:.12g}, so it is not on the unit sphere S^{self.d}"
                "; divide points by their norms first"
            )
        return x / norms[:, None]

    def project(self, x: Array, v: Array) -> Array:
        return v - np.sum(x * v, axis=-1, keepdims=True) * x

    def retract(self, x: Array, v: Array) -> Array:
        moved = x + v
        return moved / np.linalg.norm(moved, axis=-1, keepdims=True)

    def difference(self, x: Array, y: Array) -> Array:
        """The chord y - x projected on the tangent space at x: its length is the sine of the
        angle.
        """
        return self.project(x, y - x)

    def distance(self, x: Array, y: Array) -> Array:
        x, y = _coordinates("x", x), _coordinates("y", y)
        # Keeps its digits for near points and for antipodes, where arccos and arcsin lose half of
        # them.
        return 2 * np.arctan2(np.linalg.norm(x - y, axis=-1), np.linalg.norm(x + y, axis=-1))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        shape = whole("n", n, 0), self.ambient
        x = a_generator("rng", rng).standard_normal(shape)
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    def ball_fraction(self, radius: float) -> float:
        """Half the regularised incomplete beta function of sin^2, mirrored past the equator."""
        from scipy.special import betainc

        r = min(real("radius", radius, 0.0), np.pi)
        half = 0.5 * float(betainc(self.d / 2, 0.5, np.sin(r) ** 2))
        return half if r <= np.pi / 2 else 1.0 - half

    def basis(self, x: Array) -> Array:
        """Columns 2, ... of the Householder reflection that sends the first axis to +-x."""
        u = x.copy()
        u[:, 0] += np.where(x[:, 0] >= 0, 1.0, -1.0)
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        frame = np.eye(self.ambient)[None] - 2 * u[:, :, None] * u[:, None, :]
        return frame[:, 1:, :]


def _coordinates(name: str, points: ArrayLike) -> Array:
    """Points as they are where they are an array; lists of numbers as one."""
    return points if isinstance(points, np.ndarray) else finite_array(name, points)


def unit(manifold: Manifold) -> float:
    """What lengths are measured by: one on spheres and on tori of period 2 pi."""
    return manifold.period / (2 * np.pi) if isinstance(manifold, Torus) else 1.0
