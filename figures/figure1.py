"""Figure 1 of the paper with exact errors: mirror descent, L-DA and WFR-DA on l_a and l_b, by
dimension.

Nikaido-Isoda errors are exact (trust-region subproblems), where the paper has the best of 2000
gradient runs, a lower bound, drawn here as thin lines. Weights are averaged over time as the paper
does it (mirror descent, WFR-DA); L-DA is its last iterate. Further panels show what step,
temperature and time change at one dimension. Each game's exact equilibrium gives its value.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import meanfield as mf
from figures.store import Parts, load, save_png, settings_of
from meanfield.checks import Array
from meanfield.particles.ensemble import ensemble
from meanfield.plotting.pages import LEAST, METHODS, spread
from meanfield.plotting.style import in_decades, new_figure, styled, ticks_at

KINDS = ("a", "b")
SHOWN = 1e-7  # errors below this are not drawn
ONE_CORE = True  # a part uses one core, so that several are computed at once


def settings(quick: bool) -> dict[str, Any]:
    return {
        "dims": [2, 5, 10, 20, 50] if quick else [2, 3, 5, 10, 20, 50, 100],
        "sizes": [50, 100],
        "games": 3 if quick else 4,
        "replicas": 1 if quick else 2,
        "time": 10.0,
        "step": 2e-3 if quick else 1e-3,
        "beta": 100.0,
        "alpha": 1.0,
        "gamma": 1.0,
        "runs": 2000,
        "run_steps": 100,
        "estimated_games": 1 if quick else 3,
        "one_dim": 10,
        "time_dims": [2, 20],
        "steps": [5e-4, 1e-3, 2e-3, 5e-3],
        "betas": [10.0, 30.0, 100.0, 300.0, 1000.0],
        "long": 20.0 if quick else 50.0,
        "saves": 20,
    }


def flow_of(method: str, s: dict[str, Any], beta: float | None = None) -> mf.Flow:
    if method == "mirror descent":
        return mf.MirrorDescent(s["alpha"])
    if method == "L-DA":
        return mf.Langevin(s["beta"] if beta is None else beta, s["gamma"])
    return mf.WassersteinFisherRao(s["gamma"], s["alpha"])


def parts(s: dict[str, Any], folder: Path) -> Parts:
    """By loss and method, what is drawn of them; the arrays' axes are named in each function."""
    found: dict[str, Any] = {}
    for kind, method in product(KINDS, METHODS):
        on = f"on l_{kind}, {method}"
        found[f"errors by dimension {on}"] = partial(by_dimension, s, kind, method)
        found[f"gradient runs {on}"] = partial(estimates, s, kind, method)
        found[f"errors by step and temperature {on}"] = partial(by_setting, s, kind, method)
        found[f"errors in time {on}"] = partial(in_time, s, kind, method)
    for kind in KINDS:
        found[f"exact equilibria of l_{kind}"] = partial(values, s, kind)
    return found


def joined(s: dict[str, Any], found: dict[str, dict[str, Array]]) -> dict[str, Array]:
    """The arrays of all parts, with axes (kinds, methods, ...), "values" (kinds, ...)."""
    rows: dict[str, list[Array]] = {}
    for part in found.values():
        for name, value in part.items():
            rows.setdefault(name, []).append(value)
    shape = (len(KINDS), len(METHODS))
    arrays = {name: np.array(row) for name, row in rows.items()}
    data = {name: a if name == "values" else a.reshape(*shape, *a.shape[1:])
            for name, a in arrays.items()}  # fmt: skip
    names = ("dims", "sizes", "steps", "betas", "time_dims")
    return {**{name: np.array(s[name]) for name in names}, "times": times_of(s), **data}


def final(run: mf.Trajectory) -> tuple[mf.Measure, mf.Measure]:
    """What a method returns: averaged weights where weights move, else the last iterate."""
    return run.average("weights") if run.flow.reacts else run[-1]


def finals(
    s: dict[str, Any],
    kind: str,
    d: int,
    seed: int,
    method: str,
    n: int,
    beta: float | None = None,
    **changed: Any,
) -> Iterator[tuple[mf.Measure, mf.Measure]]:
    """The results of all replicas on one game."""
    game = mf.games.polynomial(kind, dim=d, seed=seed)
    options = {"time": s["time"], "step": s["step"], **changed}
    return ensemble(
        game, flow_of(method, s, beta), mf.Start(), replicas=s["replicas"], particles=n, seed=seed,
        save_every=options["time"], reduce=final, progress=False, **options,
    )  # fmt: skip


