"""A race: every algorithm on the paper's games and three others, exact errors against work.

Exact Nikaido-Isoda (NI) errors, over those of the particles that all begin from, against
gradients that a particle has evaluated and seconds: medians and quartiles over seeds. An algorithm
joins by one line of ALGORITHMS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any, Literal

import numpy as np
from matplotlib.patches import Rectangle

import meanfield as mf
from figures.store import Parts, load, save_png, settings_of
from meanfield.checks import Array
from meanfield.flows import Schedule
from meanfield.plotting.style import BLUE, GREEN, GREY, ORANGE, RED, new_figure, styled

BETA = 100.0
LEAST = 1e-6  # of relative errors that are drawn
STEEP = 50  # dimension beyond which steps are half as long: the slopes of l_b grow with it
LOOKS = {  # each family has a colour, each of its members a marker
    "langevin": BLUE, "past": RED, "response": ORANGE, "weights": GREEN, "one": GREY,
}  # fmt: skip
MARKERS = "os^Dvx"


@dataclass(frozen=True)
class Algorithm:
    """A flow with particles, and what it is told by.

    family: of LOOKS. answer: the last iterate, the last positions with averaged weights, or the
    average of both. gradients: evaluations a step, the mean of both players' (of the loss, where
    there are no gradients). slow: steps this many times shorter (for rates this many times faster).
    most: the largest dimension it is for.
    """

    flow: mf.Flow
    family: str
    answer: Literal["last", "weights", "average"] = "last"
    gradients: float = 1
    slow: int = 1
    most: int = 100
    how: Mapping[str, Any] = field(default_factory=dict)


LAST_WEIGHTS: Any = {"family": "weights", "answer": "weights"}
PROX = {"scheme": "mirror-prox"}
WFR = mf.WassersteinFisherRao()
ALGORITHMS = {
    "L-DA": Algorithm(mf.Langevin(BETA), "langevin"),
    "L-DA, annealed": Algorithm(mf.Annealed(mf.Langevin(BETA / 10), Schedule("poly")), "langevin"),
    "L-DA, y 5 times faster": Algorithm(mf.TwoTimeScale(BETA, 5.0), "langevin", slow=5),
    "entropic WFR, kernel": Algorithm(
        mf.EntropicWassersteinFisherRao(BETA), "langevin", most=10, how={"bandwidth": 0.2}
    ),
    "averaged L-DA": Algorithm(mf.AveragedLangevin(BETA), "past"),
    "discounted L-DA": Algorithm(mf.DiscountedLangevin(BETA, 1.0), "past"),
    "primal-dual, 10 inner": Algorithm(
        mf.EntropicWassersteinFisherRao(BETA, 0.0, 50.0),
        "past",
        gradients=10,
        how={"scheme": "primal-dual", "inner": 10},
    ),
    "best response, mesh": Algorithm(mf.EntropicBestResponse(BETA), "response"),
    "best response, 10 inner": Algorithm(
        mf.EntropicBestResponse(BETA), "response", gradients=10, how={"inner": 10}
    ),
    "quasistatic, 10 inner": Algorithm(
        mf.Quasistatic(BETA), "response", gradients=5.5, how={"inner": 10}
    ),
    "consensus": Algorithm(mf.EntropicBestResponse(BETA), "response", how={"exploration": 0.2}),
    "plain descent-ascent": Algorithm(mf.Wasserstein(), "one"),
    "mirror descent": Algorithm(mf.MirrorDescent(), "one", "weights"),
    "WFR-DA": Algorithm(WFR, **LAST_WEIGHTS),
    "WFR-DA, alpha = 5": Algorithm(mf.WassersteinFisherRao(1.0, 5.0), **LAST_WEIGHTS),
    "WFR-DA, all averaged": Algorithm(WFR, "weights", "average"),
    "alternating WFR-DA": Algorithm(WFR, **LAST_WEIGHTS, how={"scheme": "alternating"}),
    "mirror-prox": Algorithm(WFR, "weights", gradients=2, how=PROX),
    "mirror-prox, 5 inner": Algorithm(WFR, "weights", gradients=5, how={**PROX, "inner": 5}),
}


def tilted(d: int) -> mf.Start:
    """Both players near the first axis, as the uniform laws are equilibria of x'Ay."""
    near = mf.concentrated(np.eye(d)[0], std=0.5)
    return mf.Start(x=near, y=near)


GAMES = {
    "l_a": lambda d, seed: mf.games.polynomial("a", d, seed),
    "l_b": lambda d, seed: mf.games.polynomial("b", d, seed),
    "x'Ay": lambda d, seed: mf.games.bilinear(np.random.default_rng(seed).standard_normal((d, d))),
    "oscillator": lambda d, seed: mf.games.oscillator(3.0),
    "Wang-Chizat": lambda d, seed: mf.games.wang_chizat(),
}
CAPTION = """
Exact Nikaido-Isoda errors over those of the particles that all begin from, medians over seeds of
game, start and noise. Above: against the gradients that each particle has evaluated, at the
dimension said, with quartiles at the end. Below: at the end, by game and dimension; the least of a
column is framed, and bold are those whose quartiles meet its own.
"""


