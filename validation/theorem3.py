"""Theorem 3: particles converge to the mean field, uniformly over [0, T].

(i) Langevin, (4) against (7), and (ii) Wasserstein-Fisher-Rao, (5) against (8): the mean of W2^2_x
+ W2^2_y between n particles and the mean field, and that of |NI - NI*| (in (ii) of time averages),
vanish uniformly over [0, T]. Where weights move both errors are judged, that of the states and that
of the time averages, and so is their place: either lies as far from the other as the mean field's
own, computed apart. The theorem gives no rate; what is known for n independent samples of
the mean field's law is
- on the circle n E W2^2 -> int F(1 - F)/rho - [double int (min(F, F') - F F')/(rho rho')] / int
  1/rho (exponent -1);
- on T^2 and S^2 n E W2^2 = (|M|/(4 pi)) log n + c for any smooth positive density, |M| the area.
Particles are not independent, but synchronously coupled copies are: particles with the same starts
and the same noise
in the mean field's own costs, and E |x_i - copy_i|^2 is of order 1/n (propagation of chaos). The
energies of
the copies' low modes, whose means are known exactly, are control variates of W2^2; as that hides
what particles and
copies share, the energies are held against their means too. |NI - NI*| is of order n^(-1/2); it is
judged after
the start, where the particles are independent samples, and at T alone.

The games are `games.benchmark`'s three, T so short that 10^3 particles are many: their instability
multiplies fluctuations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.studies.statistics import band, means, sup_of_means
from meanfield.studies.stored import Data
from meanfield.studies.verdicts import Verdict, below
from validation.chaos import BETA, PROBLEMS, halved, independent, levels, replicas
from validation.common import label
from validation.suite import Part


@dataclass(frozen=True)
class Settings:
    """runs: (problem, n, replicas, those whose W2 is taken). halved: (problem, n, replicas) run
    with half the step too.

    within: how far an exponent may be from its limit; controlled: the same by control variates;
    log_within: relative, of the slope in log n; energy_within: the same of the copies' energies.
    placed_within: of the distance between NI of states and of averages. swapped: one in the place
    of the other.
    """

    runs: tuple[tuple[str, int, int, int], ...]
    halved: tuple[tuple[str, int, int], ...]
    within: float
    controlled: float
    log_within: float
    energy_within: float
    scheme: str = "strang"
    coarser: float = 1.0
    field_beta: float = BETA
    copies_seed: int = 0
    swapped: bool = False
    placed_within: float = 0.25


def every(problems: str, *sizes: tuple[int, int, int]) -> tuple[tuple[str, int, int, int], ...]:
    """The same sizes for all problems on one manifold."""
    return tuple((name, *size) for name in PROBLEMS if name.startswith(problems) for size in sizes)


QUICK = Settings(
    (
        *every("S^1", (1000, 80, 80), (10_000, 24, 24)),
        ("T^2, WFR", 100, 60, 12),
        ("T^2, WFR", 1000, 24, 6),
        ("S^2, Langevin", 100, 60, 12),
        ("S^2, Langevin", 1000, 24, 6),
    ),
    (
        ("S^1, Langevin", 10_000, 4),
        ("S^1, WFR", 10_000, 3),
        ("T^2, WFR", 300, 3),
        ("S^2, Langevin", 300, 5),
    ),
    0.3,
    0.1,
    0.2,
    0.3,
)
FULL = Settings(
    every(
        "S^1, Langevin", (1000, 400, 200), (10_000, 150, 60), (100_000, 40, 14), (1_000_000, 8, 8)
    )
    # Averages over every step of 10^6 particles are dear; intervals take their spread from all
    # sizes.
    + every("S^1, WFR", (1000, 400, 200), (10_000, 150, 60), (100_000, 20, 14), (1_000_000, 4, 4))
    + every("T^2", (100, 500, 60), (1000, 120, 24), (10_000, 80, 8))
    + every("S^2", (100, 500, 24), (1000, 120, 12), (10_000, 80, 5)),
    (
        ("S^1, Langevin", 300_000, 8),
        ("S^1, WFR", 100_000, 3),
        ("T^2, Langevin", 3000, 5),
        ("T^2, WFR", 1000, 3),
        ("S^2, Langevin", 3000, 5),
        ("S^2, WFR", 1000, 3),
    ),
    0.1,
    0.1,
    0.1,
    0.15,
)
_ONE = ("S^1, Langevin", 1000, 40, 40), ("S^1, Langevin", 10_000, 12, 12)
_BROKEN = {
    "runs": _ONE,
    "halved": (("S^1, Langevin", 10_000, 4),),
    "within": 0.3,
    "controlled": 0.1,
    "log_within": 0.2,
    "energy_within": 0.3,
}
SABOTAGES = {
    "a mean field of another temperature": Settings(**_BROKEN, field_beta=3.0),
    "a step that biases the law": Settings(**_BROKEN, scheme="euler", coarser=10.0),
    "errors of states and of time averages in each other's place": Settings(
        (("S^1, WFR", 1000, 24, 12), ("S^1, WFR", 10_000, 8, 8)),
        (("S^1, WFR", 10_000, 3),),
        0.3,
        0.1,
        0.2,
        0.3,
        swapped=True,
    ),
    "copies that follow other noise": Settings(**_BROKEN, copies_seed=1),  # type: ignore[arg-type]
}


def parts(s: Settings) -> dict[str, Part]:
    found: dict[str, Part] = {}
    for name, n, count, distances in s.runs:
        size = max(1, (2_000_000 if PROBLEMS[name][5] is None else 300_000) // n)
        for first in range(0, count, size):
            number, how = (
                min(size, count - first),
                (s.scheme, s.coarser, s.field_beta, s.copies_seed, s.swapped),
            )
            found[label(name, n, first)] = partial(
                replicas, name, n, first, number, distances, *how
            )
    for name, n, count in s.halved:
        found[label("half", name, n)] = partial(
            halved, name, n, count, s.scheme, s.coarser, s.field_beta
        )
    for name in dict.fromkeys(name for name, *_ in s.runs if "WFR" in name):
        found[label("levels", name)] = partial(levels, name)
    return {"independent": partial(independent, s.field_beta), **found}


Row = dict[str, np.ndarray]


def gathered(s: Settings, data: dict[str, Data]) -> Iterator[tuple[str, list[int], list[Row]]]:
    """(problem, its sizes, for each size all replicas' rows)."""
    for problem in dict.fromkeys(name for name, *_ in s.runs):
        sizes, rows = [], []
        for name, n, *_ in s.runs:
            if name != problem:
                continue
            held = [part for key, part in data.items() if key.startswith(label(name, n, ""))]
            errors = [key for key in ("ni", "ni_average") if key in held[0]]
            one = {
                key: np.concatenate([p[key] for p in held if len(p[key])] or [np.empty(0)])
                for key in ("squared", "energy", "copies", "chaos", *errors)
            }
            sizes.append(n)
            shared = ("exact", "times", *(f"field_{key}" for key in errors))
            rows.append(one | {key: held[0][key] for key in shared})
        yield problem, sizes, rows


def centred(row: Row) -> np.ndarray:
    """The controls of W2^2: its replicas' energies less their means."""
    return row["energy"][: len(row["squared"])] - row["exact"]


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


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    return [
        v for name, sizes, rows in gathered(s, data) for v in judged(s, name, sizes, rows, data)
    ]


def judged(
    s: Settings, name: str, sizes: list[int], rows: list[Row], data: dict[str, Data]
) -> Iterator[Verdict]:
    """The verdicts on one problem."""
    squared, controls, area = (
        [r["squared"] for r in rows],
        [centred(r) for r in rows],
        PROBLEMS[name][5],
    )
    span = f"{sizes[0]} to {sizes[-1]}"
    if area is None:
        yield power(f"{name}: exponent of sup E W2^2 in n, {span}", sizes, squared, -1, s.within)
        yield power(
            f"{name}: the same, by control variates", sizes, squared, -1, s.controlled, controls
        )
    else:
        scaled = [
            [n * a for n, a in zip(sizes, arrays, strict=True)] for arrays in (squared, controls)
        ]
        value, half = slope(sizes, *scaled)
        claim = f"{name}: slope of n sup E W2^2 in log n, {span}, over |M|/(4 pi)"
        yield Verdict(claim, value / area, 1, s.log_within, half / area)
    for key, of in (("ni", ""), ("ni_average", "of time averages ")):
        if key in rows[0]:
            yield from errors(s, f"{name}: {{}} |NI - NI*| {of}", key, sizes, rows)
    if "ni_average" in rows[0]:
        held = {key: float(data[label("levels", name)][key]) for key in ("ni", "ni_average")}
        yield placed(s, name, "the states", rows[-1]["ni"], held["ni_average"], held["ni"])
        yield placed(
            s, name, "time averages", rows[-1]["ni_average"], held["ni"], held["ni_average"]
        )
    chaos = [r["chaos"] for r in rows]
    yield power(f"{name}: exponent of sup E |x - copy|^2 in n, {span}", sizes, chaos, -1, s.within)
    ratio = np.concatenate([r["energy"][:, -1] / r["exact"][-1] for r in rows])
    half = 1.96 * ratio.std(ddof=1) / np.sqrt(len(ratio))
    yield Verdict(
        f"{name}: energy of the copies at T over its exact mean",
        ratio.mean(),
        1,
        s.energy_within,
        half,
    )
    yield bias(s, name, data, sup_of_means(squared[-1], controls=controls[-1]).value, sizes[-1])
    if name == "S^1, Langevin":
        mean, low, high = (
            float(v)
            for v in band(sizes[-1] * rows[-1]["copies"], controls=sizes[-1] * controls[-1][:, -1])
        )
        exact = float(data["independent"]["constant"])
        claim = (
            f"{name}: n E W2^2 of {sizes[-1]} copies at T over the limit for independent samples"
        )
        yield Verdict(claim, mean / exact, 1, s.log_within, (high - low) / 2 / exact)


def errors(
    s: Settings, claim: str, key: str, sizes: list[int], rows: list[Row]
) -> Iterator[Verdict]:
    """The exponents of |NI - NI*|, at worst and at the end."""
    span = f"{sizes[0]} to {sizes[-1]}"
    gaps = [np.abs(r[key] - r[f"field_{key}"]) for r in rows]
    sup = claim.format("exponent of sup E")
    yield power(f"{sup}after the start, {span}", sizes, gaps, -0.5, s.within)
    final = [g[:, -1:] for g in gaps]
    yield power(f"{claim.format('exponent of E')}at T, {span}", sizes, final, -0.5, s.within)


def placed(s: Settings, name: str, of: str, found: Array, other: float, own: float) -> Verdict:
    """Where the mean NI of the largest n is at T, between the mean field's `other` (0) and `own`
    (1).
    """
    mean, low, high = (float(v) for v in band(found[:, -1]))
    half = (high - low) / 2 / abs(own - other)
    claim = f"{name}: place of E NI of {of} at T between the mean field's other error and its own"
    return Verdict(claim, (mean - other) / (own - other), 1, s.placed_within, half)


def bias(s: Settings, name: str, data: dict[str, Data], level: float, largest: int) -> Verdict:
    """What the time step adds to the mean W2^2, over the mean at the largest n, at worst over the
    times.
    """
    n = next(n for problem, n, _ in s.halved if problem == name)
    held = data[label("half", name, n)]
    left = 0.25 if s.scheme == "strang" else 0.5  # what halving the step leaves of its bias
    mean, low, high = band((held["full"] - held["half"]) / (1 - left))
    worst = int(np.argmax(np.abs(mean)))
    half = float(high[worst] - low[worst]) / 2
    return below(
        f"{name}: bias of the time step over E W2^2 at n = {largest}",
        abs(mean[worst]) / level,
        0.05,
        half / level,
    )


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    """n E W2^2, mean |NI - NI*| and E |x - copy|^2 against n."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    panels = figure.subplots(1, 3)
    for name, sizes, rows in gathered(s, data):
        tops = [
            sup_of_means(n * r["squared"], controls=n * centred(r))
            for n, r in zip(sizes, rows, strict=True)
        ]
        key = "ni_average" if "ni_average" in rows[0] else "ni"
        gaps = [sup_of_means(np.abs(r[key] - r[f"field_{key}"])) for r in rows]
        for ax, found in zip(
            panels, (tops, gaps, [sup_of_means(r["chaos"]) for r in rows]), strict=True
        ):
            at = np.array([v.value for v in found])
            reach = np.abs(np.array([[v.value - v.low, v.high - v.value] for v in found]).T)
            ax.errorbar(sizes, at, reach, fmt="o-", ms=4, capsize=3, label=name)
    titles = (
        "n sup E [W2^2_x + W2^2_y], with controls",
        "sup E |NI - NI*| (WFR: of averages)",
        "sup E |x - copy|^2",
    )
    every_n = [r[1] for r in s.runs]
    n = np.array([np.min(every_n), np.max(every_n)], float)
    for ax, title, slope in zip(panels, titles, (0.0, -0.5, -1.0), strict=True):
        ax.set(xscale="log", title=title, xlabel="n")
        if slope:
            ax.set_yscale("log")
            ax.plot(n, 2 * n**slope, "k--", lw=0.8)
            ax.annotate(f"slope {slope:g}", (n[0] * 3, 2.4 * (n[0] * 3) ** slope))
    panels[0].set_ylim(bottom=0)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return {"rates": figure}
