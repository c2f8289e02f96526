"""Figure 1 of the paper with exact errors: mirror descent, L-DA and WFR-DA on l_a and l_b, by
dimension.

Nikaido-Isoda errors are exact (trust-region subproblems), where the paper has the best of 2000
gradient runs, a lower bound, drawn here as thin lines. Weights are averaged over time as the paper
does it (mirror descent, WFR-DA); L-DA is its last iterate. Further panels show what step,
temperature and time change at one dimension. Each game's exact equilibrium gives its value.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import meanfield as mf
from figures.store import load, save_png, settings_of
from meanfield.checks import Array
from meanfield.particles.ensemble import ensemble
from meanfield.plotting.style import BLUE, GREEN, ORANGE, new_figure, styled

METHODS = ("mirror descent", "L-DA", "WFR-DA")
COLORS = (ORANGE, BLUE, GREEN)
KINDS = ("a", "b")
LEAST = 1e-15  # errors below this are rounding
SHOWN = 1e-7  # and below this they are not drawn


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


def compute(s: dict[str, Any]) -> dict[str, Array]:
    """Everything drawn; the arrays' axes are named in each function."""
    found = {
        "dims": np.array(s["dims"]), "sizes": np.array(s["sizes"]),
        "steps": np.array(s["steps"]), "betas": np.array(s["betas"]),
        "by_dimension": by_dimension(s), "estimates": estimates(s), "values": values(s),
        "by_step": np.array([errors_at(s, step=h) for h in s["steps"]]),
        "by_beta": np.array([errors_at(s, beta=b) for b in s["betas"]]),
    }  # fmt: skip
    return found | in_time(s)


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
    **given: Any,
) -> Iterator[tuple[mf.Measure, mf.Measure]]:
    """The results of all replicas on one game."""
    game = mf.games.polynomial(kind, dim=d, seed=seed)
    options = {"time": s["time"], "step": s["step"], **given}
    return ensemble(
        game, flow_of(method, s, beta), mf.Start(), replicas=s["replicas"], particles=n, seed=seed,
        save_every=options["time"], reduce=final, progress=False, **options,
    )  # fmt: skip


def by_dimension(s: dict[str, Any]) -> Array:
    """Exact NI: (kinds, methods, sizes, dims, games x replicas)."""
    shape = (len(KINDS), len(METHODS), len(s["sizes"]), len(s["dims"]))
    found = np.empty((*shape, s["games"] * s["replicas"]))
    for where in np.ndindex(*shape):
        kind, method, n, d = (
            part[i] for part, i in zip((KINDS, METHODS, s["sizes"], s["dims"]), where, strict=True)
        )
        found[where] = sampled(s, kind, d, method, n)
    return found


def sampled(s: dict[str, Any], kind: str, d: int, method: str, n: int, **given: Any) -> Array:
    """Exact NI over games and replicas."""
    rows = []
    for seed in range(s["games"]):
        error = mf.NikaidoIsoda(mf.games.polynomial(kind, dim=d, seed=seed))
        rows += [error(*pair).value for pair in finals(s, kind, d, seed, method, n, **given)]
    return np.array(rows)


def estimates(s: dict[str, Any]) -> Array:
    """(kinds, methods, dims, games, 2): for the smaller n and replica 0, the exact NI and that of
    gradient runs.
    """
    shape = (len(KINDS), len(METHODS), len(s["dims"]), s["estimated_games"])
    found = np.empty((*shape, 2))
    for where in np.ndindex(*shape):
        kind, method, d = KINDS[where[0]], METHODS[where[1]], s["dims"][where[2]]
        error = mf.NikaidoIsoda(mf.games.polynomial(kind, dim=d, seed=where[3]))
        pair = next(iter(finals({**s, "replicas": 1}, kind, d, where[3], method, s["sizes"][0])))
        found[where] = (
            error(*pair).value,
            error.estimate(*pair, runs=s["runs"], steps=s["run_steps"]).value,
        )
    return found


def values(s: dict[str, Any]) -> Array:
    """(kinds, dims, games, 2): each game's value and its exact equilibrium's certified error."""
    found = np.empty((len(KINDS), len(s["dims"]), s["games"], 2))
    for i, j, seed in np.ndindex(*found.shape[:3]):
        exact = mf.nash(mf.games.polynomial(KINDS[i], dim=s["dims"][j], seed=seed))
        found[i, j, seed] = exact.value, exact.error
    return found


def errors_at(s: dict[str, Any], **given: Any) -> Array:
    """(kinds, methods, games x replicas) at one dimension with another step or temperature."""
    d, n = s["one_dim"], s["sizes"][0]
    return np.array(
        [[sampled(s, kind, d, method, n, **given) for method in METHODS] for kind in KINDS]
    )


