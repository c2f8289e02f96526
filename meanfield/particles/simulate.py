"""`simulate`: a game, a flow and a start, followed with particles."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from meanfield.checks import Array, allow_underflow, known_keywords, truth, whole
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.measures import Measure, uniform
from meanfield.particles.on_device import DeviceReplicas
from meanfield.particles.plan import (
    DEFAULTS,
    check_settings,
    make_plan,
)
from meanfield.particles.primal_dual import PrimalDual
from meanfield.particles.schemes import check_flow, check_scheme
from meanfield.particles.stepper import Stepper
from meanfield.run import Observer, Run, Watch, warn_if_at_rest
from meanfield.start import Start
from meanfield.trajectory import Trajectory, check_goes_on, check_same_start


@known_keywords()
def simulate(
    game: Game,
    flow: Flow,
    start: Start | None = None,
    time: float = 1.0,
    step: float = 1e-3,
    particles: int | tuple[int, int] = 1000,
    seed: int = 0,
    scheme: str = "euler",
    save_every: float | None = None,
    replica: int = 0,
    refine: int = 1,
    placement: str = "iid",
    device: str = "cpu",
    precision: str = "float64",
    inner: int | None = None,
    bandwidth: float | None = None,
    exploration: float | None = None,
    extrapolation: float | None = None,
    threads: int | None = None,
    diagnostics: Mapping[str, Callable[[Measure, Measure], Any]] | None = None,
    stop: Observer | None = None,
    callback: Observer | None = None,
    progress: bool | None = None,
    check_step: bool = False,
    resume: Trajectory | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float | None = None,
) -> Trajectory:
    """Follow a flow with particles, from its start up to `time`.

    Each player has n weighted particles. With U the cost of a player against the other's particles,
    w their weights and dt the step, the scheme "euler" is

        x <- R(x - gamma dt grad U + sqrt(2 gamma T dt) xi),
        log w <- log w - alpha dt U - log of the sum,

    for both players at once: Algorithm 1 (alpha = 0, (3) and (4)) and Algorithm 2 (T = 0, (5)).
    "strang" is of weak order two on tori and spheres, "mirror-prox" the extragradient step for
    flows without noise, and with more inner steps the proximal point; "alternating" lets y move
    against what x has become. "primal-dual" steps in relative entropy come near to Gibbs measures
    of sums over past opponents (`meanfield.particles.primal_dual`). The others are written in
    `meanfield.particles.algorithms` and `meanfield.particles.alternating`, in the paper's symbols.
    Flows with a schedule use their numbers at the middle of each step; those with memory (low-rank
    games only) the cost against the averaged moments of the other player; those with responses make
    particles jump (`meanfield.particles.response`).

    Any game and any manifold will do, a user's own included (`meanfield.particles.looks.plain`).

    Parameters
    ----------
    start : Start, optional
        Uniform for both players by default.
    time, step : float
        The final time and dt, which divides it and `save_every`.
    particles : int or (int, int)
        n, or n_x and n_y.
    seed, replica : int
        Name the noise and the random starting points; runs that differ in one of them are
        independent.
    scheme : "euler", "strang", "mirror-prox", "alternating" or "primal-dual"
    save_every : float, optional
        Time between saves (default time / 50, as `solve` has it, where these are whole steps); the
        end is always saved.
    refine : int
        Sum so many normals of the noise into one: see `meanfield.particles.noise`.
    placement : "iid", "quantile" or "atoms"
        Draw the particles from the start, put those on a circle at equal-mass quantiles, or take
        the start's atoms and masses as they stand.
    device : "cpu" or "cuda"
        "cuda" sums over pairs on a graphics processor, for losses given by a formula that are not
        low-rank (`meanfield.particles.looks.cuda`); Euler steps are all taken there, from save to
        save. So are those of trigonometric games on tori and of quadratic forms on spheres, by one
        block of threads a run: for an `ensemble`, whose replicas move at once
        (`meanfield.particles.looks.replicas`).
    precision : "float64" or "float32"
        "float32" visits the pairs of such losses in single precision, about 2.5 times as fast, and
        the modes of trigonometric games on circles; for Langevin flows alone, whose noise covers
        the rounding (`meanfield.particles.looks.choose`). States stay double.
    inner : int, optional
        Inner steps of "mirror-prox", each of which looks at the forces once: 1 is "euler", 2, as
        usual, the extragradient step; the more, the nearer to the proximal point. With flows that
        have a response, so many Langevin steps in every step find the answer, on any manifold; a
        mesh, where there is one, otherwise (`meanfield.particles.response`).
    bandwidth : float, optional
        Of the kernel that gives particles a log-density, for flows with temperature and reaction in
        one player, at a cost of n^2 in every step (`meanfield.particles.kernel_density`).
    exploration : float, optional
        Sigma of responses by consensus, at least 0: particles of flows with a response gather
        where those of least cost are, without gradients (`meanfield.particles.consensus`).
    extrapolation : float, optional
        Theta of "primal-dual", in [0, 1]: by how much y looks ahead along x's last step; by default
        the least for which a rate is stated, 1/(1 + min alpha T dt).
    threads : int, optional
        How many threads take the steps of low-rank games together, or the pairs of formulas, as far
        as there is work enough.
        Results have the same bits for any number. By default, all the cores that this process may
        use (or OMP_NUM_THREADS) or one, whichever turns out faster as the run goes; one in replicas
        and wherever other workers, threads or processes, fill the cores already.
    diagnostics : mapping, optional
        name -> f(mu_x, mu_y), recorded at saves beside "value" (the expected loss) and
        "displacement" (S, 2), the farthest that a particle of either player has got since the save
        before.
    stop, callback : function of (t, mu_x, mu_y), optional
        Called at saves; the run ends early when `stop` returns true.
    progress : bool, optional
        Whether to show a bar; by default when standard error is a terminal.
    check_step : bool
        Run once more with twice the step on the same noise, which costs half as much again, and
        record what the step is estimated to be off by: "step_error_value" of the expected loss,
        "step_error_x" and "step_error_y" in W2 (`meanfield.particles.step_error`). Warns
        UnderResolved where that is more than a tenth of the spread of a player's particles. With a
        checkpoint, a run that is stopped while this is done goes on from its own last state.
    resume : Trajectory, optional
        A run to go on from, up to the final time `time`, to the bits of an uninterrupted one. It
        keeps its step, particles, seed, scheme, ..., and its start; another one is refused. The
        result holds its saves too.
    checkpoint : path, optional
        A file (.h5) kept up to date every `checkpoint_every` seconds, which holds the result at
        the end. By default that is every 30 seconds, and less often where writing would take more
        than 0.5% of the run's time; seconds that are given are kept to. Killed or interrupted, the
        same call goes on from it to the same bits, as does `meanfield.resume`; a file of another
        run is refused.

    Returns
    -------
    Trajectory
        Its state has "step" (steps done), "positions", "log_weights", "weight_sums" and, when a
        weight moves, "mean_weights": at each save the weights averaged over the steps before it,
        each step counting with the weights it started from (at time zero the weights themselves).
        Runs that move along other axes than the game's (`meanfield.particles.eigenbasis`) keep
        these and the positions along them: "axes_x", "axes_y", "framed".

    Raises
    ------
    ValueError
        For numbers that do not fit, for a flow with temperature and reaction in one player where no
        bandwidth is given, and for an unstable
        step: gamma dt max |grad U| or the noise sqrt(2 gamma T dt) above half the manifold's reach,
        looked at before the first step and at each save.

    Examples
    --------
    >>> import meanfield as mf
    >>> game, flow = mf.games.oscillator(), mf.Langevin(beta=25.0)
    >>> run = mf.simulate(game, flow, time=0.5, step=0.01, particles=100, seed=3)
    >>> len(run.x[-1]), float(run.times[-1])
    (100, 0.5)
    >>> again = mf.simulate(game, flow, time=0.5, step=0.01, particles=100, seed=3)
    >>> bool((again.x[-1].points == run.x[-1].points).all())
    True
    """
    return simulated(locals())


@allow_underflow
def simulated(asked: Mapping[str, Any], replicas: DeviceReplicas | None = None) -> Trajectory:
    """What `simulate` returns for these arguments, all of which are given.

    replicas: those of an ensemble on a graphics processor, of which this run is one.
    """
    given = {key: value for key, value in asked.items() if key in DEFAULTS}
    game, flow, start, time = (asked[key] for key in ("game", "flow", "start", "time"))
    threads, diagnostics, progress = (asked[key] for key in ("threads", "diagnostics", "progress"))
    check_step, resume, checkpoint = (asked[key] for key in ("check_step", "resume", "checkpoint"))
    if truth("check_step", check_step) and resume is not None:
        raise ValueError("check_step looks at whole runs: give it without resume")
    held = getattr(resume, "provenance", {})  # a resumed run keeps its settings
    check_flow(game, flow, *(held.get(key, given[key]) for key in ("scheme", "bandwidth")))
    if not isinstance(start, Start | None):
        raise TypeError(f"start must be a meanfield.Start, got {type(start).__name__}")
    if resume is not None:
        check_goes_on(resume, game, flow)
        given = check_settings(given, resume)
        # What the step was off by over a part is not what it is off by over the whole.
        kept = {k: v for k, v in resume.diagnostics.items() if not k.startswith("step_error_")}
        resume = replace(resume, diagnostics=kept)
    else:
        start = Start() if start is None else start
        if (
            game.bases is not None
            and given["replica"] == 0
            and max(M.dim for M in game.manifolds) <= 2
        ):
            warn_if_at_rest(game, flow, start, lambda: (uniform(game.X), uniform(game.Y)))
    plan = make_plan(time=time, **given)
    threads = None if threads is None else whole("threads", threads)
    check_scheme(game, flow, plan.scheme, plan.inner, plan.exploration)
    kind = PrimalDual if plan.scheme == "primal-dual" else Stepper
    stepper = kind(game, flow, plan, start, threads, checkpoint is not None, replicas)
    if resume is not None and start is not None:
        check_same_start(resume, stepper.measures(), "resume")
    run = Run(game, flow, stepper, about(stepper), diagnostics)
    options = {
        "time": plan.steps * plan.step,
        **plan.settings(),
        "diagnostics": run.observables.names,
        **({"check_step": True} if check_step else {}),
    }
    job = {"call": "simulate", "game": game, "flow": flow, "start": start, "options": options}
    watch = Watch(asked["stop"], asked["callback"], progress, checkpoint, asked["checkpoint_every"])
    if not check_step:
        return run.complete(plan.saves, watch, job, start, resume)

    def errors(found: Trajectory, part: Any) -> dict[str, Array]:
        from meanfield.particles.step_error import step_errors

        how = {**given, "threads": threads, "progress": progress, "checkpoint": part}
        return step_errors(found, plan, partial(simulate, game, flow, start, **how))

    return run.complete(plan.saves, watch, job, start, resume, errors)


def about(stepper: Stepper) -> dict[str, Any]:
    """What the provenance of a run says of how it was made."""
    told = {name: repr(getattr(stepper, name)) for name in ("game", "flow", "start")}
    return {**told, "level": stepper.level, **stepper.plan.settings()}
