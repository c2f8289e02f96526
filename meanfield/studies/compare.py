"""`compare`: replicas of particles at several n against the mean field (Theorem 3)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from dataclasses import field as hidden
from typing import Any

import numpy as np

from meanfield.checks import Array, allow_underflow, real, warn, whole
from meanfield.executors import Given, Workers
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.machine import made
from meanfield.progress import bar
from meanfield.schedule import saved_times
from meanfield.shown import Shown
from meanfield.start import Start
from meanfield.storage.keeper import Keeper
from meanfield.storage.results import Result
from meanfield.studies.controls import USED, controls_of
from meanfield.studies.plan import REMAINING, plan
from meanfield.studies.replicas import (
    STREAMS,
    Compared,
    Filed,
    Partial,
    Replicas,
    at_times,
    filed,
    mean_field,
)
from meanfield.studies.statistics import Interval, band, exponent, sup_of_means
from meanfield.trajectory import Trajectory, check_held, versions


@dataclass(frozen=True, eq=False)
class Comparison(Shown, Result):
    """Runs of n particles, for several n, against the mean field over [0, T].

    Attributes
    ----------
    particles, replicas : (S,)
        The numbers n, and of replicas of each.
    times : (T,)
    w2_squared, w2_squared_low, w2_squared_high : (S, T)
        The mean over replicas of W2^2_x + W2^2_y, with its confidence band.
    ni, ni_low, ni_high : (S, T)
        The mean Nikaido-Isoda error, with its confidence band; field_ni (T,) is the mean field's.
    sup, exponent : list of Interval, Interval or None
        For each n the sup over [0, T] of the mean W2^2, corrected for the bias that the largest of
        noisy means has, and its slope in n.
    ni_sup, ni_exponent
        The same of the mean |NI - field NI| (Theorem 3 (i) and (ii)).
    ni_average, ni_average_low, ni_average_high, field_ni_average,
    ni_average_sup, ni_average_exponent
        The same of the time averages (1/t) int_0^t mu ds of both players, of which Theorem 3 (ii)
        speaks; None where they were not asked for.
    step_bias : Interval
        How far the time step itself moves the mean W2^2 at the largest n.
    samples : dict
        For each n, arrays (replicas, T, 2) of W2^2 and (replicas, T) of NI, and of "ni_average";
        with a control also
        "energies" (replicas, T) of the copies and their exact "energy_means" (T,).
    field : Trajectory
        The mean field.
    provenance : dict
        Game, flow, start, scheme, step, seed, versions, where it was made; "control" says what was
        made of copies.
    """

    particles: tuple[int, ...]
    replicas: tuple[int, ...]
    times: Array
    w2_squared: Array
    w2_squared_low: Array
    w2_squared_high: Array
    ni: Array
    ni_low: Array
    ni_high: Array
    field_ni: Array
    sup: list[Interval]
    ni_sup: list[Interval]
    exponent: Interval | None
    ni_exponent: Interval | None
    step_bias: Interval
    samples: dict[str, list[Array]] = hidden(repr=False)
    field: Trajectory = hidden(repr=False)
    provenance: dict[str, Any] = hidden(repr=False)
    ni_average: Array | None = None
    ni_average_low: Array | None = None
    ni_average_high: Array | None = None
    field_ni_average: Array | None = None
    ni_average_sup: list[Interval] | None = None
    ni_average_exponent: Interval | None = None

    @property
    def relative_bias(self) -> float:
        """The step bias over the mean W2^2 at the largest n."""
        return abs(self.step_bias.value) / self.sup[-1].value

    @property
    def energy(self) -> Interval | None:
        """The copies' mean energy at the end over its exact mean, all n together.

        It is 1 where the copies' law is the mean field, and so shows what the control hides: what
        particles and copies have in common, such as a mean field that is not theirs.
        """
        if "energies" not in self.samples:
            return None
        pairs = zip(self.samples["energies"], self.samples["energy_means"], strict=True)
        ratios = np.concatenate([E[:, -1] / m[-1] for E, m in pairs])
        return Interval(*map(float, band(ratios, self.provenance["confidence"])))

    def at_confidence(self, confidence: float) -> Comparison:
        """The same samples with bands and intervals of another confidence; nothing is run again."""
        if not 0 < real("confidence", confidence) < 1:
            raise ValueError(
                f"confidence must lie between 0 and 1, such as 0.95, got {confidence!r}"
            )
        about = {**self.provenance, "confidence": float(confidence)}
        sizes, average = self.particles, self.field_ni_average
        return judge(sizes, self.field, self.field_ni, self.samples, about, average)

    def __repr__(self) -> str:
        of = self.provenance
        rows = [f"Comparison: {of['game']}, {of['flow'].name}, t in [0, {self.times[-1]:g}]"]
        for n, R, w, v in zip(self.particles, self.replicas, self.sup, self.ni_sup, strict=True):
            sups = f"sup E W2^2 = {w!r}, sup E|NI - NI*| = {v!r}"
            rows.append(f"  |-- n = {n:>8,} x {R:>5} replicas: {sups}")
        if self.ni_average_sup is not None:
            pairs = zip(self.particles, self.ni_average_sup, strict=True)
            sups = ", ".join(f"{v!r} at n = {n:,}" for n, v in pairs)
            rows.append(f"  |-- of time averages: sup E|NI - NI*| = {sups}")
            rows.append(f"  |   exponent in n: {self.ni_average_exponent!r}")
        if self.energy is not None:
            energy = f"their energy over its mean: {self.energy!r}"
            rows.append(f"  |-- control: {of['control']}; {energy}")
        slopes = f"of W2^2 in n: {self.exponent!r}, of |NI - NI*|: {self.ni_exponent!r}"
        bias = f"step bias of W2^2: {self.step_bias!r}, {self.relative_bias:.1%} of the last"
        return "\n".join([*rows, f"  |-- exponent {slopes}", f"  '-- {bias}"])

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the curves as `meanfield.plotting.plot_comparison` does; returns the figure."""
        from meanfield.plotting import plot_comparison

        return plot_comparison(self, ax, **options)


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
        All cores by default; results do not depend on it.
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
        every `checkpoint_every` seconds (default 30), and for the comparison at the end. After an
        interruption the same call, or `meanfield.resume`, computes only what is missing.

    first_replica : int
        The number of the first replica of each n. More replicas are a second call that begins where
        the first ended; `merge` makes of both, to the bit, what one call would have given.

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
        control, seed, threads, confidence,
    )  # fmt: skip
    if not (average == "auto" or isinstance(average, bool)):
        raise ValueError(f'average must be "auto", True or False, got {average!r}')
    controlled, time = not p.without, float(time)
    begin = whole("first_replica", first_replica, 0)
    if begin + max(p.counts) > STREAMS:
        raise ValueError(f"replicas of one n are numbered below {STREAMS:,}; choose earlier ones")
    options = {"time": time, "scheme": scheme, "save_every": p.every, "seed": seed}
    done, keeper = Partial(None, {}), None
    if checkpoint is not None:
        asked = {**options, **p.field, "particles": p.sizes, "replicas": p.counts, "step": step}
        asked |= {"confidence": confidence, "control": control, "average": average}
        asked |= {"first_replica": begin} if begin else {}
        job = {"call": "compare", "game": game, "flow": flow, "start": p.start, "options": asked}
        keeper = Keeper(checkpoint, job, checkpoint_every)
        found, finished = keeper.held(game)
        if found is not None and found.field is not None:
            first = lambda: _first_states(game, flow, p.start, p.field)  # noqa: E731
            check_held(found.field, game, flow, p.start, first, keeper.path)
        if finished:
            return found  # type: ignore[no-any-return]
        done = found or done
    with keeper or nullcontext():
        how = {**p.field, "save_every": p.gap, "progress": progress}
        solved = mean_field(game, flow, p.start, time, how, done, keeper)
        averaged = flow.reacts and game.bases is not None if average == "auto" else bool(average)
        compared = Compared(p.start, saved_times(time, p.every), controlled, averaged)
        distances = compared(game, solved)
        field = at_times(solved, compared.times) if controlled else solved
        near = None if keeper is None else keeper.path
        work = sum(n * R for n, R in zip(p.sizes, p.counts, strict=True))
        with (
            Workers(executor, threads) as workers,
            filed(solved, near) if workers.remote else nullcontext("") as file,
            bar(
                work + 2 * p.sizes[-1] * p.counts[-1], f"{flow.name}: particles", progress
            ) as progressed,
        ):
            partial, options = Partial(solved, done.rows), {**options, "executor": workers}
            measure = Filed(file, compared) if file else None
            runs = Replicas(
                distances, game, flow, p.start, options, progressed, partial, keeper, measure, begin
            )
            samples = runs.samples(p.sizes, p.counts, step)
        provenance = {
            "game": game.name, "flow": flow, "start": p.start, "scheme": scheme, "step": step,
            "seed": seed, "field": field.provenance, "confidence": confidence,
            "versions": versions(), "made": made(), "control": p.without,
            "first_replica": begin,
        }  # fmt: skip
        errors = distances.field_ni, distances.field_ni_average
        result = judge(p.sizes, field, errors[0], samples, provenance, errors[1])
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