def by_dimension(s: dict[str, Any], kind: str, method: str) -> dict[str, Array]:
    """Exact NI: "by_dimension" (sizes, dims, games x replicas)."""
    rows = [[sampled(s, kind, d, method, n) for d in s["dims"]] for n in s["sizes"]]
    return {"by_dimension": np.array(rows)}


def sampled(s: dict[str, Any], kind: str, d: int, method: str, n: int, **changed: Any) -> Array:
    """Exact NI over games and replicas."""
    rows = []
    for seed in range(s["games"]):
        error = mf.NikaidoIsoda(mf.games.polynomial(kind, dim=d, seed=seed))
        rows += [error(*pair).value for pair in finals(s, kind, d, seed, method, n, **changed)]
    return np.array(rows)


def estimates(s: dict[str, Any], kind: str, method: str) -> dict[str, Array]:
    """ "estimates" (dims, games, 2): for the smaller n and replica 0, the exact NI and that of
    gradient runs.
    """
    found = np.empty((len(s["dims"]), s["estimated_games"], 2))
    for j, seed in np.ndindex(*found.shape[:2]):
        d = s["dims"][j]
        error = mf.NikaidoIsoda(mf.games.polynomial(kind, dim=d, seed=seed))
        pair = next(iter(finals({**s, "replicas": 1}, kind, d, seed, method, s["sizes"][0])))
        estimate = error.estimate(*pair, runs=s["runs"], steps=s["run_steps"])
        found[j, seed] = error(*pair).value, estimate.value
    return {"estimates": found}


def values(s: dict[str, Any], kind: str) -> dict[str, Array]:
    """ "values" (dims, games, 2): each game's value and its exact equilibrium's certified error."""
    games = [
        [mf.nash(mf.games.polynomial(kind, dim=d, seed=seed)) for seed in range(s["games"])]
        for d in s["dims"]
    ]
    return {"values": np.array([[(e.value, e.error) for e in row] for row in games])}


def by_setting(s: dict[str, Any], kind: str, method: str) -> dict[str, Array]:
    """ "by_step" and "by_beta" (settings, games x replicas), at one dimension."""
    d, n = s["one_dim"], s["sizes"][0]
    steps = [sampled(s, kind, d, method, n, step=h) for h in s["steps"]]
    betas = [sampled(s, kind, d, method, n, beta=b) for b in s["betas"]]
    return {"by_step": np.array(steps), "by_beta": np.array(betas)}


def times_of(s: dict[str, Any]) -> Array:
    return np.arange(1, s["saves"] + 1) * (s["long"] / s["saves"])


def in_time(s: dict[str, Any], kind: str, method: str) -> dict[str, Array]:
    """NI along runs: "in_time" (dims, 2, times, games), averaged weights and last iterate."""
    saves = s["saves"]
    found = np.empty((len(s["time_dims"]), 2, saves, s["games"]))
    for c, seed in np.ndindex(len(found), s["games"]):
        game = mf.games.polynomial(kind, dim=s["time_dims"][c], seed=seed)
        error = mf.NikaidoIsoda(game)
        run = mf.simulate(
            game, flow_of(method, s), mf.Start(), s["long"], step=s["step"],
            particles=s["sizes"][0], seed=seed,
            save_every=s["long"] / saves, diagnostics={"ni": error}, progress=False,
        )  # fmt: skip
        found[c, 1, :, seed] = run.diagnostics["ni"][1:]
        means = [
            run.average("weights", k) if run.flow.reacts else run[k] for k in range(1, saves + 1)
        ]
        found[c, 0, :, seed] = [error(*pair).value for pair in means]
    return {"in_time": found}


def draw(path: Path) -> Path:
    """The picture, drawn from the stored data alone."""
    data = load(path)
    s = settings_of(data)
    with styled():
        figure = new_figure(13.6, 6.9)
        axes = figure.subplots(2, 5, sharey="row", width_ratios=(2.2, 1.1, 1.1, 1.1, 1.1))
        one = s["one_dim"]
        titles = ["errors by dimension", *[f"$d = {d}$" for d in (one, one, *data["time_dims"])]]
        for k, row in enumerate(axes):
            draw_dimension(row[0], data, k)
            draw_setting(row[1], data["steps"], data["by_step"][k], "step")
            draw_setting(row[2], data["betas"], data["by_beta"][k], r"$\beta$ of L-DA")
            for c, ax in enumerate(row[3:]):
                draw_time(ax, data["times"], data["in_time"][k, :, c])
            row[0].set_ylabel(f"NI error on $\\ell_{KINDS[k]}$")
            row[0].set_ylim(SHOWN, None)
            for title, letter, ax in zip(titles, LETTERS[5 * k :], row, strict=False):
                ax.set_title(title if k == 0 else "")
                ax.set_title(letter, loc="left", fontweight="bold")
        figure.legend(handles=handles(data["sizes"]), loc="outside lower center", ncols=9)
    return save_png(figure, path, caption(s))


