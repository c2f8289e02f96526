"""`compare`: replicas of particles at several n against the mean field (Theorem 3)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from dataclasses import field as hidden
from typing import Any

import numpy as np

from meanfield.checks import Array, warn
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.particles.ensemble import ensemble
from meanfield.progress import bar
from meanfield.schedule import saved_times
from meanfield.start import Start
from meanfield.storage.keeper import Keeper, Part
from meanfield.storage.results import Result
from meanfield.studies.gauge import USED, Gauge, controls_of, thinned
from meanfield.studies.settled import LEFT, settled
from meanfield.studies.statistics import Interval, band, exponent, sup_of_means
from meanfield.trajectory import Trajectory, check_held, versions


@dataclass(frozen=True, eq=False)
class Comparison(Result):
    """n particles against the mean field over [0, T].

    particles (S,); times (T,); w2_squared (S, T): mean over replicas of W2^2_x + W2^2_y, with the
    confidence band w2_squared_low, w2_squared_high; ni, ni_low, ni_high (S, T) and field_ni (T,):
    the Nikaido-Isoda errors. sup: for each n the sup over [0, T] of the mean W2^2; exponent: its
    slope in n. ni_sup, ni_exponent: the same of the mean |NI - field NI| (Theorem 3 (i) and (ii)).
    step_bias: how far the time step itself moves the mean W2^2 at the largest n, and relative to it.
    samples: per n, arrays (replicas, T, 2) of W2^2 and (replicas, T) of NI, to be judged again. With a control also
    "energies" (replicas, T) of the copies and their exact "energy_means" (T,); provenance["control"] says what
    was made of them.
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

    @property
    def relative_bias(self) -> float:
        """The step bias over the mean W2^2 at the largest n."""
        return abs(self.step_bias.value) / self.sup[-1].value

    @property
    def energy(self) -> Interval | None:
        """The copies' mean energy at the end over its exact mean, all n together: 1 where their law is the mean field.

        The control hides what particles and copies share, such as a mean field that is not theirs: this shows it.
        """
        if "energies" not in self.samples:
            return None
        pairs = zip(self.samples["energies"], self.samples["energy_means"], strict=True)
        mean, low, high = band(
            np.concatenate([E[:, -1] / m[-1] for E, m in pairs]), self.provenance["confidence"]
        )
        return Interval(float(mean), float(low), float(high))

    def __repr__(self) -> str:
        rows = [
            f"Comparison: {self.provenance['game']}, {self.provenance['flow'].name}, t in [0, {self.times[-1]:g}]"
        ]
        for n, R, w, v in zip(self.particles, self.replicas, self.sup, self.ni_sup, strict=True):
            rows.append(
                f"  |-- n = {n:>8,} x {R:>5} replicas: sup E W2^2 = {w!r}, sup E|NI - NI*| = {v!r}"
            )
        if self.energy is not None:
            rows.append(
                f"  |-- control: {self.provenance['control']}; their energy over its mean: {self.energy!r}"
            )
        rows.append(
            f"  |-- exponent of W2^2 in n: {self.exponent!r}, of |NI - NI*|: {self.ni_exponent!r}"
        )
        return "\n".join(
            [
                *rows,
                f"  '-- step bias of W2^2: {self.step_bias!r}, {self.relative_bias:.1%} of the last",
            ]
        )

    def plot(self, **options: Any) -> Any:
        """Draw the curves; see `meanfield.plotting.plot_comparison`. Returns a matplotlib figure."""
        from meanfield.plotting import plot_comparison

        return plot_comparison(self, **options)


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
    confidence: float = 0.95,
    control: str | bool = "auto",
    progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float | None = None,
) -> Comparison:
    """Run replicas of n particles for each n and measure their distance from the mean field.

    replicas: a number, one per n, or by default about 4e5 / n, between 24 and 400. step, scheme: the
    particles' (`simulate`); the bias that the step puts on E W2^2 is measured at the largest n, by runs with
    half the step on the same Brownian paths, extrapolated and reported; UnderResolved warns when it exceeds
    5% of E W2^2 there. Bands are Student's, for `confidence`; W2^2 is skewed, so that with few replicas (24
    and fewer, without control) those of 95% hold the mean in 87 to 94% of cases. save_every: time between
    comparisons (default about time / 20). cells, engine, tol: the mean field's (`solve`); without diffusion
    there are by default as many nodes as keep their spacing's share of W2^2 at 1% for the largest n. threads:
    all cores by default; results do not depend on it. Two numbers of `particles` or more give exponents.
    control: estimate E W2^2 by regression on the low-mode energies (`metrics.energies`) of synchronously coupled copies
    (`particles.copies`), whose means are known exactly: its variance falls 20 to 2000 times on the circle
    and 20 to 200 times on T^2 at moderate times, 2 to 6 times on the oscillator at t = 2, for runs that cost twice as
    much for low-rank games, W2 apart, and a mean field kept at every half step. Its band is for the particles' law in
    the limit of small steps, the mean field's: a check guards this, by leaving the control out and warning
    (UnderResolved) where the copies' energies are off their means. "auto": for flows without weights of low-rank
    games on the circle, T^2 and S^2, where the states kept take up to 256 MB; True: for any game, and ValueError
    where there is no control; False: never. provenance["control"] says what was done. Numbers of particles with
    fewer than 8 replicas take none.
    checkpoint: a file (.h5) that holds the mean field and what is measured of every finished replica,
    written every `checkpoint_every` seconds (default 30), and the comparison at the end. Killed or
    interrupted, the same call computes only what is missing, as does `meanfield.resume`.
    """
    s = settled(
        game, flow, start, time, particles, replicas, step, scheme, save_every, cells, engine, tol, control,
        seed, threads, confidence,
    )  # fmt: skip
    start, sizes, counts, every, mean_field, controlled = (
        s.start,
        s.sizes,
        s.counts,
        s.every,
        s.field,
        not s.without,
    )
    options = {"time": float(time), "scheme": scheme, "save_every": every, "seed": seed}
    done, keeper = Partial(None, {}), None
    if checkpoint is not None:
        from meanfield.density.solve import build

        counted = {"particles": sizes, "replicas": counts, "step": step, "confidence": confidence}
        asked = {**options, **mean_field, **counted}
        keeper = _keeper(game, flow, start, asked, control, checkpoint, checkpoint_every)
        held, finished = keeper.held(game)
        if held is not None and held.field is not None:
            check_held(
                held.field,
                game,
                flow,
                start,
                lambda: build(game, flow, start, **mean_field).measures(),
                keeper.path,
            )
        if finished:
            return held  # type: ignore[no-any-return]
        done = held or done
    with keeper or nullcontext():
        looked = {**options, "save_every": s.gap}
        solved = _field(game, flow, start, looked, mean_field, done, keeper, progress)
        field_run = thinned(solved, saved_times(time, every)) if controlled else solved
        gauge = Gauge(game, field_run, start, solved if controlled else None)
        work = sum(n * R for n, R in zip(sizes, counts, strict=True)) + 2 * sizes[-1] * counts[-1]
        with bar(work, f"{flow.name}: particles", progress) as progressed:
            held_field = Partial(solved, done.rows)
            runs = _Runs(gauge, game, flow, start, options, threads, progressed, held_field, keeper)
            samples = runs.samples(sizes, counts, step)
        provenance = {
            "game": game.name, "flow": flow, "start": start, "scheme": scheme, "step": step, "seed": seed,
            "field": field_run.provenance, "confidence": confidence, "versions": versions(), "control": s.without,
        }  # fmt: skip
        result = judge(sizes, field_run, gauge.field_ni, samples, provenance)
        if keeper is not None:
            keeper.finish(result)
    _warn(result, controlled)
    return result


