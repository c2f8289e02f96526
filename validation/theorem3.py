"""Theorem 3: particles converge to the mean field, uniformly over [0, T].

(i) Langevin, (4) against (7), and (ii) Wasserstein-Fisher-Rao, (5) against (8): the mean of W2^2_x
+ W2^2_y between n particles and the mean field, and that of |NI - NI*| (in (ii) of time averages),
vanish uniformly over [0, T]. Where weights move both errors are judged, that of the states and that
of the time averages, and so is their place: either lies as far from the other as the mean field's
own, computed apart. The theorem gives no rate; what is known for n independent samples of the mean
field's law is
- on the circle n E W2^2 -> int F(1 - F)/rho - [double int (min(F, F') - F F')/(rho rho')] / int
  1/rho (exponent -1);
- on T^2 and S^2 n E W2^2 = (|M|/(4 pi)) log n + c for any smooth positive density, |M| the area.
Particles are not independent: n E W2^2 is held against independent samples and what interaction
adds to them in the limit (`validation/theorem3_limit.py`), too. Synchronously coupled copies are
independent: particles with the same starts and the same noise in the mean field's own costs, and E
|x_i - copy_i|^2 is of order 1/n (propagation of chaos). What their low modes, of exactly known law,
predict of the particles gives control variates of W2^2, of |NI - NI*| and of moments; as that hides
what particles and copies share, the copies' energies are held against their means too. |NI - NI*|
is of order n^(-1/2); it is judged after the start, where the particles are independent samples, and
at T alone.

Exponents do not see a mean field that is slightly wrong, levels do: moments of particles less the
mean field's, averaged over replicas, are off by a wrong parameter's sensitivity and known to 1/(n
R)^(1/2). Judged are the beta, gamma and alpha that fit the particles, and the distance W2, by low
modes, of their mean law from the mean field.

The games are `games.benchmark`'s three, T so short that 10^3 particles are many: their instability
multiplies fluctuations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from meanfield.studies.statistics import sup_of_means
from meanfield.studies.stored import Data
from meanfield.studies.verdicts import Verdict
from validation.chaos import PROBLEMS, RIGHT, Parameters, halved, levels, replicas
from validation.common import label
from validation.suite import Part
from validation.theorem3_controls import sensitivities
from validation.theorem3_levels import energy, fits, level, with_controls
from validation.theorem3_limit import constants
from validation.theorem3_rates import bias, errors, placed, power, slope

LEVEL = 24  # values of W2^2 that tell its mean to a few percent


@dataclass(frozen=True)
class Settings:
    """runs: (problem, n, replicas, those whose W2 is taken). halved: (problem, n, replicas) run
    with half the step too.

    within: how far an exponent may be from its limit; controlled: the same by control variates;
    log_within: relative, of the slope in log n; energy_within: the same of the copies' energies.
    placed_within: of the distance between NI of states and of averages. swapped: one in the place
    of the other. level_within: relative, of n E W2^2, at the largest n that has enough of
    them; resolution: the relative error
    of beta, gamma or alpha that must not pass; apart: by which mean fields differ that the mean law
    of particles must be nearer than. field: the mean field's beta, gamma and alpha. ni_within: how
    far an exponent of |NI - NI*| may be from its limit.
    """

    runs: tuple[tuple[str, int, int, int], ...]
    halved: tuple[tuple[str, int, int], ...]
    within: float
    controlled: float
    log_within: float
    energy_within: float
    level_within: float = 0.05
    resolution: float = 0.02
    apart: float = 0.05
    scheme: str = "strang"
    coarser: float = 1.0
    field: Parameters = RIGHT
    copies_seed: int = 0
    swapped: bool = False
    placed_within: float = 0.15
    ni_within: float = 0.25


def every(problems: str, *sizes: tuple[int, int, int]) -> tuple[tuple[str, int, int, int], ...]:
    """The same sizes for all problems on one manifold."""
    return tuple((name, *size) for name in PROBLEMS if name.startswith(problems) for size in sizes)


_CIRCLE = (1000, 80, 80), (10_000, 24, 24)
QUICK = Settings(
    (
        *every("S^1", *_CIRCLE),
        ("T^2, WFR", 100, 60, 12),
        ("T^2, WFR", 1000, 36, 6),
        ("S^2, Langevin", 100, 60, 12),
        ("S^2, Langevin", 1000, 48, 8),
    ),
    (
        ("S^1, Langevin", 10_000, 4),
        ("S^1, WFR", 10_000, 3),
        ("T^2, WFR", 300, 2),
        ("S^2, Langevin", 300, 3),
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
    + every("S^2", (100, 500, 24), (1000, 120, 24), (10_000, 80, 5)),
    (
        ("S^1, Langevin", 300_000, 24),
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
    resolution=0.005,
    apart=0.02,
    ni_within=0.15,
)
_ONE = ("S^1, Langevin", 1000, 40, 40), ("S^1, Langevin", 10_000, 12, 12)
_BROKEN: dict[str, Any] = {
    "runs": _ONE,
    "halved": (("S^1, Langevin", 10_000, 4),),
    "within": 0.3,
    "controlled": 0.1,
    "log_within": 0.2,
    "energy_within": 0.3,
}
_WEIGHTED: dict[str, Any] = {
    **_BROKEN,
    "runs": (("S^1, WFR", 1000, 40, 12), ("S^1, WFR", 10_000, 8, 8)),
    "halved": (("S^1, WFR", 10_000, 3),),
}
SABOTAGES = {
    "a mean field at beta = 9 for particles at 10": Settings(**_BROKEN, field=(9.0, 1.0, 1.0)),
    "a step that biases the law": Settings(**_BROKEN, scheme="euler", coarser=10.0),
    "a mean field at alpha = 1.05 for particles at 1": Settings(
        **_WEIGHTED, field=(10.0, 1.0, 1.05)
    ),
    "a mean field at gamma = 1.05 for particles at 1": Settings(
        **_WEIGHTED, field=(10.0, 1.05, 1.0)
    ),
    "errors of states and of time averages in each other's place": Settings(
        **_WEIGHTED | {"runs": every("S^1, WFR", *_CIRCLE)}, swapped=True
    ),
    "copies that follow other noise": Settings(**_BROKEN, copies_seed=1),
}


def parts(s: Settings) -> dict[str, Part]:
    found: dict[str, Part] = {}
    for name, n, count, distances in s.runs:
        size = max(1, (2_000_000 if PROBLEMS[name][5] is None else 300_000) // n)
        for first in range(0, count, size):
            number, how = (
                min(size, count - first),
                (s.scheme, s.coarser, s.field, s.copies_seed),
            )
            found[label(name, n, first)] = partial(
                replicas, name, n, first, number, distances, *how
            )
    for name, n, count in s.halved:
        found[label("half", name, n)] = partial(
            halved, name, n, count, s.scheme, s.coarser, s.field
        )
    for name in dict.fromkeys(name for name, *_ in s.runs if "WFR" in name):
        found[label("levels", name)] = partial(levels, name)
    for name in dict.fromkeys(name for name, *_ in s.runs):
        which, kind, T, _, saves, _ = PROBLEMS[name]
        beta, gamma, alpha = s.field
        times = tuple(float(v) for v in np.linspace(0, T, saves + 1))
        flow = (gamma, 0.0, 1 / beta) if kind == "langevin" else (gamma, alpha, 0.0)
        found[label("limit", name)] = partial(constants, which, times, *flow)
        how = (which, T, RIGHT[0] if kind == "langevin" else None)
        found[label("sensitivities", name)] = partial(sensitivities, *how)
    return found


Row = dict[str, np.ndarray]


def swapped(row: Row) -> Row:
    """NI of states in the place of that of the averages, and the other way round."""
    pairs = (("ni", "ni_average"), ("field_ni", "field_ni_average"))
    return row | {a: row[b] for a, b in pairs} | {b: row[a] for a, b in pairs}


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
                for key in ("squared", "copies", "chaos", "eta", "zeta", *errors)
            }
            sizes.append(n)
            shared = ("sigma", "metric", "times", *(f"field_{key}" for key in errors))
            one |= {key: held[0][key] for key in shared}
            rows.append(swapped(one) if s.swapped else one)
        with_controls(PROBLEMS[problem][0], sizes, rows)
        yield problem, sizes, rows


def judge(s: Settings, data: dict[str, Data]) -> list[Verdict]:
    return [
        v for name, sizes, rows in gathered(s, data) for v in judged(s, name, sizes, rows, data)
    ]


def judged(
    s: Settings, name: str, sizes: list[int], rows: list[Row], data: dict[str, Data]
) -> Iterator[Verdict]:
    """The verdicts on one problem."""
    area, span = PROBLEMS[name][5], f"{sizes[0]} to {sizes[-1]}"
    squared, controls = ([r[key] for r in rows] for key in ("squared", "control"))
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
    well = [k for k, r in enumerate(rows) if len(r["copies"]) >= LEVEL] or [len(rows) - 1]
    n, row = sizes[well[-1]], rows[well[-1]]
    yield from level(name, n, row, data[label("limit", name)], s.level_within)
    yield from fits(
        name, sizes[-1], rows[-1], data[label("sensitivities", name)], s.resolution, s.apart
    )
    for key, of in (("ni", ""), ("ni_average", "of time averages ")):
        if key in rows[0]:
            yield from errors(f"{name}: {{}} |NI - NI*| {of}", key, sizes, rows, s.ni_within)
    if "ni_average" in rows[0]:
        held = {key: float(data[label("levels", name)][key]) for key in ("ni", "ni_average")}
        for key, other, of in (
            ("ni", "ni_average", "the states"),
            ("ni_average", "ni", "time averages"),
        ):
            found = rows[-1][key]
            yield placed(name, of, found, held[other], held[key], s.placed_within)
    chaos = [r["chaos"] for r in rows]
    yield power(f"{name}: exponent of sup E |x - copy|^2 in n, {span}", sizes, chaos, -1, s.within)
    yield energy(name, sizes, rows, s.energy_within)
    top = sup_of_means(squared[-1], controls=controls[-1]).value
    steps = next(n for problem, n, _ in s.halved if problem == name)
    yield bias(name, data[label("half", name, steps)], s.scheme, top, sizes[-1])


def draw(s: Settings, data: dict[str, Data]) -> dict[str, Any]:
    """n E W2^2, mean |NI - NI*| and E |x - copy|^2 against n."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    panels = figure.subplots(1, 3)
    every_n = [r[1] for r in s.runs]
    n = np.array([np.min(every_n), np.max(every_n)], float)
    for name, sizes, rows in gathered(s, data):
        tops = [
            sup_of_means(n * r["squared"], controls=n * r["control"])
            for n, r in zip(sizes, rows, strict=True)
        ]
        key = "ni_average" if "ni_average" in rows[0] else "ni"
        gaps = [sup_of_means(np.abs(r[key] - r[f"field_{key}"])) for r in rows]
        said = name if sizes[0] == n[0] else f"{name}, run from n = {sizes[0]} on"
        for ax, found in zip(
            panels, (tops, gaps, [sup_of_means(r["chaos"]) for r in rows]), strict=True
        ):
            at = np.array([v.value for v in found])
            reach = np.abs(np.array([[v.value - v.low, v.high - v.value] for v in found]).T)
            ax.errorbar(sizes, at, reach, fmt="o-", ms=4, capsize=3, label=said)
    titles = (
        "n sup E [W2^2_x + W2^2_y], with controls",
        "sup E |NI - NI*| (WFR: of averages)",
        "sup E |x - copy|^2",
    )
    for ax, title, power_of_n in zip(panels, titles, (0.0, -0.5, -1.0), strict=True):
        ax.set(xscale="log", title=title, xlabel="n")
        if power_of_n:
            ax.set_yscale("log")
            ax.plot(n, 2 * n**power_of_n, "k--", lw=0.8)
            at = n[0] * 3
            ax.annotate(f"slope {power_of_n:g}", (at, 2.4 * at**power_of_n))
    panels[0].set_ylim(bottom=0)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return {"rates": figure}
