"""Error bars: bands of means, intervals of their suprema, and of exponents fitted to them.

Each takes control variates where there are any: samples (R, ...) of mean zero, by regression on
which the mean is estimated, with the variance that the regression leaves. The coefficient is
fitted to the same samples (and again to every resample): a bias of order 1/R, far below the
interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meanfield.checks import Array

RESAMPLES = 2000
_TINY = 1e-300


@dataclass(frozen=True)
class Interval:
    """An estimate with a confidence interval."""

    value: float
    low: float
    high: float

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


def band(
    samples: Array, confidence: float = 0.95, controls: Array | None = None
) -> tuple[Array, Array, Array]:
    """The mean over replicas of samples (R, ...) with its Student t interval: mean, low, high."""
    from scipy.stats import t

    R, used = len(samples), 1 if controls is None else 2
    mean = means(samples, controls)
    if used >= R:
        return mean, np.full_like(mean, -np.inf), np.full_like(mean, np.inf)
    variance = samples.var(axis=0, ddof=1) / R
    if controls is not None:
        slope, spread = _regressed(samples, controls)
        residual = samples - slope * controls
        leverage = 1 / R + controls.mean(axis=0) ** 2 / np.maximum(spread * R, _TINY)
        variance = residual.var(axis=0) * R / (R - 2) * leverage
    reach = t.ppf(0.5 + confidence / 2, R - used) * np.sqrt(variance)
    return mean, mean - reach, mean + reach


def means(samples: Array, controls: Array | None = None) -> Array:
    """The mean over replicas of samples (R, ...)."""
    mean: Array = samples.mean(axis=0)
    if controls is None:
        return mean
    return mean - _regressed(samples, controls)[0] * controls.mean(axis=0)


def _regressed(samples: Array, controls: Array) -> tuple[Array, Array]:
    """The slope of samples in controls, (...), and the controls' variance."""
    off = controls - controls.mean(axis=0)
    spread = (off**2).mean(axis=0)
    return (off * samples).mean(axis=0) / np.maximum(spread, _TINY), spread


def _resampled_means(
    samples: Array, rng: np.random.Generator, controls: Array | None = None
) -> Array:
    """Bootstrap means (RESAMPLES, T) of samples (R, T), replicas drawn with replacement."""
    R = len(samples)
    counts = rng.multinomial(R, np.full(R, 1 / R), size=RESAMPLES)
    # Student-scaled: a bootstrap of R replicas understates the variance of a mean by (R - 1) / R.
    mean = samples.mean(axis=0)
    drawn = counts @ samples / R
    if controls is None:
        return mean + np.sqrt(R / max(R - 1, 1)) * (drawn - mean)
    first, centre = means(samples, controls), controls.mean(axis=0)
    off = controls - centre
    moved = counts @ off / R
    spread = counts @ off**2 / R - moved**2
    # A resample of one replica alone has no slope.
    flat = spread <= 1e-12 * (off**2).mean(axis=0)
    covariance = counts @ (off * samples) / R - moved * drawn
    slope = np.where(flat, 0.0, covariance / np.where(flat, 1.0, spread))
    return first + np.sqrt(R / max(R - 2, 1)) * (drawn - slope * (moved + centre) - first)


def _basic(value: float, draws: Array, confidence: float) -> Interval:
    """The basic bootstrap interval."""
    low, high = np.percentile(draws, [50 * (1 - confidence), 50 * (1 + confidence)])
    return Interval(value, float(2 * value - high), float(2 * value - low))


def sup_of_means(
    samples: Array, confidence: float = 0.95, seed: int = 0, controls: Array | None = None
) -> Interval:
    """The max over times of the mean over replicas of samples (R, T) (Theorem 3).

    Its interval is that of the logarithm where all is positive.
    """
    draws = _resampled_means(samples, np.random.default_rng(seed), controls).max(axis=1)
    value = float(means(samples, controls).max())
    if value > 0 and (draws > 0).all():
        log = _basic(float(np.log(value)), np.log(draws), confidence)
        return Interval(value, float(np.exp(log.low)), float(np.exp(log.high)))
    return _basic(value, draws, confidence)


def exponent(
    sizes: Sequence[float], samples: Sequence[Array], confidence: float = 0.95, seed: int = 0,
    controls: Sequence[Array | None] | None = None,
) -> Interval:  # fmt: skip
    """The slope of log sup-of-means against log size, each size weighted by its own precision.

    sizes (S,), samples: for each size an array (R_s, T). The interval bootstraps every size's
    replicas. Raises ValueError for fewer than two sizes.
    """
    if len(sizes) < 2:
        raise ValueError(f"an exponent needs two sizes or more, got {len(sizes)}")
    rng = np.random.default_rng(seed)
    pairs = list(zip(samples, controls or [None] * len(samples), strict=True))
    draws = np.array([_resampled_means(s, rng, c).max(axis=1) for s, c in pairs])
    logs = np.log(np.maximum(draws, _TINY))
    centre = np.log([means(s, c).max() for s, c in pairs])
    weights = 1 / np.maximum(logs.std(axis=1), 1e-6) ** 2
    value = float(_slope(np.log(sizes), centre[:, None], weights)[0])
    return _basic(value, _slope(np.log(sizes), logs, weights), confidence)


def _slope(x: Array, y: Array, weights: Array) -> Array:
    """Weighted least-squares slopes of the columns of y (S, B) against x (S,)."""
    w = weights / weights.sum()
    dx = x - w @ x
    return (w * dx) @ (y - w @ y) / ((w * dx) @ dx)