def settings(quick: bool) -> dict[str, Any]:
    return {
        "dims": [2, 5] if quick else [2, 10, 50, 100],
        "shown": 5 if quick else 10,
        "seeds": 2 if quick else 10,
        "particles": 30 if quick else 100,
        "time": 2.0 if quick else 4.0,
        "step": 0.01 if quick else 2e-3,
        "saves": 4 if quick else 10,
        "algorithms": list(ALGORITHMS),
    }


def cells(s: dict[str, Any]) -> list[tuple[str, int]]:
    """Every game and its dimension; 1 for those on circles."""
    spheres = [(name, d) for name in ("l_a", "l_b", "x'Ay") for d in s["dims"]]
    return [*spheres, ("oscillator", 1), ("Wang-Chizat", 1)]


def parts(s: dict[str, Any], folder: Path) -> Parts:
    return {
        f"{algorithm} on {game}, d = {d}": partial(race, s, game, d, algorithm)
        for game, d in cells(s)
        for algorithm in ALGORITHMS
    }


def joined(s: dict[str, Any], found: dict[str, dict[str, Array]]) -> dict[str, Array]:
    """errors (games, algorithms, seeds, saves) and taken (games, algorithms, seeds), seconds."""
    shape = (len(cells(s)), len(ALGORITHMS))
    both = {key: np.array([part[key] for part in found.values()]) for key in ("errors", "taken")}
    return {
        **{key: value.reshape(*shape, *value.shape[1:]) for key, value in both.items()},
        "algorithms": np.array(list(ALGORITHMS)),
        "gradients": np.array([work(s, a) for a in ALGORITHMS.values()]),
    }


def work(s: dict[str, Any], a: Algorithm) -> Array:
    """Gradients that a particle has evaluated at every save but the first."""
    return np.arange(1, s["saves"] + 1) * a.gradients * a.slow * s["time"] / s["step"] / s["saves"]


def race(s: dict[str, Any], game: str, d: int, algorithm: str) -> dict[str, Any]:
    """Relative errors (seeds, saves), nan where it is not for the game, and seconds (seeds,)."""
    rows = [one(s, game, d, ALGORITHMS[algorithm], seed) for seed in range(s["seeds"])]
    return {"errors": [errors for errors, _ in rows], "taken": [taken for _, taken in rows]}


def one(s: dict[str, Any], name: str, d: int, a: Algorithm, seed: int) -> tuple[Array, float]:
    game = GAMES[name](d, seed)
    on_mesh = a.flow.responds and not a.how  # which is there up to two dimensions
    # Primal-dual steps begin at uniform laws, which x'Ay has for equilibria.
    there = name == "x'Ay" and a.how.get("scheme") == "primal-dual"
    if d > a.most or there or (on_mesh and max(M.dim for M in game.manifolds) > 2):
        return np.full(s["saves"], np.nan), np.nan
    start, every = tilted(d) if name == "x'Ay" else mf.Start(), s["time"] / s["saves"]
    step = s["step"] / a.slow / (2 if d > STEEP else 1)
    run = partial(
        mf.simulate, game, a.flow, start, step=step, particles=s["particles"],
        seed=seed, save_every=every, threads=1, progress=False, **a.how,
    )  # fmt: skip
    if seed == 0:
        run(time=every)  # compiles
    clock = process_time()
    made = run(time=s["time"])
    taken = process_time() - clock
    error = mf.NikaidoIsoda(game)
    begun = error(*made[0]).value
    found = [error(*answer(made, a, k)).value for k in range(1, len(made))]
    return np.array(found) / begun, taken


def answer(run: mf.Trajectory, a: Algorithm, k: int) -> tuple[mf.Measure, mf.Measure]:
    """What the algorithm returns at save k."""
    if a.answer == "last":
        return run[k]
    return run.average("weights", k) if a.answer == "weights" else run.average(last=k)


# -- what is told of it ---------------------------------------------------------------------------


def spread(errors: Array) -> Array:
    """Lower quartile, median and upper quartile over seeds, (3, ...) of errors (..., seeds)."""
    return np.quantile(errors, (0.25, 0.5, 0.75), axis=-1)


def told(low: float, middle: float, high: float) -> str:
    return f"{middle:.2g} ({low:.2g} to {high:.2g})"


def of_cell(cell: tuple[str, int]) -> str:
    return f"{cell[0]}, {cell[1]}" if cell[1] > 1 else cell[0]


def near_best(ends: Array) -> tuple[int, Array]:
    """The algorithm of the least median, and whose quartiles meet its own; ends (3, A)."""
    best = int(np.nanargmin(ends[1]))
    return best, ends[0] <= ends[2, best]