def judge(
    sizes: Sequence[int], field: Trajectory, field_ni: Array, samples: dict[str, list[Array]],
    provenance: dict[str, Any], field_ni_average: Array | None = None,
) -> Comparison:  # fmt: skip
    """Bands, suprema, exponents and the step bias of stored samples: nothing is run again."""
    confidence = provenance["confidence"]
    totals = [s.sum(axis=2) for s in samples["w2_squared"]]
    gaps = [np.abs(s - field_ni) for s in samples["ni"]]
    controls, about = controls_of(samples)
    if "energies" not in samples and str(provenance.get("control")).startswith(about):
        about = provenance["control"]  # with the reason
    none: list[Array | None] = [None] * len(gaps)
    half = samples["w2_squared_half_step"][0].sum(axis=2)
    return Comparison(
        particles=tuple(sizes),
        replicas=tuple(len(s) for s in totals),
        times=field.times,
        **_bands("w2_squared", totals, confidence, controls),
        **_bands("ni", samples["ni"], confidence, none),
        field_ni=field_ni,
        sup=_sups(totals, confidence, controls),
        ni_sup=_sups(gaps, confidence, none),
        exponent=_slope(sizes, totals, confidence, controls),
        ni_exponent=_slope(sizes, gaps, confidence, none),
        step_bias=step_bias(totals[-1], half, provenance["scheme"], confidence),
        samples=samples,
        field=field,
        provenance={**provenance, "control": about},
        **_averages(sizes, samples.get("ni_average"), field_ni_average, confidence),
    )


