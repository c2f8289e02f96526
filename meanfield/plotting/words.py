"""Games, flows and numbers as pictures name them, in matplotlib's mathematical text."""

from __future__ import annotations

import math
import re
from textwrap import fill
from typing import Any

import numpy as np

from meanfield.measures import Density

RATES = (("gamma", r"\gamma"), ("alpha", r"\alpha"), ("response", r"\rho"))


def number(n: float) -> str:
    """A particle number in mathematical text: powers of ten as such."""
    power = int(np.log10(n) + 1e-12)
    digits = n / 10**power
    if digits == 1 and power > 2:
        return f"$10^{{{power}}}$"
    return f"${digits:g} \\cdot 10^{{{power}}}$" if digits % 1 == 0 and power > 3 else f"${n:g}$"


def particles(n: float) -> str:
    """A number of particles, named n."""
    return f"$n = {number(n)[1:-1]}$"


def small(value: float) -> str:
    """A number such as 3e-15, without dollar signs: 3 \\cdot 10^{-15}; plain from 1e-3 on."""
    if value == 0 or abs(value) >= 1e-3:
        return f"{value:.3g}"
    digits, power = f"{value:.1e}".split("e")
    return rf"{digits.removesuffix('.0')} \cdot 10^{{{int(power)}}}"


def equal(symbol: str, value: Any) -> str:
    """ "$symbol=value$", one number or a pair (for x, for y); no spaces, so that no line breaks."""
    x, y = value if isinstance(value, (tuple, list)) else (value, value)
    return f"${symbol}={x:.6g}$" if x == y else f"${symbol}=({x:.6g},{y:.6g})$"


def beta_of(flow: Any) -> tuple[float, float]:
    """Both players' inverse temperatures, infinite where there is no noise."""
    x, y = (1 / t if t > 0 else np.inf for t in flow.temperature)
    return x, y


def of_flow(flow: Any) -> str:
    """A flow's name and numbers, those that are zero for both players left out."""
    words = [flow.name]
    if max(flow.temperature) > 0:
        words.append(equal(r"\beta", beta_of(flow)))
    # An infinite rate is what the flow's name says: a player who is at its response at all times.
    words += [equal(s, r) for key, s in RATES if 0 < max(r := getattr(flow, key)) < math.inf]
    return ", ".join(words)


def of_game(game: Any) -> str:
    """A game's name, the paper's l_a and l_b as it prints them."""
    name = str(getattr(game, "name", "")).replace("$", r"\$")
    return re.sub(r"\bl_([ab])\b", r"$\\ell_\1$", name)


def of_run(trajectory: Any) -> str:
    """The title of a run: game, flow with its numbers, particles or mean field."""
    field = isinstance(trajectory.x[-1], Density) or "engine" in trajectory.provenance
    words = [f"{len(trajectory.x[-1]):,} particles" if not field else "mean field"]
    if hasattr(trajectory.flow, "temperature"):
        words.insert(0, of_flow(trajectory.flow))
    return wrapped(", ".join(filter(None, [of_game(trajectory.game), *words])))


def of_pair(a: Any, b: Any) -> str:
    """The title of a picture that compares two runs; b may be a pair of measures."""
    own = " ".join(of_run(a).split())
    other = " ".join(of_run(b).split()) if hasattr(b, "flow") else "a pair of measures"
    rest = [word for word in other.split(", ") if word not in own.split(", ")]
    return wrapped(f"{own}, against {', '.join(rest) or 'another run'}", 70)


def wrapped(title: str, width: int = 105) -> str:
    """A title broken into lines between its words, the middle of endless ones left out."""
    words = (
        word if len(word) <= width else f"{word[: width // 2]}...{word[-width // 3 :]}"
        for word in title.split()
    )
    return fill(" ".join(words), width, break_long_words=False, break_on_hyphens=False)
