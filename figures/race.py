"""A race: every algorithm on the paper's games and three others, exact errors against work.

Exact Nikaido-Isoda (NI) errors, over those of the particles that all begin from, against
gradients that a particle has evaluated and seconds. An algorithm joins by one line of ALGORITHMS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any, Literal

import numpy as np

import meanfield as mf
from figures.store import Parts, load, save_png, settings_of
from meanfield.checks import Array
from meanfield.flows import Schedule
from meanfield.plotting.style import new_figure, styled, ticks_at

BETA = 100.0
LEAST = 1e-6  # of relative errors that are drawn


@dataclass(frozen=True)
class Algorithm:
    """A flow with particles, and what it is told by.

    answer: the last iterate, the last positions with averaged weights, or the average of both.
    gradients: evaluations a step. slow: steps this many times shorter (for rates this many times
    faster).
    """

    flow: mf.Flow
    answer: Literal["last", "weights", "average"] = "last"
    gradients: int = 1
    slow: int = 1
    how: Mapping[str, Any] = field(default_factory=dict)


PROX = {"scheme": "mirror-prox"}
ALGORITHMS = {
    "L-DA": Algorithm(mf.Langevin(BETA)),
    "L-DA, annealed": Algorithm(mf.Annealed(mf.Langevin(BETA / 10), Schedule("poly"))),
    "L-DA, y 5 times faster": Algorithm(mf.TwoTimeScale(BETA, 5.0), slow=5),
    "averaged L-DA": Algorithm(mf.AveragedLangevin(BETA)),
    "discounted L-DA": Algorithm(mf.DiscountedLangevin(BETA, 1.0)),
    "entropic best response": Algorithm(mf.EntropicBestResponse(BETA)),
    "plain descent-ascent": Algorithm(mf.Wasserstein()),
    "mirror descent": Algorithm(mf.MirrorDescent(), "weights"),
    "WFR-DA": Algorithm(mf.WassersteinFisherRao(), "weights"),
    "WFR-DA, alpha = 5": Algorithm(mf.WassersteinFisherRao(1.0, 5.0), "weights"),
    "WFR-DA, positions averaged": Algorithm(mf.WassersteinFisherRao(), "average"),
    "alternating WFR-DA": Algorithm(
        mf.WassersteinFisherRao(), "weights", how={"scheme": "alternating"}
    ),
    "mirror-prox": Algorithm(mf.WassersteinFisherRao(), gradients=2, how=PROX),
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
Exact Nikaido-Isoda errors over those of the particles that all begin from, geometric means
over seeds of game, start and noise. Above: against the gradients that each particle has evaluated,
at the dimension said. Below: at the end by dimension, and the processor seconds of a run.
"""


def settings(quick: bool) -> dict[str, Any]:
    return {
        "dims": [2, 5] if quick else [2, 10, 50],
        "shown": 5 if quick else 10,
        "seeds": 2,
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
    if a.flow.responds and max(M.dim for M in game.manifolds) > 2:
        return np.full(s["saves"], np.nan), np.nan  # responses are drawn on a mesh
    start, every = tilted(d) if name == "x'Ay" else mf.Start(), s["time"] / s["saves"]
    run = partial(
        mf.simulate, game, a.flow, start, step=s["step"] / a.slow, particles=s["particles"],
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


def mean(errors: Array) -> Array:
    """The geometric mean over seeds, errors (..., seeds, saves)."""
    return np.exp(np.log(np.maximum(errors, 1e-300)).mean(axis=-2))


def table(data: dict[str, Array]) -> str:
    """Errors at the end by game and dimension, the least of each column in bold, in Markdown."""
    s = settings_of(data)
    columns = cells(s)
    ends = mean(data["errors"])[..., -1]  # (games, algorithms)
    names = [f"{game}, {d}" if d > 1 else game for game, d in columns]
    lines = ["| | " + " | ".join(names) + " | ms a run |", "|---" * (len(names) + 2) + "|"]
    for k, algorithm in enumerate(data["algorithms"]):
        row = [
            "" if np.isnan(v[k]) else f"**{v[k]:.2g}**" if v[k] == np.nanmin(v) else f"{v[k]:.2g}"
            for v in ends
        ]
        taken = 1e3 * np.nanmedian(data["taken"][columns.index(("l_a", s["shown"])), k])
        row.append("" if np.isnan(taken) else f"{taken:.0f}")
        lines.append(f"| {algorithm} | " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def draw(path: Path) -> Path:
    """The picture, drawn from the stored data alone, and the table beside it."""
    data = load(path)
    s = settings_of(data)
    path.with_suffix(".md").write_text(table(data), encoding="utf-8")
    errors, columns = np.maximum(mean(data["errors"]), LEAST), cells(s)
    with styled():
        figure = new_figure(13.6, 6.6)
        axes = figure.subplots(2, 5)
        d = s["shown"]
        for ax, cell in zip(axes[0], [c for c in columns if c[1] in (1, d)], strict=True):
            draw_work(ax, errors[columns.index(cell)], data)
            ax.set_title(cell[0] if cell[1] == 1 else f"{cell[0]}, $d = {d}$")
        for ax, game in zip(axes[1], ("l_a", "l_b", "x'Ay"), strict=False):
            rows = [columns.index((game, d)) for d in s["dims"]]
            draw_lines(ax, s["dims"], errors[rows, :, -1].T)
            ax.set(title=f"{game}, at the end", xlabel="dimension $d$", yscale="log")
            ticks_at(ax.xaxis, s["dims"], [f"{v:g}" for v in s["dims"]])
        rows = [columns.index(("l_a", d)) for d in s["dims"]]
        draw_lines(axes[1, 3], s["dims"], np.median(data["taken"][rows], axis=-1).T)
        axes[1, 3].set(title="l_a, seconds a run", xlabel="dimension $d$", yscale="log")
        ticks_at(axes[1, 3].xaxis, s["dims"], [f"{v:g}" for v in s["dims"]])
        axes[1, 4].axis("off")
        axes[1, 4].legend(*axes[0, 3].get_legend_handles_labels(), loc="center")
        for ax in axes[:, 0]:
            ax.set_ylabel("NI error over the start's")
    return save_png(figure, path, CAPTION)


def draw_work(ax: Any, errors: Array, data: dict[str, Array]) -> None:
    """A line for each algorithm, errors (algorithms, saves), against gradients a particle."""
    for k, (name, curve) in enumerate(zip(data["algorithms"], errors, strict=True)):
        ax.loglog(data["gradients"][k], curve, label=name, **look(k))
    ax.set(xlabel="gradients a particle")


def draw_lines(ax: Any, dims: list[int], values: Array) -> None:
    """A line for each algorithm, values (algorithms, dims), over the dimension."""
    for k, curve in enumerate(values):
        ax.plot(dims, curve, marker="o", ms=3, **look(k))
    ax.set_xscale("log")


def look(k: int) -> dict[str, Any]:
    """The colour and dashes of algorithm k."""
    return {"color": f"C{k % 10}", "ls": ("-", "--", ":")[k // 10]}
