"""The paper's pictures for any game: the page of a flow at both levels, and figure 1's errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.density.solve import solve
from meanfield.equilibria import gibbs
from meanfield.flows import Flow, Langevin, MirrorDescent, WassersteinFisherRao
from meanfield.games.base import Game
from meanfield.metrics import NikaidoIsoda
from meanfield.particles.ensemble import ensemble
from meanfield.particles.simulate import simulate
from meanfield.plotting.comparison import draw_distances, draw_rate
from meanfield.plotting.pages import (
    METHODS,
    draw_ends,
    draw_flows,
    draw_iterations,
    draw_orbit,
)
from meanfield.plotting.style import new_figure, styled
from meanfield.plotting.words import of_flow, of_game, wrapped
from meanfield.start import Start
from meanfield.studies.compare import compare
from meanfield.studies.theorems.one import orbit_axes
from meanfield.studies.theorems.problem import without_mesh
from meanfield.studies.theorems.settling import means
from meanfield.trajectory import Trajectory


def orbit(run: Trajectory) -> Array:
    """Means of x and y at every saved time (see `means`), (T, C_x + C_y)."""
    return np.array([np.concatenate([means(mu) @ mu.masses for mu in pair]) for pair in run])


def page(
    game: Game, flow: Flow, start: Start, time: float, particles: int = 1000,
    step: float | None = None, save_every: float | None = None, cells: Any = None, seed: int = 0,
    sizes: Sequence[int] = (100, 1000, 10_000), replicas: Any = (60, 40, 24),
    compare_time: float | None = None, progress: bool | None = None,
) -> tuple[Any, str]:  # fmt: skip
    """A flow on one page, and its caption: the mean field over time with particles beside it, the
    orbit of a mean of x and one of y, and W2^2 against n.

    step, compare_time: by default time / 2000, and a tenth of time.
    """
    if reason := without_mesh(game):
        raise ValueError(f'a page needs a mean field, but {reason}; give kind = "figure1"')
    every = time / 100 if save_every is None else save_every
    step = every / 20 if step is None else step
    field = solve(game, flow, start, time, cells=cells, save_every=every, progress=progress)
    swarm = simulate(
        game, flow, start, time, step=step, particles=particles, scheme="strang", seed=seed,
        save_every=every, progress=progress,
    )  # fmt: skip
    span = 0.1 * time if compare_time is None else compare_time
    found = compare(
        game, flow, start, span, particles=sizes, replicas=replicas, step=span / 100, cells=cells,
        seed=seed, progress=progress,
    )  # fmt: skip
    still = flow.diffuses and not flow.reacts and min(flow.temperature) > 0
    point = None
    if still and flow.memory is None and not flow.scheduled:
        rest = gibbs(game, tuple(1 / t for t in flow.temperature))  # type: ignore[arg-type]
        point = np.concatenate([means(mu) @ mu.masses for mu in (rest.x, rest.y)])
    with styled():
        figure = new_figure(10.4, 6.8)
        figure.suptitle(wrapped(f"{of_game(game)}, {of_flow(flow)}", 140))
        top, bottom = figure.subfigures(2, 1, height_ratios=(1.12, 1))
        levels = (("mean field", field), (f"$n = {particles}$ particles", swarm))
        draw_flows(top, [(title, run.times, run.x, run.y) for title, run in levels])
        left, middle, right = bottom.subplots(1, 3, width_ratios=(1, 1.25, 1.25))
        a, b = orbit(field), orbit(swarm)
        own = len(means(field.x[0]))
        axes = list(orbit_axes(a, own))
        names = _mean(game, 0, axes[0]), _mean(game, 1, axes[1] - own)
        rests = None if point is None else point[axes]
        draw_orbit(left, a[:, axes], b[:, axes], rests, names)
        left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, handlelength=1.0)
        draw_distances(middle, found)
        draw_rate(right, found)
    played = of_flow(flow).replace("$", "").replace("\\", "")
    caption = (
        f"{game!r}, {played}, t up to {time:g}. Above: the mean field and {particles} particles "
        f"(steps of {step:g}, seed {seed}). Below: the orbit, and E W2^2 between n particles and "
        f"the mean field up to t = {span:g}, {', '.join(map(str, found.replicas))} replicas of "
        f"n = {', '.join(map(str, found.particles))}, with 95% intervals."
    )
    return figure, caption


def _mean(game: Game, p: int, column: int) -> str:
    """The name of a column of `means`."""
    M, letter = game.manifolds[p], "xy"[p]
    if M.ambient > M.dim:
        return rf"$\mathbb{{E}}\,{letter}_{column + 1}$"
    wave, axis = ("cos", "sin")[column // M.dim], column % M.dim + 1
    index = f"_{axis}" if M.dim > 1 else ""
    return rf"$\mathbb{{E}}\,\{wave}\,{letter}{index}$"


def flow_of(method: str, beta: float, gamma: float, alpha: float) -> Flow:
    """The flow of one of figure 1's methods."""
    if method == "mirror descent":
        return MirrorDescent(alpha)
    return Langevin(beta, gamma) if method == "L-DA" else WassersteinFisherRao(gamma, alpha)