def in_time(s: dict[str, Any]) -> dict[str, Array]:
    """NI along runs: "times" (T,), "in_time" (dims, kinds, methods, 2, T, games), averaged weights
    and last iterate.
    """
    saves = s["saves"]
    times = np.arange(1, saves + 1) * (s["long"] / saves)
    found = np.empty((len(s["time_dims"]), len(KINDS), len(METHODS), 2, saves, s["games"]))
    for c, i, j, seed in np.ndindex(*found.shape[:3], s["games"]):
        game = mf.games.polynomial(KINDS[i], dim=s["time_dims"][c], seed=seed)
        error = mf.NikaidoIsoda(game)
        run = mf.simulate(
            game, flow_of(METHODS[j], s), mf.Start(), s["long"], step=s["step"],
            particles=s["sizes"][0], seed=seed,
            save_every=s["long"] / saves, diagnostics={"ni": error}, progress=False,
        )  # fmt: skip
        found[c, i, j, 1, :, seed] = run.diagnostics["ni"][1:]
        means = [
            run.average("weights", k) if run.flow.reacts else run[k] for k in range(1, saves + 1)
        ]
        found[c, i, j, 0, :, seed] = [error(*pair).value for pair in means]
    return {"times": times, "time_dims": np.array(s["time_dims"]), "in_time": found}


def spread(samples: Array) -> tuple[Array, Array, Array]:
    """Geometric mean over the last axis, and one standard error of the logarithm to either side."""
    logs = np.log(np.maximum(samples, LEAST))
    mean, reach = logs.mean(-1), logs.std(-1, ddof=1) / np.sqrt(logs.shape[-1])
    return np.exp(mean), np.exp(mean - reach), np.exp(mean + reach)


def draw(path: Path) -> Path:
    """The picture, drawn from the stored data alone."""
    held = load(path)
    with styled():
        figure = new_figure(13.6, 6.4)
        axes = figure.subplots(2, 5, sharey="row", width_ratios=(2.2, 1, 1, 1.1, 1.1))
        one = int(settings_of(held)["one_dim"])
        titles = ["errors by dimension", *[f"$d = {d}$" for d in (one, one, *held["time_dims"])]]
        for k, row in enumerate(axes):
            draw_dimension(row[0], held, k)
            draw_setting(row[1], held["steps"], held["by_step"][:, k], "step")
            draw_setting(row[2], held["betas"], held["by_beta"][:, k], r"$\beta$ of L-DA")
            for ax, samples in zip(row[3:], held["in_time"], strict=True):
                draw_time(ax, held["times"], samples[k])
            row[0].set_ylabel(f"NI error on $\\ell_{KINDS[k]}$")
            row[0].set_ylim(SHOWN, None)
        axes[1, 0].legend(*handles(held["sizes"]), ncols=2, loc="lower left")
        axes[1, 3].legend(handles=time_handles(), loc="lower left")
        for ax, title in zip(axes[0], titles, strict=True):
            ax.set_title(title)
    return save_png(figure, path)


def draw_dimension(ax: Any, held: dict[str, Array], k: int) -> None:
    """Both sizes with error bars; thin, for single games, the exact error and what the gradient
    runs see of it.
    """
    dims = held["dims"]
    for m, color in enumerate(COLORS):
        for i, (line, mark, shift) in enumerate((("-", "o", 0.97), ("--", "s", 1.03))):
            mean, low, high = spread(held["by_dimension"][k, m, i])
            bars = np.stack([mean - low, high - mean])
            ax.errorbar(
                dims * shift, mean, bars, fmt=mark, ls=line, color=color, ms=3.5, capsize=2, lw=1.4
            )
        for game in held["estimates"][k, m].transpose(1, 0, 2):
            ax.plot(dims, np.maximum(game[:, 0], LEAST), color=color, lw=0.6, alpha=0.8)
            ax.plot(dims, np.maximum(game[:, 1], LEAST), color="black", lw=0.6, zorder=3)
    ax.set(xscale="log", yscale="log", xlabel="dimension $d$")
    ax.set_xticks(dims, [str(d) for d in dims])
    ax.minorticks_off()


def handles(sizes: Array) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=c, lw=2) for c in COLORS]
    lines += [
        Line2D([], [], color="grey", ls=ls, marker=m, ms=3.5) for ls, m in (("-", "o"), ("--", "s"))
    ]
    names = [*METHODS, *[f"$n = {n}$" for n in sizes], "2000 gradient runs, one game"]
    return [*lines, Line2D([], [], color="black", lw=0.6)], names


def time_handles() -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color="grey", ls=ls, label=name)
        for ls, name in (("-", "averaged weights"), (":", "last iterate"))
    ]


def draw_setting(ax: Any, at: Array, samples: Array, name: str) -> None:
    for m, color in enumerate(COLORS):
        mean, low, high = spread(samples[:, m])
        ax.plot(at, mean, "o-", color=color, ms=3.5)
        ax.fill_between(at, low, high, color=color, alpha=0.2, lw=0)
    span(ax, at, name)


def draw_time(ax: Any, times: Array, samples: Array) -> None:
    for m, color in enumerate(COLORS):
        for kind, line in ((1, ":"), (0, "-")):
            ax.plot(times, spread(samples[m, kind])[0], line, color=color)
    span(ax, times, "time $t$")


def span(ax: Any, at: Array, name: str) -> None:
    """Logarithmic axes, the abscissa marked at its ends."""
    ax.set(xscale="log", yscale="log", xlabel=name)
    ends = at[[0, -1]]
    ax.set_xticks(ends, [f"{v:g}" for v in ends])
    ax.minorticks_off()
