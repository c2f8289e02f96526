"""Theorem 3's rates: exponents in n, where NI lies, and what the time step adds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.studies.statistics import band, means
from meanfield.studies.verdicts import Verdict, below

Row = dict[str, np.ndarray]


def largest(rows: Array, control: Array | None) -> tuple[float, Array, float]:
    """The largest of the means over time; what the control leaves of its samples; the mean's
    variance over theirs.
    """
    mean, R = means(rows, control), len(rows)
    top = int(np.argmax(mean))
    left, lever = rows[:, top] - mean[top], 1 / R
    if control is not None:
        c = control[:, top]
        off = c - c.mean()
        left = left - (off @ left) / (off @ off) * c
        lever += c.mean() ** 2 / (off @ off)  # the coefficient's own error
    return float(mean[top]), left, lever


def slope(
    sizes: list[int], samples: list[Array], controls: Any = None, log: bool = False
) -> tuple[float, float]:
    """The slope of sup-of-means, or of its logarithm, in log n, with the half width of its
    interval.

    What is measured at two sizes differs by scale, so that the (relative) spread is taken from all
    sizes together: that of the few replicas at the largest would be trusted too much or too little.
    """
    from scipy.stats import t

    tops, levers, squares, free = [], [], 0.0, 0
    for rows, control in zip(samples, controls or [None] * len(samples), strict=True):
        value, left, lever = largest(rows, control)
        tops.append(np.log(value) if log else value)
        levers.append(lever)
        squares += float(left @ left) / (value**2 if log else 1.0)
        free += len(rows) - (1 if control is None else 2)
    weights = 1 / np.array(levers)
    off = np.log(sizes) - np.average(np.log(sizes), weights=weights)
    precision = float(weights @ off**2)
    half = t.ppf(0.975, free) * np.sqrt(squares / free / precision)
    return float((weights * off) @ np.array(tops)) / precision, float(half)


def power(
    claim: str,
    sizes: list[int],
    samples: list[Array],
    expected: float,
    within: float,
    controls: Any = None,
) -> Verdict:
    """The exponent in n of sup-of-means."""
    value, half = slope(sizes, samples, controls, log=True)
    return Verdict(claim, value, expected, within, half)


def errors(
    claim: str, key: str, sizes: list[int], rows: list[Row], within: float
) -> Iterator[Verdict]:
    """The exponents of |NI - NI*|, at worst and at the end, by control variates."""
    span = f"{sizes[0]} to {sizes[-1]}"
    gaps = [np.abs(r[key] - r[f"field_{key}"]) for r in rows]
    controls = [r[f"{key}_control"] for r in rows]
    sup = claim.format("exponent of sup E")
    yield power(f"{sup}after the start, {span}", sizes, gaps, -0.5, within, controls)
    ends = [[v[:, -1:] for v in arrays] for arrays in (gaps, controls)]
    yield power(
        f"{claim.format('exponent of E')}at T, {span}", sizes, ends[0], -0.5, within, ends[1]
    )


def placed(name: str, of: str, found: Array, other: float, own: float, within: float) -> Verdict:
    """Where the mean NI of the largest n is at T, between the mean field's `other` (0) and `own`
    (1).
    """
    mean, low, high = (float(v) for v in band(found[:, -1]))
    half = (high - low) / 2 / abs(own - other)
    claim = f"{name}: place of E NI of {of} at T between the mean field's other error and its own"
    return Verdict(claim, (mean - other) / (own - other), 1, within, half)


def bias(name: str, held: Row, scheme: str, level: float, largest: int) -> Verdict:
    """What the time step adds to the mean W2^2, over the mean at the largest n, at worst over the
    times.
    """
    left = 0.25 if scheme == "strang" else 0.5  # what halving the step leaves of its bias
    mean, low, high = band((held["full"] - held["half"]) / (1 - left))
    worst = int(np.argmax(np.abs(mean)))
    half = float(high[worst] - low[worst]) / 2
    return below(
        f"{name}: bias of the time step over E W2^2 at n = {largest}",
        abs(mean[worst]) / level,
        0.05,
        half / level,
    )