def _keeper(
    game: Game,
    flow: Flow,
    start: Start,
    options: dict[str, Any],
    control: str | bool,
    path: Any,
    every: Any,
) -> Keeper:
    """The checkpoint of this comparison and no other; files older than controls say nothing of them."""
    asked = options if control is False else {**options, "control": control}
    return Keeper(
        path,
        {"call": "compare", "game": game, "flow": flow, "start": start, "options": asked},
        every,
    )


def _warn(result: Comparison, controlled: bool) -> None:
    """Tell the caller of `compare` where the control was left out after all, or the step is too long."""
    told = result.provenance
    if controlled and told["control"] != USED:
        warn(told["control"])
    if (bias := result.relative_bias) > 0.05:
        warn(
            f"the step {told['step']:g} moves W2^2 by {bias:.0%} of its mean at n = {result.particles[-1]:,}; halve it"
        )


def judge(
    sizes: Sequence[int], field_run: Trajectory, field_ni: Array, samples: dict[str, list[Array]],
    provenance: dict[str, Any],
) -> Comparison:  # fmt: skip
    """Bands, suprema, exponents and the step bias of stored samples: nothing is run again."""
    confidence = provenance["confidence"]
    totals = [s.sum(axis=2) for s in samples["w2_squared"]]
    controls, about = controls_of(samples)
    if "energies" not in samples and str(provenance.get("control")).startswith(about):
        about = provenance["control"]  # with the reason
    gaps = [np.abs(s - field_ni) for s in samples["ni"]]
    squared = [band(s, confidence, c) for s, c in zip(totals, controls, strict=True)]
    ni = [band(s, confidence) for s in samples["ni"]]
    return Comparison(
        particles=tuple(sizes),
        replicas=tuple(len(s) for s in totals),
        times=field_run.times,
        **{
            name: np.array([b[k] for b in squared])
            for k, name in enumerate(("w2_squared", "w2_squared_low", "w2_squared_high"))
        },
        **{
            name: np.array([b[k] for b in ni]) for k, name in enumerate(("ni", "ni_low", "ni_high"))
        },
        field_ni=field_ni,
        sup=[
            sup_of_means(s, confidence, controls=c) for s, c in zip(totals, controls, strict=True)
        ],
        ni_sup=[sup_of_means(s, confidence) for s in gaps],
        exponent=_slope(sizes, totals, confidence, controls),
        ni_exponent=_slope(sizes, gaps, confidence, [None] * len(gaps)),
        step_bias=step_bias(
            totals[-1],
            samples["w2_squared_half_step"][0].sum(axis=2),
            provenance["scheme"],
            confidence,
        ),
        samples=samples,
        field=field_run,
        provenance={**provenance, "control": about},
    )


