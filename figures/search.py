"""How often (7) fails to converge: a search over random games on two circles.

Games of `meanfield.games.random_fourier`, of variance one, are followed from random bumps. Where
the players' moments still turn after a long time, and as widely as before, Newton's method on the
return map looks for the cycle: it counts as one where it closes and all its multipliers but that of
a shift in time lie inside the unit circle. What comes back to nothing is damped, or moves between
wells as slowly as diffusion carries it.
"""

from __future__ import annotations

import warnings
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import meanfield as mf
from figures.store import Parts, load, save_png
from meanfield.density.choice import build
from meanfield.plotting.style import BLUE, GREY, ORANGE, new_figure, styled

ONE_CORE = True
SETTLED, RELAXING, TURNING, CYCLE = range(4)
KINDS = ("at the Gibbs point", "on the way", "turning, no cycle found", "a stable cycle")
STD = 0.3  # of the bumps
LOOK, LOOKS = 0.2, 100  # between looks at the moments, and how many
NEAR = 1e-3  # of the Gibbs point's moments
WIDE, BACK, HELD = 0.05, 0.5, 0.5  # moved at least, come back to within, still as wide as
CAPTION = """
Random games on two circles, l of variance one and degree d in either angle, under (7) at inverse
temperature beta, and the simplest game known with a cycle. Left and middle: what became of random
games, from random bumps, at the smallest and the largest beta. Right: l = cos 2x - cos 2y +
8 cos(x - y) at beta = 10, its stable cycle in (E sin x, E sin y) and its stable Gibbs point.
"""


def settings(quick: bool) -> dict[str, Any]:
    return {
        "degrees": [1, 2] if quick else [1, 2, 3, 4],
        "betas": [10.0, 20.0] if quick else [10.0, 20.0, 40.0],
        "games": 4 if quick else 840,  # of each degree and beta
        "block": 4 if quick else 60,
        "time": 40.0 if quick else 60.0,
        "again": 240.0,
        "folds": [4.0] if quick else [3.5, 4.0],
        "control": 4 if quick else 120,  # one game of so many is followed to the end
        "end": [100.0, 1e-3] if quick else [1500.0, 1e-8],
    }


def parts(s: dict[str, Any], folder: Path) -> Parts:
    found: dict[str, Any] = {"the game of three modes": three_modes}
    found |= {f"its fold at beta = {beta:g}": partial(fold, beta) for beta in s["folds"]}
    for first, beta, d in product(range(0, s["games"], s["block"]), s["betas"], s["degrees"]):
        seeds = range(first, min(first + s["block"], s["games"]))
        name = f"games from {first}, degree {d}, beta = {beta:g}"
        found[name] = partial(block, s, d, beta, seeds)
    return found