def errors(error: NikaidoIsoda, run: Trajectory) -> Array:
    """(2, T): NI of what a method returns, averaged weights where weights move, else its last
    iterate; and NI of the last iterate. From the second saved time on.
    """
    last = [error(*pair).value for pair in run][1:]
    if not run.flow.reacts:
        return np.array([last, last])
    return np.array([[error(*run.average("weights", k)).value for k in range(1, len(run))], last])


def figure1(
    game: Game, start: Start, time: float = 10.0, step: float = 2e-3,
    sizes: Sequence[int] = (50, 200), betas: Sequence[float] = (10.0, 30.0, 100.0),
    beta: float = 100.0, gamma: float = 1.0, alpha: float = 1.0, replicas: int = 4, seed: int = 0,
    saves: int = 20, progress: bool | None = None,
) -> tuple[Any, str]:  # fmt: skip
    """Figure 1 on one game, and its caption: NI over iterations for mirror descent, L-DA and
    WFR-DA with several n, and at the end against n and against L-DA's beta.
    """
    error = NikaidoIsoda(game)
    how = {"time": time, "step": step, "seed": seed, "save_every": time / saves}

    def sampled(flow: Flow, n: int) -> Array:
        found = ensemble(game, flow, start, particles=n, replicas=replicas, progress=progress,
                         reduce=lambda run: errors(error, run), **how)  # type: ignore[arg-type]  # fmt: skip
        return np.moveaxis(np.array(list(found)), 0, -1)

    runs = np.array([[sampled(flow_of(m, beta, gamma, alpha), n) for n in sizes] for m in METHODS])
    cold = np.array([sampled(Langevin(b, gamma), sizes[0])[0, -1] for b in betas])
    held = {"answers": runs[:, :, 0], "last": runs[:, :, 1], "sizes": np.array(sizes),
            "times": np.arange(1, saves + 1) * time / saves}  # fmt: skip
    with styled():
        figure = new_figure(3.3 * (len(sizes) + 2), 3.6)
        axes = figure.subplots(1, len(sizes) + 2, sharey=True)
        for k in range(len(sizes)):
            draw_iterations(axes[k], held, k)
        ends = {name: held["answers"][m, :, -1] for m, name in enumerate(METHODS)}
        draw_ends(axes[-2], held["sizes"], ends, "particles $n$")
        draw_ends(axes[-1], np.array(betas), {"L-DA": cold}, r"$\beta$ of L-DA")
        axes[-2].set_title(f"at $t = {time:g}$")
        axes[-1].set_title(f"$n = {sizes[0]}$, $t = {time:g}$")
        axes[0].set_ylabel("Nikaido-Isoda error")
        axes[0].legend()
        figure.suptitle(wrapped(of_game(game), 140))
    caption = (
        f"{game!r}: Nikaido-Isoda errors of mirror descent and WFR-DA (alpha = {alpha:g}, gamma = "
        f"{gamma:g}; weights averaged over time) and of L-DA (beta = {beta:g}; last iterate), "
        f"steps of {step:g}, geometric means over {replicas} replicas with one standard error."
    )
    return figure, caption
