"""Error bars: bands of means, intervals of their suprema, and of exponents fitted to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meanfield.checks import Array

RESAMPLES = 2000


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


def band(samples: Array, confidence: float = 0.95) -> tuple[Array, Array, Array]:
    """Mean over replicas of samples (R, ...) with its Student t interval: mean, low, high (...)."""
    from scipy.stats import t

    R = len(samples)
    mean = samples.mean(axis=0)
    if R < 2:
        return mean, np.full_like(mean, -np.inf), np.full_like(mean, np.inf)
    reach = t.ppf(0.5 + confidence / 2, R - 1) * samples.std(axis=0, ddof=1) / np.sqrt(R)
    return mean, mean - reach, mean + reach


def _resampled_means(samples: Array, rng: np.random.Generator) -> Array:
    """Bootstrap means (RESAMPLES, T) of samples (R, T), replicas drawn with replacement."""
    R = len(samples)
    counts = rng.multinomial(R, np.full(R, 1 / R), size=RESAMPLES)
    # Student-scaled: a bootstrap of R replicas understates the variance of a mean by (R - 1) / R.
    mean = samples.mean(axis=0)
    return mean + np.sqrt(R / max(R - 1, 1)) * (counts @ samples / R - mean)


def _interval(value: float, draws: Array, confidence: float) -> Interval:
    """Basic bootstrap interval in the logarithm when all is positive, else in the value itself."""
    tail = [50 * (1 - confidence), 50 * (1 + confidence)]
    if value > 0 and (draws > 0).all():
        low, high = np.percentile(np.log(draws), tail)
        return Interval(value, float(np.exp(2 * np.log(value) - high)), float(np.exp(2 * np.log(value) - low)))
    low, high = np.percentile(draws, tail)
    return Interval(value, float(2 * value - high), float(2 * value - low))


def sup_of_means(samples: Array, confidence: float = 0.95, seed: int = 0) -> Interval:
    """max over times of the mean over replicas of samples (R, T) (Theorem 3), with its interval."""
    draws = _resampled_means(samples, np.random.default_rng(seed)).max(axis=1)
    return _interval(float(samples.mean(axis=0).max()), draws, confidence)


def exponent(
    sizes: Sequence[float], samples: Sequence[Array], confidence: float = 0.95, seed: int = 0
) -> Interval:  # fmt: skip
    """Slope of log sup-of-means against log size, each size weighted by its own precision.

    sizes (S,), samples: for each size an array (R_s, T). The interval bootstraps every size's
    replicas. Raises ValueError for fewer than two sizes.
    """
    if len(sizes) < 2:
        raise ValueError(f"an exponent needs two sizes or more, got {len(sizes)}")
    rng = np.random.default_rng(seed)
    logs = np.array([np.log(np.maximum(_resampled_means(s, rng).max(axis=1), 1e-300)) for s in samples])
    centre = np.log([s.mean(axis=0).max() for s in samples])
    weights = 1 / np.maximum(logs.std(axis=1), 1e-6) ** 2
    value = float(_slope(np.log(sizes), centre[:, None], weights)[0])
    low, high = np.percentile(_slope(np.log(sizes), logs, weights), [50 * (1 - confidence), 50 * (1 + confidence)])
    return Interval(value, float(2 * value - high), float(2 * value - low))


def _slope(x: Array, y: Array, weights: Array) -> Array:
    """Weighted least-squares slopes of the columns of y (S, B) against x (S,)."""
    w = weights / weights.sum()
    dx = x - w @ x
    return (w * dx) @ (y - w @ y) / ((w * dx) @ dx)
