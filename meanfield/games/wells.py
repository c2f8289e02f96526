"""A trigonometric polynomial on the circle as a landscape: its minima, Gibbs law and gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meanfield.checks import Array, finite_array, real, within_memory
from meanfield.games.bases import frequency

FLATTEST = 1e-290  # waves whose slopes have lost no digits
ROOTS = (
    200.0  # bytes, times the square of the highest frequency, of the matrix of all critical points
)


@dataclass(frozen=True, eq=False)
class Wells:
    """f(x) = sum of re cos kx - im sin kx over waves (k, re, im), period 2 pi.

    minima (m,), lowest first, values (m,) there, and maxima (m,) in order, all to rounding.
    """

    waves: tuple[tuple[int, float, float], ...]
    minima: Array
    values: Array
    maxima: Array

    @classmethod
    def of(cls, name: str, waves: Sequence[Any]) -> Wells:
        """From (k, re, im) triples; raises for others and for a function without minima."""
        checked = tuple(_wave(f"{name}[{i}]", wave) for i, wave in enumerate(waves))
        highest = float(max((k for k, _, _ in checked), default=0))
        within_memory(
            f"the minima of {name} of frequency {highest:g}",
            ROOTS * highest**2,
            "take lower frequencies",
        )
        c = _coefficients(checked)
        if not np.abs(c[1:]).max(initial=0.0) > FLATTEST:
            raise ValueError(
                f"{name} is constant but for waves below {FLATTEST:g}, so it has no wells; use "
                "free() for a game without forces"
            )
        points = _critical(c)
        bent = _evaluate(c, points, 2)
        lows, highs = points[bent > 0], points[bent < 0]
        order = np.argsort(_evaluate(c, lows), kind="stable")
        return cls(checked, lows[order], _evaluate(c, lows[order]), highs)

    def __call__(self, x: Any, order: int = 0) -> Array:
        """f or its derivative of that order, at angles of any shape."""
        return _evaluate(_coefficients(self.waves), finite_array("x", x), order)

    def reached(self, start: float) -> float:
        """The value of the minimum that gradient descent reaches from an angle."""
        edges = np.sort(self.maxima)
        basin = np.searchsorted(edges, np.mod([start, *self.minima], 2 * np.pi)) % len(edges)
        return float(self.values[np.flatnonzero(basin[1:] == basin[0])[0]])

    def gibbs(self, x: Any, beta: float) -> Array:
        """exp(-beta f)/Z at angles of any shape; Z by the trapezoid rule, spectrally exact."""
        nodes = np.arange(4096) * (2 * np.pi / 4096)
        floor = self.values[0]
        Z = 2 * np.pi * np.mean(np.exp(-beta * (self(nodes) - floor)))
        return np.exp(-beta * (self(x) - floor)) / Z

    def spectral_gap(self, beta: float, modes: int = 256) -> float:
        """The slowest decay rate of d_t mu = (mu f')' + mu''/beta.

        The ground state transform makes the generator H = -(1/beta) d^2 + beta f'^2/4 - f''/2, a
        banded Hermitian matrix in Fourier space whose lowest eigenvalue is zero.
        Raises ValueError where the gap is lost in the matrix's rounding: beta is too large.
        """
        c = _coefficients(self.waves)
        K = len(c) - 1
        k, modes_of_f = np.arange(-modes, modes + 1), np.arange(-K, K + 1)
        slope = _slope(c)
        band = beta / 4 * np.convolve(slope, slope)
        band[K : 3 * K + 1] -= slope * (1j * modes_of_f) / 2
        H = np.zeros((len(k), len(k)), dtype=complex)
        for n, value in enumerate(band):
            np.fill_diagonal(H[max(n - 2 * K, 0) :, max(2 * K - n, 0) :], value)
        H += np.diag(k**2 / beta)
        levels = np.linalg.eigvalsh(H)
        gap, lost = float(levels[1]), 1e-15 * float(np.abs(levels).max())
        if gap < 100 * lost:
            raise ValueError(
                f"the spectral gap at beta = {beta:g} is below {100 * lost:.0e}, where rounding "
                "hides it; meanfield.stability keeps the digits of exponentially small rates"
            )
        return gap


def _wave(name: str, wave: Any) -> tuple[int, float, float]:
    try:
        k, re, im = wave
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be (k, re, im), got {wave!r}") from None
    return frequency(f"{name} k", k, 0), real(f"{name} re", re), real(f"{name} im", im)


def _coefficients(waves: Sequence[tuple[int, float, float]]) -> Array:
    """Complex c_k with f = Re sum_k c_k exp(i k x), k = 0..K."""
    c = np.zeros(max((k for k, _, _ in waves), default=0) + 1, complex)
    for k, re, im in waves:
        c[k] += re + 1j * im
    return np.trim_zeros(c, "b") if c.any() else c[:1]


def _slope(c: Array) -> NDArray[np.complex128]:
    """Coefficients for k = -K..K of f', f = Re sum c_k exp(ikx)."""
    return np.concatenate([np.conj(c[:0:-1]), c]) * 0.5j * np.arange(1 - len(c), len(c))


def _evaluate(c: Array, x: Array, order: int = 0) -> Array:
    k = np.arange(len(c))
    return np.real(np.exp(1j * np.asarray(x)[..., None] * k) @ (c * (1j * k) ** order))


def _critical(c: Array) -> Array:
    """Zeros of f' in [0, 2 pi): its polynomial's roots in exp(ix) on the circle, then Newton."""
    roots = np.roots(_slope(c)[::-1])
    x = np.angle(roots[np.abs(np.abs(roots) - 1) < 1e-5])
    for _ in range(4):
        bend = _evaluate(c, x, 2)
        x = x - np.where(bend != 0, _evaluate(c, x, 1) / np.where(bend != 0, bend, 1.0), 0.0)
    scale = np.sum(np.arange(len(c)) * np.abs(c))
    x = np.sort(np.mod(x[np.abs(_evaluate(c, x, 1)) < 1e-12 * scale], 2 * np.pi))
    return x[np.concatenate([[True], np.diff(x) > 1e-9])] if len(x) else x