def joined(s: dict[str, Any], found: dict[str, dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    blocks = [part for part in found.values() if "kind" in part]
    rows = {name: np.concatenate([part[name] for part in blocks]) for name in blocks[0]}
    folds = [(part["beta"], part["a"]) for part in found.values() if "a" in part]
    return {**rows, **found["the game of three modes"], "folds": np.array(folds)}


# -- one game -------------------------------------------------------------------------------------


def block(s: dict[str, Any], degree: int, beta: float, seeds: range) -> dict[str, Any]:
    """What becomes of each game, one row a game: its numbers, kind, distance, period, leading
    multiplier, and the distance at the end where it is one of the control, else nan.
    """
    rows = [followed(s, degree, beta, seed) for seed in seeds]
    names = ("degree", "beta", "seed", "kind", "away", "period", "leading", "end")
    return dict(zip(names, np.array(rows).T, strict=True))


def followed(s: dict[str, Any], degree: int, beta: float, seed: int) -> list[float]:
    game = mf.games.random_fourier(degree, seed)
    point = mf.gibbs(game, beta)
    at = moments((point.x, point.y), degree)
    centres = np.random.default_rng([seed, degree, 7]).uniform(0, 2 * np.pi, 2)
    start = mf.Start(*(mf.concentrated(c, std=STD) for c in centres))
    kind, *numbers = outcome(s, game, beta, start, at)
    controlled = seed % s["control"] == 0 and kind != CYCLE
    end = to_the_end(s, game, beta, start, at) if controlled else np.nan
    return [degree, beta, seed, kind, *numbers, end]


def outcome(
    s: dict[str, Any], game: Any, beta: float, start: mf.Start, at: np.ndarray
) -> tuple[int, float, float, float]:
    """The kind, the distance from the Gibbs point, and a cycle's period and leading multiplier."""
    engine = follow(game, beta, start, tol=1e-4)
    engine.advance(s["time"])
    path = watched(engine, len(at[0]))
    away = float(np.abs(path[-1] - at).max())
    if away < NEAR:
        return SETTLED, away, np.nan, np.nan
    first = width(path)
    if not first:
        return RELAXING, away, np.nan, np.nan
    engine.advance(s["again"])
    path = watched(engine, len(at[0]))
    away = float(np.abs(path[-1] - at).max())
    if width(path) < HELD * first:
        return RELAXING, away, np.nan, np.nan
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mf.UnderResolved)
            cycle = mf.orbit(
                game, mf.Langevin(beta), mf.Start(*engine.measures()), settle=50.0, count=2
            )
    except mf.NotConverged:
        return TURNING, away, np.nan, np.nan
    leading = float(np.abs(cycle.others).max())
    return CYCLE if cycle.stable else TURNING, away, cycle.period, leading


def follow(game: Any, beta: float, start: mf.Start, tol: float) -> Any:
    """(7) in Fourier modes, as `solve` follows it, without the saves."""
    engine = build(game, mf.Langevin(beta), start, tol=tol)
    engine.warned = True  # of the narrow start
    return engine


def to_the_end(s: dict[str, Any], game: Any, beta: float, start: mf.Start, at: np.ndarray) -> float:
    """How far from the Gibbs point the moments are in the end."""
    last, near = s["end"]
    engine = follow(game, beta, start, tol=1e-10)
    for time in np.linspace(0, last, 31)[1:]:
        engine.advance(time)
        away = float(np.abs(state(engine, len(at[0])) - at).max())
        if away < near:
            break
    return away


def moments(pair: Any, degree: int) -> np.ndarray:
    """E exp(-i k x) of both players, k = 1 to degree, (2, degree): all that potentials read."""
    k = np.arange(1, degree + 1)
    return np.array([np.exp(-1j * np.outer(k, m.points)) @ m.masses for m in pair])


def state(engine: Any, degree: int) -> np.ndarray:
    return np.array([engine.coefficients(p)[1 : degree + 1] for p in (0, 1)])


def watched(engine: Any, degree: int) -> np.ndarray:
    """The moments at times LOOK apart from now on, (LOOKS + 1, 2, degree)."""
    path, begin = [state(engine, degree)], engine.time
    for k in range(1, LOOKS + 1):
        engine.advance(begin + LOOK * k)
        path.append(state(engine, degree))
    return np.array(path)


def width(path: np.ndarray) -> float:
    """How far the moments move before they come back to where they were; 0 if they do not."""
    d = np.linalg.norm((path - path[0]).reshape(len(path), -1), axis=1)
    gone = int(np.argmax(d > 0.5 * d.max()))
    back = d[gone:].min() < BACK * d.max()
    return float(d.max()) if d.max() > WIDE and back else 0.0


# -- the game of three modes ----------------------------------------------------------------------


def three_modes_game(a: float = 8.0) -> mf.games.LowRank:
    """cos 2x - cos 2y + a cos(x - y)."""
    waves: list[Any] = [((2,), (0,), 1.0, 0.0), ((0,), (2,), -1.0, 0.0), ((1,), (-1,), a, 0.0)]
    return mf.games.trigonometric(waves, name="three modes")


def its_cycle(a: float, beta: float, nodes: int) -> Any:
    """Its stable cycle, from two bumps."""
    start = mf.Start(x=mf.concentrated(1.0, std=STD), y=mf.concentrated(0.0, std=STD))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mf.UnderResolved)  # of the start
        return mf.orbit(
            three_modes_game(a), mf.Langevin(beta), start, settle=40.0, cells=nodes, count=3
        )


def three_modes() -> dict[str, Any]:
    """One period of (E sin x, E sin y) at a = 8, beta = 10, and the Gibbs point's."""
    cycle, point = its_cycle(8.0, 10.0, 128), mf.gibbs(three_modes_game(8.0), 10.0)
    pairs = [*zip(cycle.x, cycle.y, strict=True), (point.x, point.y)]
    sines = [-moments(pair, 1)[:, 0].imag for pair in pairs]
    numbers = [cycle.period, np.abs(cycle.others).max()]
    return {"loop": sines[:-1], "point": sines[-1], "numbers": numbers}