def _averages(
    sizes: Sequence[int], samples: list[Array] | None, exact: Array | None, confidence: float
) -> dict[str, Any]:
    """The fields of a comparison that are about time averages; none without samples."""
    if samples is None or exact is None:
        return {}
    gaps, none = [np.abs(s - exact) for s in samples], [None] * len(samples)
    return {
        **_bands("ni_average", samples, confidence, none),  # type: ignore[arg-type]
        "field_ni_average": exact,
        "ni_average_sup": _sups(gaps, confidence, none),  # type: ignore[arg-type]
        "ni_average_exponent": _slope(sizes, gaps, confidence, none),  # type: ignore[arg-type]
    }


def _bands(
    name: str, samples: list[Array], confidence: float, controls: list[Array | None]
) -> dict[str, Any]:
    bands = [band(s, confidence, c) for s, c in zip(samples, controls, strict=True)]
    names = (name, f"{name}_low", f"{name}_high")
    return {key: np.array(rows) for key, rows in zip(names, zip(*bands, strict=True), strict=True)}


def _sups(samples: list[Array], confidence: float, controls: list[Array | None]) -> list[Interval]:
    pairs = zip(samples, controls, strict=True)
    return [sup_of_means(s, confidence, controls=c) for s, c in pairs]


def _slope(
    sizes: Sequence[int], samples: list[Array], confidence: float, controls: list[Array | None]
) -> Interval | None:
    """The exponent in n; None for one size and for what vanishes, such as NI without a loss."""
    if len(sizes) < 2 or any(not s.any() for s in samples):
        return None
    return exponent(sizes, samples, confidence, controls=controls)


def step_bias(full: Array, half: Array, scheme: str, confidence: float = 0.95) -> Interval:
    """How much the step moves the mean W2^2 at worst over the times, from runs with h and h/2.

    full, half (R, T): the same replicas on the same Brownian paths, so that most of the noise
    cancels. The bias that remains at h/2 (`REMAINING`) is added.
    """
    mean, low, high = band((full - half) / (1 - REMAINING[scheme]), confidence)
    worst = int(np.argmax(np.abs(mean)))
    return Interval(float(mean[worst]), float(low[worst]), float(high[worst]))
