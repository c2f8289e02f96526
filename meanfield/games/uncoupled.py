"""Games l = f(x) - g(y) on the circle: each player is alone in a potential with known wells."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from meanfield.checks import real
from meanfield.games.catalogue import recorded
from meanfield.games.lowrank import LowRank, Term, trigonometric
from meanfield.games.wells import Wells

Wave = tuple[int, float, float]


@recorded
def separable(f: Sequence[Wave], g: Sequence[Wave] | None = None) -> LowRank:
    """l = f(x) - g(y) on the circle, f = sum of re cos kx - im sin kx over (k, re, im).

    answers: "f" and "g", each a `Wells` with every local minimum to rounding, the Gibbs density and
    the spectral gap at any beta; "value"; "plain_ni"(x0, y0), the NI error that the plain flow (6)
    ends with from atoms at x0, y0.

    Parameters
    ----------
    f, g : sequence of (k, re, im)
        g like f by default.

    Returns
    -------
    LowRank

    Examples
    --------
    >>> import meanfield as mf
    >>> mf.games.separable([(1, 1.0, 0.0)]).answers["value"]
    0.0
    """
    wells = Wells.of("f", f), Wells.of("g", f if g is None else g)
    terms: list[Term] = [((k,), (0,), re, im) for k, re, im in wells[0].waves]
    terms += [((0,), (k,), -re, -im) for k, re, im in wells[1].waves]
    statement = (
        "l = f(x) - g(y): both players solve a linear Fokker-Planck equation of their own under "
        "(7), with the Gibbs limits exp(-beta f)/Z and exp(-beta g)/Z; the value is min f - min g. "
        "The plain flow (6) from inside the basin of a local minimum ends with "
        "NI = (f_loc - f_min) + (g_loc - g_min)."
    )
    answers = {
        "f": wells[0],
        "g": wells[1],
        "value": float(wells[0].values[0] - wells[1].values[0]),
        "plain_ni": partial(_plain_ni, wells),
    }
    name = "separable game f(x) - g(y)"
    return trigonometric(terms, name=name, statement=statement, answers=answers)


def _plain_ni(wells: tuple[Wells, ...], x0: float, y0: float) -> float:
    starts = zip(wells, (x0, y0), strict=True)
    return sum(float(w.reached(start) - w.values[0]) for w, start in starts)


@recorded
def double_well(tilt: float = 0.3) -> LowRank:
    """l = f(x) - f(y), f(x) = cos 2x + tilt sin x: wells at 3 pi/2 and, higher, pi/2.

    answers, besides those of `separable`: "f_min" at "x_min", the local minimum "f_loc" at "x_loc"
    with its "basin", and "trapped_ni", the NI error of the plain flow (6) from inside the basin.

    Parameters
    ----------
    tilt : float
        Between 0 and 4.

    Returns
    -------
    LowRank

    Raises
    ------
    ValueError
        For another tilt.

    Examples
    --------
    >>> import meanfield as mf
    >>> print(f"{mf.games.double_well(tilt=0.3).answers['trapped_ni']:.6f}")
    1.200000
    """
    t = real("tilt", tilt, 0.0, strict=True)
    if t >= 4:
        raise ValueError(f"tilt must be below 4 for the second well to exist, got {t:g}")
    edge = float(np.arcsin(t / 4))
    game = separable([(2, 1.0, 0.0), (1, 0.0, -t)])
    game.name = f"double well (tilt {t:g})"
    game.statement = (
        f"l = f(x) - f(y), f(x) = cos 2x + {t:g} sin x. f has its minimum -1 - tilt at 3 pi/2 and "
        "another local minimum, -1 + tilt, at pi/2, whose basin is (arcsin(tilt/4), pi - "
        "arcsin(tilt/4)). With both players started inside that basin the plain flow (6) ends with "
        "NI = 4 tilt."
    )
    game.answers |= {
        "f_min": -1.0 - t, "f_loc": -1.0 + t, "x_min": 1.5 * np.pi, "x_loc": 0.5 * np.pi,
        "basin": (edge, np.pi - edge), "trapped_ni": 4 * t,
    }  # fmt: skip
    return game