def table(data: dict[str, Array]) -> str:
    """What is best where; then every algorithm at the dimension shown, with quartiles, and the
    milliseconds of a run on l_a. In Markdown.
    """
    s, names = settings_of(data), list(data["algorithms"])
    columns, ends = cells(s), spread(data["errors"][..., -1])  # (3, games, algorithms)
    lines = ["| game, d | least error | of | not told from it | L-DA |", "|---|---|---|---|---|"]
    for k, cell in enumerate(columns):
        best, near = near_best(ends[:, k])
        others = "; ".join(n for j, n in enumerate(names) if near[j] and j != best)
        row = [told(*ends[:, k, best]), names[best], others, told(*ends[:, k, 0])]
        lines.append(f"| {of_cell(cell)} | " + " | ".join(row) + " |")
    shown = [k for k, cell in enumerate(columns) if cell[1] in (1, s["shown"])]
    heads = [of_cell(columns[k]) for k in shown]
    lines += ["", "| | " + " | ".join(heads) + " | ms |", "|---" * (len(heads) + 2) + "|"]
    taken = 1e3 * np.median(data["taken"][shown[0]], axis=-1)
    for j, name in enumerate(names):
        row = ["" if np.isnan(ends[1, k, j]) else told(*ends[:, k, j]) for k in shown]
        row.append("" if np.isnan(taken[j]) else f"{taken[j]:.0f}")
        lines.append(f"| {name} | " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def draw(path: Path) -> Path:
    """The picture, drawn from the stored data alone, and the tables beside it."""
    data = load(path)
    s = settings_of(data)
    path.with_suffix(".md").write_text(table(data), encoding="utf-8")
    columns = cells(s)
    with styled():
        figure = new_figure(13.6, 9.4)
        grid = figure.add_gridspec(2, 5, height_ratios=(1, 1.7))
        shown = [k for k, cell in enumerate(columns) if cell[1] in (1, s["shown"])]
        for at, k in enumerate(shown):
            ax = figure.add_subplot(grid[0, at])
            draw_work(ax, data["errors"][k], data)
            name, d = columns[k]
            ax.set_title(name if d == 1 else f"{name}, $d = {d}$")
            if not at:
                ax.set_ylabel("NI error over the start's")
        draw_map(figure.add_subplot(grid[1, :4]), data, columns)
        legend = figure.add_subplot(grid[1, 4])
        legend.axis("off")
        legend.legend(*figure.axes[shown.index(shown[0])].get_legend_handles_labels(), loc="center")
    return save_png(figure, path, CAPTION)


def draw_work(ax: Any, errors: Array, data: dict[str, Array]) -> None:
    """A line for each algorithm, errors (algorithms, seeds, saves), against gradients a particle;
    quartiles at its end.
    """
    low, middle, high = np.maximum(spread(np.moveaxis(errors, 1, -1)), LEAST)
    for k, name in enumerate(data["algorithms"]):
        x = data["gradients"][k]
        ax.loglog(x, middle[k], label=name, ms=3.5, mfc="none", lw=1, **look(str(name)))
        if np.isfinite(middle[k, -1]):
            bar = [[middle[k, -1] - low[k, -1]], [high[k, -1] - middle[k, -1]]]
            ax.errorbar(x[-1], middle[k, -1], bar, color=look(str(name))["color"], lw=1, capsize=2)
    ax.set(xlabel="gradients a particle")


def draw_map(ax: Any, data: dict[str, Array], columns: list[tuple[str, int]]) -> None:
    """Medians at the end, algorithms by games and dimensions."""
    ends = spread(data["errors"][..., -1])  # (3, games, algorithms)
    shades = np.log10(np.clip(ends[1], LEAST, 1.0)).T
    ax.imshow(shades, cmap="viridis", aspect="auto", vmin=np.log10(LEAST), vmax=0)
    for k in range(len(columns)):
        best, near = near_best(ends[:, k])
        ax.add_patch(Rectangle((k - 0.5, best - 0.5), 1, 1, fill=False, ec=ORANGE, lw=2))
        for j, value in enumerate(ends[1, k]):
            if np.isfinite(value):
                dark = {"color": "white" if shades[j, k] < -3 else "black", "ha": "center"}
                weight = "bold" if near[j] else "normal"
                text = f"{value:.1g}" if value < 9.5 else f"{value:.0f}"
                ax.text(k, j, text, va="center", fontsize=7.5, weight=weight, **dark)
    names = [of_cell(cell).replace(", ", "\n").replace("-", "-\n") for cell in columns]
    ax.set_xticks(range(len(columns)), names)
    ax.set_yticks(range(len(data["algorithms"])), list(data["algorithms"]))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title("NI error over the start's at the end, by game and dimension")


def look(name: str) -> dict[str, Any]:
    """The colour and marker of an algorithm."""
    family = ALGORITHMS[name].family
    members = [other for other, a in ALGORITHMS.items() if a.family == family]
    return {"color": LOOKS[family], "marker": MARKERS[members.index(name)]}