def fold(beta: float) -> dict[str, Any]:
    """The coupling a and the period at which its stable cycle meets an unstable one."""
    nodes = 96 if beta < 7 else 160
    curve = mf.branch(
        lambda a: (three_modes_game(float(a)), mf.Langevin(beta)), its_cycle(12.0, beta, nodes),
        12.0, (1.0, 12.0), step=-0.5, folds=1, name="a", progress=False,
    )  # fmt: skip
    a, period = curve.folds[0]
    return {"beta": beta, "a": a, "period_there": period}


# -- what is told of it ---------------------------------------------------------------------------


def share(kinds: np.ndarray, kind: int) -> tuple[float, float, float]:
    """The share of a kind among games, with its 95% interval of Clopper and Pearson."""
    from scipy.stats import binomtest

    count, n = int((kinds == kind).sum()), len(kinds)
    low, high = binomtest(count, n).proportion_ci(0.95, method="exact")
    return count / n, float(low), float(high)


def cells(data: dict[str, np.ndarray]) -> list[tuple[float, float, np.ndarray]]:
    """(degree, beta, which rows) of each group of games."""
    of = np.stack([data["degree"], data["beta"]], axis=1)
    return [(d, b, (of == (d, b)).all(axis=1)) for d, b in np.unique(of, axis=0)]


def table(data: dict[str, np.ndarray]) -> str:
    """The counts, the share with a cycle, and what became of the control, in Markdown."""
    lines = [
        "| degree | beta | games | " + " | ".join(KINDS) + " | share with a cycle | control |",
        "|---" * 9 + "|",
    ]
    for degree, beta, which in cells(data):
        kinds, ends = data["kind"][which], data["end"][which]
        counts = " | ".join(str(int((kinds == k).sum())) for k in range(4))
        middle, low, high = (100 * v for v in share(kinds, CYCLE))
        followed = ends[np.isfinite(ends)]
        lines.append(
            f"| {degree:g} | {beta:g} | {len(kinds)} | {counts} | {middle:.2f}% ({low:.2f} to "
            f"{high:.2f}) | {int((followed < 1e-7).sum())} of {len(followed)} |"
        )
    return "\n".join(lines) + "\n"


def draw(path: Path) -> Path:
    """The picture, drawn from the stored data alone, and the table beside it."""
    data = load(path)
    path.with_suffix(".md").write_text(table(data), encoding="utf-8")
    with styled():
        figure = new_figure(9.6, 3.2)
        left, middle, right = figure.subplots(1, 3)
        draw_kinds(left, data, data["beta"].min())
        draw_kinds(middle, data, data["beta"].max())
        loop = np.concatenate([data["loop"], data["loop"][:1]])
        right.plot(*loop.T, color=BLUE, label="stable cycle")
        right.plot(*data["point"], "o", color=ORANGE, ms=5, label="Gibbs point")
        right.set(xlabel=r"$\mathbb{E}\,\sin x$", ylabel=r"$\mathbb{E}\,\sin y$",
                  title=r"$\cos 2x - \cos 2y + 8 \cos(x - y)$", xlim=(-1.1, 1.1),
                  ylim=(-1.1, 1.1), aspect="equal")  # fmt: skip
        right.legend(loc="center", bbox_to_anchor=(0.5, 0.3))
    return save_png(figure, path, CAPTION)


def draw_kinds(ax: Any, data: dict[str, np.ndarray], beta: float) -> None:
    """What became of the games at one beta, a bar for each degree."""
    groups = [(d, data["kind"][w]) for d, b, w in cells(data) if b == beta]
    below = np.zeros(len(groups))
    for kind, color in enumerate((BLUE, "#c3c7cb", GREY, ORANGE)):
        heights = np.array([100 * np.mean(kinds == kind) for _, kinds in groups])
        ax.bar([d for d, _ in groups], heights, 0.7, below, color=color, label=KINDS[kind])
        below += heights
    ax.set(xlabel="degree $d$", ylabel="% of games", xticks=[d for d, _ in groups])
    ax.set(ylim=(0, 100), yticks=[0, 50, 100], title=rf"random games, $\beta = {beta:g}$")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.25), fontsize=7, ncol=2)
