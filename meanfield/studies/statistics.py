"""Error bars: bands of means, intervals of their suprema, and of exponents fitted to them.

Squared distances are skewed and the maximum of noisy means is too large, so that the plain
intervals of Student and the bootstrap hold the truth too rarely. Here bands are corrected for
skewness, and suprema have bands that hold at all times at once; `validation/coverage.py` measures
how often they hold it.

Each function takes control variates where there are any: samples (R, ...) of mean zero, by
regression on which the mean is estimated, with the variance that the regression leaves. The slope
is fitted to the same samples: a bias of order 1/R, far below the interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meanfield.checks import Array

DRAWS = 1000
FEWEST = 8  # replicas whose skewness says something
SKEWEST = 0.3  # largest skewness over sqrt(R) that is corrected
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


@dataclass(frozen=True)
class Adjusted:
    """Samples (R, ...) with their control taken off, and how well their mean is known.

    deviations (R, ...): what each replica adds to the mean's error, whose square is the sum of
    theirs.
    """

    samples: Array
    mean: Array
    deviations: Array
    freedom: int

    @property
    def error(self) -> Array:
        """The mean's standard error; infinite for too few replicas."""
        return np.sqrt((self.deviations**2).sum(axis=0))


def adjusted(samples: Array, controls: Array | None = None) -> Adjusted:
    """Samples less what a regression on their controls explains; infinite errors for too few.

    The regression's error is that of MacKinnon and White (J. Econometrics 29, 1985; HC3): large
    controls come with large deviations, which the usual one takes to be alike everywhere.
    """
    R = len(samples)
    freedom = R - 1
    if controls is not None:
        centre = controls.mean(axis=0)
        apart = controls - centre
        spread = np.maximum((apart**2).sum(axis=0), _TINY)
        samples = samples - (apart * samples).sum(axis=0) / spread * controls
        freedom = R - 2
        weight, leverage = 1 / R - apart * centre / spread, 1 / R + apart**2 / spread
    mean = samples.mean(axis=0)
    if freedom < 1:
        return Adjusted(samples, mean, np.full_like(samples, np.inf), 1)
    off = samples - mean
    if controls is None:
        return Adjusted(samples, mean, off / np.sqrt(R * (R - 1)), freedom)
    return Adjusted(samples, mean, weight * off / np.maximum(1 - leverage, 1e-9), freedom)


def means(samples: Array, controls: Array | None = None) -> Array:
    """The mean over replicas of samples (R, ...)."""
    return adjusted(samples, controls).mean


def band(
    samples: Array, confidence: float = 0.95, controls: Array | None = None
) -> tuple[Array, Array, Array]:
    """The mean over replicas of samples (R, ...) with its interval: mean, low, high.

    Student's t of the mean transformed to have no skewness (Hall, J. R. Stat. Soc. B 54, 1992);
    Student's own for fewer than 8 replicas.
    """
    a = adjusted(samples, controls)
    t = _student(confidence, a.freedom)
    if not np.isfinite(a.error).all():
        return a.mean, a.mean - a.error, a.mean + a.error
    skew = _skewness(a)
    return a.mean, a.mean - a.error * _skewed(t, skew), a.mean - a.error * _skewed(-t, skew)


def sup_of_means(
    samples: Array, confidence: float = 0.95, seed: int = 0, controls: Array | None = None
) -> Interval:
    """The max over times of the mean over replicas of samples (R, T) (Theorem 3).

    The maximum of estimated means is too large on average. A maximum at a time that other replicas
    choose is as much too small where the mean has a peak, and right where it is flat: the value is
    the mean of the two. The upper end is the largest upper end over times; the lower end is the
    largest lower end of a band that holds at all times at once. Both are those of logarithms where
    all means are positive.
    """
    rng, a = np.random.default_rng(seed), adjusted(samples, controls)
    top = float(a.mean.max())
    if not np.isfinite(a.error).all():
        return Interval(top, -np.inf, np.inf)
    value = (top + _chosen_by_others(a.samples, rng)) / 2
    positive = a.mean > 0
    t, at_once = _student(confidence, a.freedom), _at_once(a, confidence, rng)
    if top > 0 and value > 0:
        log, error = np.log(a.mean[positive]), (a.error / np.maximum(a.mean, _TINY))[positive]
        low, high = np.exp((log - at_once * error).max()), np.exp((log + t * error).max())
    else:
        low, high = (a.mean - at_once * a.error).max(), (a.mean + t * a.error).max()
    return Interval(float(np.clip(value, low, high)), float(low), float(high))