LETTERS = "abcdefghij"


def caption(s: dict[str, Any]) -> str:
    """What the panels, lines, bars and bands are."""
    low, high = (", ".join(f"({letter})" for letter in part) for part in (LETTERS[:5], LETTERS[5:]))
    return f"""
    Exact Nikaido-Isoda (NI) errors of mirror descent, L-DA and WFR-DA on l_a {low} and l_b {high},
    after time {s["time"]:g} at step {s["step"]:g}, with alpha = {s["alpha"]:g},
    gamma = {s["gamma"]:g}, beta = {s["beta"]:g} unless said otherwise. Mirror descent and WFR-DA:
    weights averaged over time at the last positions; L-DA: the last iterate.
    (a), (f): by dimension, for n = {s["sizes"][0]} and {s["sizes"][1]} particles a player: the
    geometric mean over {s["games"]} games and replicas of each ({s["replicas"]}), with bars of one
    standard error of the mean logarithm to either side. Thin coloured lines: the exact error of
    single games at n = {s["sizes"][0]}; thin black lines: what the best of {s["runs"]} gradient
    runs sees of it, a lower bound.
    (b), (g): by step, and (c), (h): by the temperature of L-DA, at d = {s["one_dim"]} and
    n = {s["sizes"][0]}; bands are one standard error of the mean logarithm to either side.
    (d), (e), (i), (j): over time at two dimensions, the geometric mean over {s["games"]} games;
    dotted, the last iterate, which for L-DA is all there is. Errors below {SHOWN:g} are not shown.
    """


def draw_dimension(ax: Any, data: dict[str, Array], k: int) -> None:
    """Both sizes with error bars; thin, for single games, the exact error and what the gradient
    runs see of it.
    """
    dims = data["dims"]
    for m, color in enumerate(METHODS.values()):
        for i, (line, mark, shift) in enumerate((("-", "o", 0.97), ("--", "s", 1.03))):
            mean, low, high = spread(data["by_dimension"][k, m, i])
            bars = np.stack([mean - low, high - mean])
            ax.errorbar(
                dims * shift, mean, bars, fmt=mark, ls=line, color=color, ms=3.5, capsize=2, lw=1.4
            )
        for game in data["estimates"][k, m].transpose(1, 0, 2):
            ax.plot(dims, np.maximum(game[:, 0], LEAST), color=color, lw=0.6, alpha=0.8)
            ax.plot(dims, np.maximum(game[:, 1], LEAST), color="black", lw=0.6, zorder=3)
    span(ax, dims, "dimension $d$", apart=0.1)


def handles(sizes: Array) -> list[Any]:
    """An entry for every line of the page."""
    from matplotlib.lines import Line2D

    def line(label: str, **how: Any) -> Any:
        return Line2D([], [], label=label, **{"color": "grey", **how})

    methods = [line(name, color=c, lw=2) for name, c in METHODS.items()]
    styles = zip(sizes, ("-", "--"), ("o", "s"), strict=True)
    return [
        *methods,
        *[line(f"$n = {n}$", ls=ls, marker=m, ms=3.5) for n, ls, m in styles],
        line("one game", lw=0.6),
        line("one game, gradient runs", lw=0.6, color="black"),
        line("averaged weights", ls="-"),
        line("last iterate", ls=":"),
    ]


def draw_setting(ax: Any, at: Array, samples: Array, name: str) -> None:
    """A curve with its band for each method, samples (methods, settings, games x replicas)."""
    for m, color in enumerate(METHODS.values()):
        mean, low, high = spread(samples[m])
        ax.plot(at, mean, "o-", color=color, ms=3.5)
        ax.fill_between(at, low, high, color=color, alpha=0.2, lw=0)
    span(ax, at, name)


def draw_time(ax: Any, times: Array, samples: Array) -> None:
    """Both kinds of answers for each method, samples (methods, 2, times, games)."""
    for m, color in enumerate(METHODS.values()):
        for kind, line in ((1, ":"), (0, "-")):
            ax.plot(times, spread(samples[m, kind])[0], line, color=color)
    span(ax, times, "time $t$", ticks=times[[0, len(times) // 4, -1]])


def span(ax: Any, at: Array, name: str, ticks: Array | None = None, apart: float = 0.25) -> None:
    """Logarithmic axes, the abscissa named at its points as far as names do not meet."""
    ax.set_xlabel(name)
    in_decades(ax)
    marked = at if ticks is None else ticks
    ticks_at(ax.xaxis, marked, [f"{v:g}" for v in marked], apart)