def _slope(
    sizes: Sequence[int], samples: list[Array], confidence: float, controls: list[Array | None]
) -> Interval | None:
    """The exponent in n; None for a single size and for what vanishes altogether, such as NI without a loss."""
    if len(sizes) < 2 or any(not s.any() for s in samples):
        return None
    return exponent(sizes, samples, confidence, controls=controls)


def step_bias(full: Array, half: Array, scheme: str, confidence: float = 0.95) -> Interval:
    """How much the step moves the mean W2^2 at worst over the times, from runs with h and h/2.

    full, half (R, T): the same replicas on the same Brownian paths, so that most of the noise cancels.
    What halving leaves of the bias is added (`LEFT`).
    """
    mean, low, high = band((full - half) / (1 - LEFT[scheme]), confidence)
    worst = int(np.argmax(np.abs(mean)))
    return Interval(float(mean[worst]), float(low[worst]), float(high[worst]))


@dataclass(frozen=True, eq=False)
class Partial:
    """A comparison under way: the mean field as far as it got, and of each series of replicas what is done."""

    field: Trajectory | None
    rows: dict[str, list[tuple[Array, ...]]]


def _field(
    game: Game, flow: Flow, start: Start, options: dict[str, Any], mean_field: dict[str, Any], done: Partial,
    keeper: Keeper | None, progress: bool | None,
) -> Trajectory:  # fmt: skip
    """The mean field: taken from what is done, gone on with, or solved."""
    from meanfield.density.solve import solve

    if done.field is not None and done.field.times[-1] == options["time"]:
        return done.field
    part = None if keeper is None else Part(keeper, lambda field: Partial(field, {}))
    found = solve(
        game, flow, start, options["time"], save_every=options["save_every"], **mean_field, progress=progress,
        resume=done.field, checkpoint=part,
    )  # fmt: skip
    if part is not None:
        part.offer(lambda: found)
    return found


@dataclass(frozen=True)
class _Runs:
    """How replicas are run; `level` keeps the streams of different n apart."""

    gauge: Gauge
    game: Game
    flow: Flow
    start: Start
    options: dict[str, Any]
    threads: int | None
    progressed: Any
    done: Partial
    keeper: Keeper | None

    def samples(
        self, sizes: Sequence[int], counts: Sequence[int], step: float
    ) -> dict[str, list[Array]]:
        """Every series of a comparison; the largest n a second time, with half the step."""
        top = len(sizes) - 1
        # The runs of the largest n follow the Brownian paths that half the step resolves.
        drawn = [
            self(sizes[k], counts[k], k, step, 2 if k == top else 1, control=True)
            for k in range(top + 1)
        ]
        halved = self(sizes[top], counts[top], top, step / 2)
        found = {
            "w2_squared": [rows[0] for rows in drawn], "ni": [rows[1] for rows in drawn],
            "w2_squared_half_step": [halved[0]], "ni_half_step": [halved[1]],
        }  # fmt: skip
        if self.gauge.drive is not None:
            found["energies"] = [rows[2] for rows in drawn]
            found["energy_means"] = [self.gauge.energy_means / n for n in sizes]
        return found

    def __call__(
        self, n: int, replicas: int, level: int, step: float, refine: int = 1, control: bool = False
    ) -> list[Array]:
        """Samples of W2^2 (R, T, 2), of NI (R, T) and, where wanted and driven, of energies (R, T); replicas that are
        done already are not run again."""
        reduce = self.gauge.controlled if control and self.gauge.drive is not None else self.gauge
        rows = self.done.rows.setdefault(f"{n} particles, step {step:.17g}", [])
        numbers = [level * 1_000_000 + r for r in range(len(rows), replicas)]
        self.progressed.update(n * len(rows))
        found = ensemble(
            self.game, self.flow, self.start, particles=n, replicas=numbers, step=step, refine=refine,
            threads=self.threads, reduce=reduce, progress=False, **self.options,
        )  # fmt: skip
        with closing(found):  # type: ignore[type-var]
            for row in found:
                rows.append(row)
                self.progressed.update(n)
                if self.keeper is not None:
                    self.keeper.offer(lambda: self.done)
        return [np.array(column) for column in zip(*rows, strict=True)]
