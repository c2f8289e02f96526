"""What a comparison of particles with their mean field holds, and how its samples are judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as hidden
from typing import Any

import numpy as np

from meanfield.checks import Array, real
from meanfield.shown import Shown
from meanfield.storage.results import Result
from meanfield.studies.controls import controls_of
from meanfield.studies.plan import REMAINING
from meanfield.studies.statistics import Interval, band, exponent, sup_of_means
from meanfield.trajectory import Trajectory


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
    sliced, sliced_low, sliced_high : (S, T)
        Where particles stand for the mean field: the mean of sliced W2^2 of both players
        (`metrics.sliced`), with its confidence band; None elsewhere.
    bounds : (S, 2, T)
        There, too: what E W2^2 lies between; the estimate itself has the bias of the reference's
        sample removed to first order in 1/N.
    samples : dict
        For each n, arrays (replicas, T, 2) of W2^2 and (replicas, T) of NI, and of "ni_average";
        with a control also
        "energies" (replicas, T) of the copies and their exact "energy_means" (T,).
    field : Trajectory
        The mean field; one of its references where particles stand for it.
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
    sliced: Array | None = None
    sliced_low: Array | None = None
    sliced_high: Array | None = None
    bounds: Array | None = None

    @property
    def relative_bias(self) -> float:
        """The step bias over the mean W2^2 at the largest n."""
        return abs(self.step_bias.value) / self.sup[-1].value

    @property
    def dim(self) -> int:
        """The larger dimension of the two spaces."""
        return max(M.dim for M in self.field.game.manifolds)

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
            rows.append(f"  |-- n = {n:<8,} x {R:>5} replicas: {sups}")
        if self.ni_average_sup is not None:
            pairs = zip(self.particles, self.ni_average_sup, strict=True)
            sups = ", ".join(f"{v!r} at n = {n:,}" for n, v in pairs)
            rows.append(f"  |-- of time averages: sup E|NI - NI*| = {sups}")
            rows.append(f"  |   exponent in n: {self.ni_average_exponent!r}")
        if self.bounds is not None:
            low, high = (float(b.max()) for b in self.bounds[-1])
            said = f"sup E W2^2 at n = {self.particles[-1]:,} lies in [{low:.4g}, {high:.4g}]"
            rows.append(f"  |-- reference: {of['reference']:,} particles; {said}")
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
        **_without_mesh(samples, confidence),
    )


def _without_mesh(samples: dict[str, list[Array]], confidence: float) -> dict[str, Any]:
    """The fields of a comparison whose mean field is many particles; none elsewhere.

    W2^2 is convex, and the reference is the mean field on average: E W2^2(mu^n, mu) is at most
    U = E W2^2(mu^n, nu^N), and E W2^2(nu^N, mu) at most V, the mean between two references. By the
    triangle inequality it is at least (U^(1/2) - V^(1/2))^2.
    """
    if "apart" not in samples:
        return {}
    sliced = [s.sum(axis=2) for s in samples["sliced"]]
    apart = samples["apart"][0].sum(axis=2).mean(axis=0)
    far = np.array([s.sum(axis=2).mean(axis=0) for s in samples["w2_squared_to_reference"]])
    least = np.maximum(np.sqrt(far) - np.sqrt(apart), 0.0) ** 2
    none: list[Array | None] = [None] * len(sliced)
    return {**_bands("sliced", sliced, confidence, none), "bounds": np.stack([least, far], 1)}


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
