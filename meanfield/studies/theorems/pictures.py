"""Pictures of the three theorems' measurements, drawn from what was computed and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.plotting.comparison import (
    DASHED,
    draw_average_errors,
    draw_distances,
    draw_errors,
    draw_rate,
)
from meanfield.plotting.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PLAYERS,
    RED,
    in_decades,
    line_above_rounding,
    ticks_at,
)
from meanfield.studies.curves import unpack
from meanfield.studies.stored import Data
from meanfield.studies.theorems.one import orbit_axes
from meanfield.studies.theorems.two import by_ratio

COLORS = (BLUE, ORANGE, GREEN, RED)


def draw_one(part: Any, data: dict[str, Data]) -> None:
    """Theorem 1: distance to the Gibbs pair over time, late orbits, regrets against the bound."""
    left, middle, right = part.subplots(1, 3)
    runs = {name: held for name, held in data.items() if name.startswith("(7)")}
    a, b = _axes([*runs.values()])
    for (name, held), color in zip(runs.items(), COLORS, strict=False):
        label = name.removeprefix("(7) from ")
        line_above_rounding(left, held["times"], held["tv"], label, color=color)
        middle.plot(held["orbit"][:, a], held["orbit"][:, b], color=color, lw=1)
        middle.plot(*held["orbit"][-1, [a, b]], "o", color=color, ms=4)
    pair = data.get("Gibbs pair")
    if pair is not None:
        _regrets(right, pair["regrets"])
    left.set(xlabel="time $t$", ylabel="total variation to the Gibbs pair")
    in_decades(left)
    left.set_title("does (7) converge to (9)?")
    middle.set(xlabel="mean of $x$", ylabel="mean of $y$")
    middle.set_title("late orbits, ends marked")
    middle.margins(0.1)
    _wide_enough(middle)
    if runs:
        left.legend()


def _axes(runs: list[Data]) -> tuple[int, int]:
    """The means that vary most in any run: all orbits stand in one plane."""
    if not runs:
        return 0, 1
    orbits = np.concatenate([held["orbit"] for held in runs])
    return orbit_axes(orbits, int(runs[0].get("orbit_x", orbits.shape[1] // 2)))


def _wide_enough(ax: Any, least: float = 0.1) -> None:
    """Axes no narrower than `least`: the end of a flow that has settled is a point."""
    for (low, high), limit in ((ax.get_xlim(), ax.set_xlim), (ax.get_ylim(), ax.set_ylim)):
        half = 0.5 * max(high - low, least)
        limit(0.5 * (low + high) - half, 0.5 * (low + high) + half)


def _regrets(ax: Any, rows: Array) -> None:
    beta, eps = rows[:, 0], rows[:, 5:7]
    # Both players' marks and dashes show where one lies on the other.
    looks: Any = ({"marker": "x", "ls": (0, (4, 4)), "ms": 5},
                  {"marker": "+", "ls": (4, (4, 4)), "ms": 8})  # fmt: skip
    for p, (name, color) in enumerate(PLAYERS):
        how: Any = {"how": "s--", "ms": 5, "mfc": "none"} if p else {"how": "o-", "ms": 3}
        label = f"regret of ${name}$"
        line_above_rounding(ax, beta, rows[:, 1 + p], label, color=color, **how)
        said = np.isfinite(eps[:, p])
        if said.any():
            ax.plot(beta[said], eps[said, p], color=color, lw=1, **looks[p],
                    label=rf"Theorem 1's $\epsilon$, ${name}$")  # fmt: skip
    ax.set(xlabel=r"$\beta$", ylabel="gain by a best response")
    ax.set_title("the Gibbs pair is nearly an equilibrium")
    in_decades(ax)
    ticks_at(ax.xaxis, beta, [f"{b:.3g}" for b in beta])
    ax.legend()


def draw_two(part: Any, data: dict[str, Data]) -> None:
    """Theorem 2: NI at t0 by gamma/alpha, NI along the flow given, the identity at gamma = 0."""
    left, middle, right = part.subplots(1, 3)
    several = by_ratio(data)
    if several:
        order = np.argsort(several["ratio"])
        r, held = several["ratio"][order], {key: v[order] for key, v in several.items()}
        left.plot(r, held["ni"], "o-", ms=3, color=BLUE, label="NI of time averages")
        left.plot(r, held["entropic"] + held["moved"], color=BLUE, ls=DASHED, lw=1, label="bound")
        left.plot(r, held["explicit"], color=GREY, ls=":", label="bound by constants")
        left.plot(r, held["last"], "s", ms=3, mfc="none", color=ORANGE, label="NI of last iterate")
        left.plot(r, held["ni"][-1] * np.sqrt(r / r[-1]), color=GREY, lw=0.8, label="slope 1/2")
        left.legend()
    left.set(xlabel=r"$\gamma/\alpha$", title=r"at $t_0 = (\alpha\gamma)^{-1/2}$")
    if (own := data.get("averages in time")) is not None:
        middle.plot(own["time"], own["ni"], color=BLUE, label="NI of averages over $[0, t]$")
        middle.plot(own["time"], own["last"], color=ORANGE, label="NI at $t$")
        middle.plot(own["time"], own["entropic"] + own["moved"], color=BLUE, ls=DASHED, lw=1,
                      label="bound")  # fmt: skip
        middle.set_title(rf"the flow given, $\gamma/\alpha = {float(own['ratio']):.3g}$")
        middle.legend()
    middle.set(xlabel="time $t$, up to $t_0$")
    if (mirror := data.get("mirror descent")) is not None:
        right.plot(mirror["time"], mirror["ni"], "o", color=BLUE, label="NI of averages")
        right.plot(mirror["time"], mirror["entropic"], color=GREY,
                     label=r"$(F_x + F_y)/(\alpha t)$")  # fmt: skip
        right.legend()
    right.set(xlabel="time $t$", title=r"$\gamma = 0$: an identity")
    for ax in (left, middle, right):
        in_decades(ax)


def draw_three(part: Any, data: dict[str, Data]) -> None:
    """Theorem 3: the curves of the comparison."""
    if (held := data.get("particles against the mean field")) is not None:
        c = unpack(held)
        panels = [draw_distances, draw_rate, draw_errors]
        if hasattr(c, "ni_average"):
            panels.append(draw_average_errors)
        for ax, draw in zip(part.subplots(1, len(panels)), panels, strict=True):
            draw(ax, c)


DRAWN = {"1": draw_one, "2": draw_two, "3": draw_three}
