"""Energies of low modes: W2^2 of a sample from its law, linearised, with a mean that is known
exactly.

For nu near mu, W2^2(nu, mu) is to leading order the squared H^-1(mu) norm of nu - mu, the supremum
over psi of 2 (nu - mu)(psi) - int |grad psi|^2 dmu. Over the span of low modes phi that supremum is

    E = d' A^-1 d,   d = nu(phi) - mu(phi),   A_kl = int grad phi_k . grad phi_l (dmu + r du),

u the uniform law, r = 1/100 for what mu leaves empty. For n independent points of law mu the mean
of E is tr(A^-1 Cov_mu(phi)) / n exactly, whatever A: a control variate for E W2^2.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Measure

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
        self.manifold, self.highest = M, HIGHEST[M.dim]
        m = mu.masses / mu.masses.sum()
        values = _modes(M, self.highest, mu.points)
        self.means = (m[:, None] * values).sum(axis=0)
        slopes = _gradients(M, self.highest, mu.points)
        A = np.einsum("n,nak,nal->kl", m, slopes, slopes, optimize=True) + EMPTY * np.diag(
            _stiffness(M, self.highest)
        )
        size, axes = np.linalg.eigh(A)
        self.axes = axes / np.sqrt(size)
        off = (values - self.means) @ self.axes
        weights = m if labels is None else m * m / (labels / labels.sum())
        self.mean = float((weights[:, None] * off**2).sum())

    def __call__(self, sample: Measure, mass: float = 1.0) -> float:
        """E of a sample."""
        d = np.zeros(len(self.means))
        for i in range(0, len(sample), CHUNK):
            w = sample.masses[i : i + CHUNK, None]
            # Not a product of matrices, whose sums may depend on the number of threads.
            d += (
                w * (_modes(self.manifold, self.highest, sample.points[i : i + CHUNK]) - self.means)
            ).sum(axis=0)
        return float((((mass * d)[:, None] * self.axes).sum(axis=0) ** 2).sum())


def _waves(M: Torus, highest: int) -> Array:
    """Wave vectors of one of each pair +-k with 0 < |k| <= highest, (J, d)."""
    k = [k for k in product(range(-highest, highest + 1), repeat=M.d) if k > (0,) * M.d]
    return np.array([v for v in k if np.dot(v, v) <= highest**2]) * (2 * np.pi / M.period)


def _modes(M: Manifold, highest: int, points: Array) -> Array:
    """Cosines and sines, or real orthonormal harmonics, at points (n, a): (n, J)."""
    if isinstance(M, Torus):
        phase = points @ _waves(M, highest).T
        return np.concatenate([np.cos(phase), np.sin(phase)], axis=1)
    rows = []
    for m, l, Y in solid_harmonics(points, highest):
        rows += [Y.real] if m == 0 else [np.sqrt(2) * Y.real, np.sqrt(2) * Y.imag]
        if l == 0:
            rows.pop()
    return np.stack(rows, axis=1)


def solid_harmonics(
    points: Array, count: int, weights: Array | None = None
) -> Iterator[tuple[int, int, Any]]:
    """(m, l, weights times Y_lm) at points (n, 3) for m = 0, ..., count and l = m, ..., count;
    orthonormal, complex.
    """
    x, y, z = points.T
    turn = x - 1j * y
    top = np.full(len(z), np.sqrt(0.25 / np.pi), dtype=np.complex128) * (
        1.0 if weights is None else weights
    )
    for m in range(count + 1):
        # Fully normalised Legendre functions by degree; sin^m and the phase sit in `top`.
        last, here = np.zeros_like(top), top
        for l in range(m, count + 1):
            yield m, l, here
            up = np.sqrt((4.0 * (l + 1) ** 2 - 1) / ((l + 1) ** 2 - m**2))
            down = np.sqrt((l**2 - m**2) / (4.0 * l**2 - 1)) if l > m else 0.0
            last, here = here, up * (z * here - down * last)
        top = top * turn * np.sqrt((2 * m + 3) / (2 * m + 2))


def _stiffness(M: Manifold, highest: int) -> Array:
    """int |grad phi_k|^2 du, (J,)."""
    if isinstance(M, Torus):
        return np.tile(np.sum(_waves(M, highest) ** 2, axis=1) / 2, 2)
    degrees = [
        l
        for m in range(highest + 1)
        for l in range(max(m, 1), highest + 1)
        for _ in range(1 if m == 0 else 2)
    ]
    return np.array([l * (l + 1) / (4 * np.pi) for l in degrees])


def _gradients(M: Manifold, highest: int, points: Array, h: float = 1e-4) -> Array:
    """Along the frame, by differences: what they miss changes A a little, and no mean.

    (n, dim, J).
    """
    frame = M.basis(points)
    sides = [
        [_modes(M, highest, M.retract(points, s * frame[:, k])) for s in (h, -h)]
        for k in range(M.dim)
    ]
    return np.stack([(ahead - behind) / (2 * h) for ahead, behind in sides], axis=1)
