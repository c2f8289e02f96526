"""Energies of low modes, whose means are known exactly: what W2^2 of a sample is to leading order.

For nu near mu, W2^2(nu, mu) is to leading order the squared H^-1(mu) norm of nu - mu, the supremum
over psi of 2 (nu - mu)(psi) - int |grad psi|^2 dmu. Over the span of low modes phi that supremum is

    E = d' A^-1 d,   d = nu(phi) - mu(phi),   A_kl = int grad phi_k . grad phi_l (dmu + r du),

u the uniform law, r = 1/100 for what mu leaves empty. For n independent points of law mu the mean
of E is tr(A^-1 Cov_mu(phi)) / n exactly, whatever A: a control variate for E W2^2.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from meanfield.checks import Array
from meanfield.games.bases import TrigBasis
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Measure
from meanfield.meshes.harmonics import degrees, values

EMPTY = 0.01  # r
CHUNK = 1 << 13  # points at a time
# Highest modes by dimension: what W2^2 of uniform points owes to higher ones has 1e-3 of its
# variance on the circle, 2% on surfaces.
HIGHEST = {1: 8, 2: 5}


def has_modes(manifold: Manifold) -> bool:
    """Whether there are modes on this manifold: the circle, T^2 and S^2."""
    return (isinstance(manifold, Torus) and manifold.d <= 2) or (
        isinstance(manifold, Sphere) and manifold.d == 2
    )


class ModeEnergy:
    """E of samples of a law mu, and `mean`, n times its mean for n independent points.

    labels (N,): for weighted samples. Where points x_i are drawn from sum labels_j delta(z_j) and
    moved and weighted by maps that take z_j to mu.points[j] and labels_j to mu.masses[j], a
    sample's weights are those of the map over n, and do not sum to one: `mass` is their sum.

    Raises ValueError off the circle, T^2 and S^2.
    """

    def __init__(self, mu: Measure, labels: Array | None = None) -> None:
        M = mu.manifold
        if not has_modes(M):
            raise ValueError(f"energies of modes are for the circle, T^2 and S^2, got {M}")
        self.manifold = M
        m = mu.masses / mu.masses.sum()
        phi = _modes(M, mu.points)
        self.means = (m[:, None] * phi).sum(axis=0)
        slopes = _gradients(M, mu.points)
        A = np.einsum("n,nak,nal->kl", m, slopes, slopes, optimize=True)
        size, axes = np.linalg.eigh(A + EMPTY * np.diag(_stiffness(M)))
        self.axes = axes / np.sqrt(size)
        off = (phi - self.means) @ self.axes
        weights = m if labels is None else m * m / (labels / labels.sum())
        self.mean = float((weights[:, None] * off**2).sum())

    def __call__(self, sample: Measure, mass: float = 1.0) -> float:
        """E of a sample."""
        d = np.zeros(len(self.means))
        for i in range(0, len(sample), CHUNK):
            off = _modes(self.manifold, sample.points[i : i + CHUNK]) - self.means
            # Not a product of matrices, whose sums may depend on the number of threads.
            d += (sample.masses[i : i + CHUNK, None] * off).sum(axis=0)
        return float((((mass * d)[:, None] * self.axes).sum(axis=0) ** 2).sum())


def _waves(M: Torus) -> TrigBasis:
    """Cosines and sines of one of each pair +-k with 0 < |k| <= the highest."""
    highest = HIGHEST[M.dim]
    k = [k for k in product(range(-highest, highest + 1), repeat=M.d) if k > (0,) * M.d]
    return TrigBasis(M, np.array([v for v in k if np.dot(v, v) <= highest**2]))


def _modes(M: Manifold, points: Array) -> Array:
    """Cosines and sines, or real orthonormal harmonics, at points (n, a): (n, J)."""
    if isinstance(M, Torus):
        return _by_powers(_waves(M), points)
    return values(points, HIGHEST[2])[:, 1:]


def _by_powers(basis: TrigBasis, points: Array) -> Array:
    """The basis's values (n, 2J) by powers of e^(iwx), for one cosine and one sine an angle."""
    angles = points.T * (2 * np.pi / basis.manifold.period)
    z = np.cos(angles) + 1j * np.sin(angles)
    powers = np.ones((int(np.abs(basis.modes).max()) + 1, *z.shape), dtype=complex)
    np.cumprod(np.broadcast_to(z, (len(powers) - 1, *z.shape)), axis=0, out=powers[1:])
    found = np.empty((2, len(basis.modes), len(points)))
    for j, k in enumerate(basis.modes):
        wave = 1.0 + 0.0j
        for axis, m in enumerate(k):
            other = powers[abs(m), axis]
            wave = wave * (other if m >= 0 else other.conj())
        found[0, j], found[1, j] = wave.real, wave.imag
    return found.reshape(basis.size, len(points)).T


def _stiffness(M: Manifold) -> Array:
    """int |grad phi_k|^2 du, (J,)."""
    if isinstance(M, Torus):
        return np.tile(np.sum(_waves(M).waves ** 2, axis=1) / 2, 2)
    l = degrees(HIGHEST[2])[1:]
    return l * (l + 1) / (4 * np.pi)


def _gradients(M: Manifold, points: Array, h: float = 1e-4) -> Array:
    """Along the frame (n, dim, J), by differences: what they miss changes A a little, no mean."""
    frame = M.basis(points)
    sides = [[_modes(M, M.retract(points, s * frame[:, k])) for s in (h, -h)] for k in range(M.dim)]
    return np.stack([(ahead - behind) / (2 * h) for ahead, behind in sides], axis=1)
