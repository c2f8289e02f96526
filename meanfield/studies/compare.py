"""`compare`: replicas of particles at several n against the mean field (Theorem 3)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from meanfield.checks import allow_underflow, automatic, known_keywords, warn, whole
from meanfield.executors import Given, Workers
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.machine import made
from meanfield.packing import threads_for
from meanfield.progress import bar
from meanfield.schedule import saved_times
from meanfield.start import Start
from meanfield.storage.keeper import Keeper, checked_pause
from meanfield.studies.comparison import Comparison, judge
from meanfield.studies.controls import USED
from meanfield.studies.distances import Compared, Filed, filed
from meanfield.studies.merge import Known, check_extends
from meanfield.studies.plan import plan
from meanfield.studies.reference import References, references
from meanfield.studies.replicas import STREAMS, Partial, Replicas, mean_field
from meanfield.trajectory import Trajectory, check_held, versions


@known_keywords()
@allow_underflow
def compare(
    game: Game,
    flow: Flow,
    start: Start | None = None,
    time: float = 1.0,
    particles: Sequence[int] = (100, 1000, 10_000),
    replicas: int | Sequence[int] | None = None,
    step: float = 1e-2,
    scheme: str = "strang",
    save_every: float | None = None,
    cells: Any = None,
    engine: str | None = None,
    tol: float | None = None,
    seed: int = 0,
    threads: int | None = None,
    executor: Given = None,
    confidence: float = 0.95,
    control: str | bool = "auto",
    average: str | bool = "auto",
    progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float | None = None,
    first_replica: int = 0,
    reference: int | None = None,
    resume: Comparison | None = None,
) -> Comparison:
    """Run replicas of n particles for each n and measure their distance from the mean field.

    Parameters
    ----------
    particles : sequence of int
        The numbers n; two or more give exponents.
    replicas : int or sequence of int, optional
        A number, or one for each n; by default about 4e5 / n, between 24 and 400.
    step, scheme
        The particles' (`simulate`). The bias that the step puts on E W2^2 is measured at the
        largest n, by runs with half the step on the same Brownian paths, and extrapolated.
    save_every : float, optional
        Time between comparisons, by default about time / 20.
    cells, engine, tol
        The mean field's (`solve`). Without diffusion there are by default as many nodes as keep
        the effect of their spacing on W2^2 at 1% for the largest n.
    threads : int, optional
        All cores by default, one where game or start holds a function of yours, which is never
        called by two threads at once unless you give `threads`; results do not depend on it.
    executor : concurrent.futures.Executor, or a function that makes one, optional
        Who runs the replicas in place of threads: spawned processes, loky, Dask, MPI and others, to
        the same bits on processors of one kind. They read the mean field from a file, beside the
        checkpoint where there is one and in the system's folder for temporary files otherwise.
    confidence : float
        Of the bands and intervals (`studies.statistics`): bands hold at one time each, those of
        suprema and exponents at all times at once. `validation/coverage.py` counts how often they
        hold the truth: at 95%, from 8 replicas on, in 93% of cases or more.
    control : {"auto", True, False}
        Whether E W2^2 is estimated by regression on the low-mode energies (`metrics.mode_energy`)
        of synchronously coupled copies (`copies`), whose means are known exactly. "auto": for flows
        without weights of low-rank games on the circle, T^2 and S^2, where the states kept take up
        to 256 MB. True: for any game. Numbers n with fewer than 8 replicas take none.
    average : {"auto", True, False}
        Whether the NI of the time averages over [0, t] (trapezoid rule over the times compared) is
        recorded beside that of the states, for particles and mean field. "auto": for flows with
        weights of low-rank games, where it costs as much as the other. True: for any; other games
        then search against all points of all times.
    checkpoint, checkpoint_every : path and seconds, optional
        A file (.h5) for the mean field and the measurements of every finished replica, written
        every `checkpoint_every` seconds, by default as in `simulate`, and for the comparison at the
        end. After an interruption the same call, or `meanfield.resume`, computes only what is
        missing.
    first_replica : int
        The number of the first replica of each n. More replicas are a second call that begins where
        the first ended, or one at other n; `merge` makes of both, to the bit, what one call would
        have given.
    reference : int, optional
        Particles that stand for the mean field; by default 8 times the largest n where W2 between
        atoms and a density is not exact, off the circle, T^2 and S^2, and none elsewhere. Runs of N
        and of N/2 particles are compared with, exactly; of E W2^2 against the two, 2 a(N) - a(N/2)
        is free of their own error to first order in 1/N (`Comparison.bounds` has what is proven).
        Sliced W2^2 is recorded beside it.
    resume : Comparison, optional
        An earlier comparison of the same problem: with fewer replicas, other n or a shorter time at
        the same saves. What it holds is not measured again, and the result is, to the bit, that of
        a call without it. For a longer time particles are run anew, not their distances.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        For arguments that do not fit together, among them control=True without a control.

    Warns
    -----
    UnderResolved
        Where the step's bias exceeds 5% of E W2^2 at the largest n, and where the control was left
        out because the copies' energies are off their means.

    Notes
    -----
    The control's band is for the particles' law in the limit of small steps. It lowers the variance
    20 to 2000 times on the circle and 20 to 200 times on T^2 at moderate times, 2 to 6 times on the
    oscillator at t = 2, for runs that cost twice as much for low-rank games, W2 apart, and a mean
    field kept at every half step.

    Examples
    --------
    >>> import meanfield as mf
    >>> game, flow = mf.games.oscillator(), mf.Langevin(beta=5.0)
    >>> far = mf.compare(game, flow, time=0.2, particles=(50, 200), replicas=8, step=0.05, cells=64)
    >>> far.w2_squared.shape, bool(far.w2_squared[0, -1] > far.w2_squared[1, -1])
    ((2, 5), True)
    """
    p = plan(
        game, flow, start, time, particles, replicas, step, scheme, save_every, cells, engine, tol,
        control, seed, threads, confidence, reference,
    )  # fmt: skip
    automatic("average", average)
    checked_pause(checkpoint_every)
    if not isinstance(resume, Comparison | None):
        raise TypeError(
            "resume must be a meanfield.Comparison, such as meanfield.load(path) of its file, got "
            f"{resume!r}"
        )
    controlled, time = not p.without, float(time)
    begin = whole("first_replica", first_replica, 0)
    if begin + max(p.counts) > STREAMS:
        raise ValueError(f"replicas of one n are numbered below {STREAMS:,}; choose earlier ones")
    options = {"time": time, "scheme": scheme, "save_every": p.every}
    done, keeper = Partial(None, {}), None
    if checkpoint is not None:
        asked = {**options, **p.field, "seed": seed, "particles": p.sizes, "replicas": p.counts}
        asked |= {"step": step, "confidence": confidence, "control": control, "average": average}
        asked |= {"first_replica": begin} if begin else {}
        asked |= {"reference": p.reference} if p.reference else {}
        job = {"call": "compare", "game": game, "flow": flow, "start": p.start, "options": asked}
        keeper = Keeper(checkpoint, job, checkpoint_every)
        found, finished = keeper.held(game)
        if found is not None and isinstance(found.field, Trajectory):
            first = lambda: _first_states(game, flow, p.start, p.field)  # noqa: E731
            check_held(found.field, game, flow, p.start, first, keeper.path)
        if finished:
            return found  # type: ignore[no-any-return]
        done = found or done
    with keeper or nullcontext():
        averaged = flow.reacts and game.bases is not None if average == "auto" else bool(average)
        times = saved_times(time, p.every)
        compared = Compared(p.start, times, controlled, averaged)
        with Workers(executor, threads_for(threads, game, flow, p.start)) as workers:
            run = {**options, "step": step, "executor": workers}
            how = {**p.field, "save_every": p.gap, "progress": progress}
            if not p.reference:
                solved: Any = mean_field(game, flow, p.start, time, how, done, keeper)
            elif isinstance(done.field, References):
                solved = done.field
            else:
                solved = references(game, flow, p.start, p.reference, seed, run)
            partial = Partial(solved, done.rows)
            if keeper is not None:
                keeper.offer(lambda: partial)
            distances = compared(game, solved)
            provenance = {
                "game": game.name, "flow": flow, "start": p.start, "scheme": scheme, "step": step,
                "seed": seed, "field": distances.field.provenance, "confidence": confidence,
                "versions": versions(), "made": made(), "control": p.without,
                "first_replica": begin, "streams": "by n",
            }  # fmt: skip
            provenance |= {"reference": p.reference} if p.reference else {}
            known = None
            if resume is not None:
                check_extends(resume, provenance, times, distances)
                known = Known.of(resume, distances.names, controlled, times, step)
            near = None if keeper is None else keeper.path
            work = sum(n * R for n, R in zip(p.sizes, p.counts, strict=True))
            work += 2 * p.sizes[-1] * p.counts[-1]
            with (
                filed(solved, near) if workers.remote else nullcontext("") as file,
                bar(work, f"{flow.name}: particles", progress) as progressed,
            ):
                measure = Filed(file, compared) if file else None
                runs = Replicas(
                    distances, game, flow, p.start, options | {"executor": workers}, seed,
                    progressed, partial, keeper, measure, begin, known,
                )  # fmt: skip
                samples = runs.samples(p.sizes, p.counts, step)
        errors = distances.field_ni, distances.field_ni_average
        result = judge(p.sizes, distances.field, errors[0], samples, provenance, errors[1])
        if keeper is not None:
            keeper.finish(result)
    if controlled and result.provenance["control"] != USED:
        warn(result.provenance["control"])
    if (bias := result.relative_bias) > 0.05:
        n = result.particles[-1]
        warn(f"the step {step:g} moves W2^2 by {bias:.0%} of its mean at n = {n:,}; halve it")
    return result


def _first_states(game: Game, flow: Flow, start: Start, how: dict[str, Any]) -> Any:
    from meanfield.density.solve import build

    return build(game, flow, start, **how).measures()
