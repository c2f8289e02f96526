"""Cheaper companions of W2 on T^2 and S^2: energies of modes (the H^-1 norm), sliced W2, control
variates.

Near the uniform law W2^2 is, to leading order, the squared H^-1 norm

    T^2 (period P): sum over k != 0 of |mu_k - nu_k|^2 (P / (2 pi |k|))^2,
    mu_k = int exp(-2 pi i k.x/P) dmu,
    S^2: 4 pi sum over l >= 1 and m of |mu_lm - nu_lm|^2 / (l (l + 1)),       mu_lm = int Y_lm dmu.

For atoms that sum grows without bound, like log of the highest mode, where W2 stays: of n = 1000
uniform points on T^2 modes up to 4 / 15 / 60 give 0.36 / 0.70 / 1.03 of W2^2. For a Gaussian
cluster of width 0.1 / 0.03 / 0.01 periods against the uniform law all modes give 1.4 / 2.1 / 3.0
times W2^2. For n i.i.d. uniform points E |mu_k|^2 = 1/n exactly, which makes low modes control
variates of known mean.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meanfield.checks import Array, finite_array, real, whole
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Measure
from meanfield.meshes.harmonics import degrees, of_atoms


def shell_energies(a: Measure, b: Measure | None = None, modes: int = 16) -> Array:
    """The terms of the squared H^-1 norm of a - b (b uniform when None) by shells 1, ..., modes,
    (modes,).

    Shell s is s - 1 < |k| <= s on T^2 and the degree l = s on S^2. Densities are atoms at their
    nodes: keep `modes` well below the cells per axis. Raises ValueError off T^2 and S^2.
    """
    _check(a.manifold)
    count = whole("modes", modes)
    if b is not None and b.manifold != a.manifold:
        raise ValueError(
            f"both measures must live on one manifold, got {a.manifold} and {b.manifold}"
        )
    if isinstance(a.manifold, Sphere):
        c = of_atoms(a.points, a.masses, count)
        c -= 0 if b is None else of_atoms(b.points, b.masses, count)
        l = np.arange(1, count + 1)
        return 4 * np.pi * np.bincount(degrees(count), c**2)[1:] / (l * (l + 1.0))
    P = a.manifold.period  # type: ignore[attr-defined]
    coefficients = _torus_modes(a, count) - (0 if b is None else _torus_modes(b, count))
    size, shell = _frequencies(count)
    energy = np.abs(coefficients) ** 2 * (P / (2 * np.pi)) ** 2 / np.maximum(size, 1.0) ** 2
    return _by_shell(shell, energy, count)


def shell_means(manifold: Manifold, modes: int = 16) -> Array:
    """n times the expected `shell_energies` of n i.i.d. uniform points, exactly, (modes,).

    With i.i.d. weights W_i of sum one, independent of the points, read 1/n as E sum W_i^2.
    """
    _check(manifold)
    count = whole("modes", modes)
    if isinstance(manifold, Sphere):
        l = np.arange(1, count + 1)
        return (2 * l + 1) / (l * (l + 1.0))
    size, shell = _frequencies(count)
    energy = (manifold.period / (2 * np.pi)) ** 2 / np.maximum(size, 1.0) ** 2
    return _by_shell(shell, energy, count)


def negative_sobolev(a: Measure, b: Measure | None = None, modes: int = 16) -> float:
    """The H^-1 norm of a - b over the first shells of modes; b uniform when None.

    Within 1 + O(density's distance from uniform) of W2 near the uniform law; far from it, it can
    mislead either way.
    """
    return float(np.sqrt(shell_energies(a, b, modes).sum()))


def bands(shells: Array, edges: ArrayLike = (1, 2, 4, 8, 16, 32, 64)) -> Array:
    """Shells (..., modes) summed by bands [edge, next edge), (..., bands): few controls instead of
    many.
    """
    count = shells.shape[-1]
    cuts = [int(e) - 1 for e in np.asarray(edges) if e <= count] + [count]
    return np.stack([shells[..., u:v].sum(axis=-1) for u, v in pairwise(cuts)], axis=-1)


def controlled_mean(
    samples: ArrayLike, controls: ArrayLike, means: ArrayLike, confidence: float = 0.95
) -> tuple[float, float, float]:
    """The mean of samples (R,) by regression on controls (R, c) of known means (c,), and its
    interval.

    samples = m + (controls - means) @ beta + noise by least squares: m has the variance of the
    noise alone, at a bias of order 1/R. Raises ValueError for fewer than c + 3 samples.
    """
    from scipy.stats import t

    y = finite_array("samples", samples, (None,))
    C = finite_array("controls", controls, (len(y), None)) - finite_array("means", means, (None,))
    level = real("confidence", confidence, 0.0, strict=True)
    if level >= 1:
        raise ValueError(f"confidence must be below 1, got {level:g}")
    free = len(y) - C.shape[1] - 1
    if free < 2:
        raise ValueError(
            f"{len(y)} samples are too few for {C.shape[1]} controls; take at least "
            f"{C.shape[1] + 3}"
        )
    scale = np.maximum(np.abs(C).max(axis=0), 1e-300)
    design = np.column_stack([np.ones(len(y)), C / scale])
    coefficients, *_ = np.linalg.lstsq(design, y, rcond=None)
    residual = y - design @ coefficients
    variance = residual @ residual / free * np.linalg.pinv(design.T @ design)[0, 0]
    half = float(t.ppf(0.5 + level / 2, free) * np.sqrt(variance))
    mean = float(coefficients[0])
    return mean, mean - half, mean + half


def _check(manifold: Manifold) -> None:
    if not (isinstance(manifold, (Torus, Sphere)) and manifold.d == 2):
        raise ValueError(f"mode energies are for T^2 and S^2, got {manifold}")


def _frequencies(count: int) -> tuple[Array, NDArray[np.int64]]:
    """|k| and its shell for -count <= k_1, k_2 <= count; shells 0 and count + 1 are left out of
    sums.
    """
    k = np.arange(-count, count + 1)
    squares = k[:, None] ** 2 + k**2
    shell = np.ceil(np.sqrt(squares) - 1e-12).astype(np.int64)
    return np.sqrt(squares), np.minimum(shell, count + 1)


def _by_shell(shell: NDArray[np.int64], energy: Array, count: int) -> Array:
    sums = np.zeros(count + 2)
    np.add.at(sums, shell, energy)
    return sums[1 : count + 1]


def _torus_modes(measure: Measure, count: int) -> Array:
    angle = measure.points * (2 * np.pi / measure.manifold.period)  # type: ignore[attr-defined]
    k = np.arange(-count, count + 1)
    waves = [np.exp(-1j * angle[:, axis, None] * k) for axis in range(2)]
    return (measure.masses[:, None] * waves[0]).T @ waves[1]