def exponent(
    sizes: Sequence[float], samples: Sequence[Array], confidence: float = 0.95, seed: int = 0,
    controls: Sequence[Array | None] | None = None,
) -> Interval:  # fmt: skip
    """The slope of log sup-of-means against log size, each size weighted by its own precision.

    sizes (S,), samples: for each size an array (R_s, T). The interval combines those of the
    suprema (method of variance estimates recovery; Zou & Donner, Stat. Med. 27, 2008). Raises
    ValueError for fewer than two sizes.
    """
    if len(sizes) < 2:
        raise ValueError(f"an exponent needs two sizes or more, got {len(sizes)}")
    pairs = zip(samples, controls or [None] * len(samples), strict=True)
    sups = [sup_of_means(s, confidence, seed + k, c) for k, (s, c) in enumerate(pairs)]
    ends = np.array([[s.value, s.low, s.high] for s in sups])
    value, low, high = np.log(np.maximum(ends, _TINY)).T
    if not np.isfinite(ends).all() or not (ends > 0).all():
        weights, low, high = np.ones(len(sizes)), low - np.inf, high + np.inf
    else:
        weights = 1 / np.maximum(high - low, 1e-6) ** 2
    x, w = np.log(sizes), weights / weights.sum()
    part = w * (x - w @ x) / (w @ (x - w @ x) ** 2)  # of each log in the slope
    slope = float(part @ value)
    below = np.where(part > 0, value - low, high - value)
    above = np.where(part > 0, high - value, value - low)
    reach = [float(np.sqrt(((part * side) ** 2).sum())) for side in (below, above)]
    return Interval(slope, slope - reach[0], slope + reach[1])


# -- parts ----------------------------------------------------------------------------------------


def _student(confidence: float, freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + confidence / 2, freedom))


def _skewness(a: Adjusted) -> Array:
    """The samples' skewness over sqrt(R), corrected for its bias; none for too few to tell."""
    R = len(a.samples)
    if R < FEWEST:
        return np.zeros_like(a.mean)
    standard = a.deviations / np.maximum(a.error, 1e-150)
    skew: Array = (standard**3).sum(axis=0)
    # Beyond, the transformation makes intervals many errors wide and holds the mean no more often.
    return np.clip(skew * np.sqrt(R * (R - 1)) / max(R - 2, 1), -SKEWEST, SKEWEST)


def _skewed(t: float, skew: Array) -> Array:
    """The inverse of Hall's transformation x + s x^2/3 + s^2 x^3/27 + s/6, s = skewness/sqrt(R)."""
    s = np.where(np.abs(skew) < 1e-6, 1e-6, skew)
    inner: Array = np.cbrt(1 + s * (t - s / 6))
    return 3 / s * (inner - 1)


def _at_once(a: Adjusted, confidence: float, rng: np.random.Generator) -> float:
    """How many errors below the means a band must be to hold at all times, one-sided.

    The quantile of the largest of Student variables that are correlated as the samples are.
    """
    standard = a.deviations / np.maximum(a.error, 1e-150)
    chi = np.sqrt(rng.chisquare(a.freedom, DRAWS) / a.freedom)
    largest = (rng.standard_normal((DRAWS, len(standard))) @ standard).max(axis=1)
    return float(np.quantile(largest / chi, 0.5 + confidence / 2))


def _chosen_by_others(samples: Array, rng: np.random.Generator) -> float:
    """The mean at the time that a resample has its maximum, over the replicas not in it."""
    R = len(samples)
    counts = rng.multinomial(R, np.full(R, 1 / R), size=DRAWS)
    at = (counts @ samples).argmax(axis=1)
    if (at == at[0]).all():
        return float(samples[:, at[0]].mean())
    others = counts == 0
    sums = np.einsum("br,br->b", others, samples[:, at].T)
    return float(sums.sum() / others.sum())
