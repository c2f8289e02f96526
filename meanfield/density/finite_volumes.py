"""Equation (7) by finite volumes on any mesh: masses jump between cells (rates.py), CF4 in time.

Over a step dt the fourth-order commutator-free exponential integrator (Blanes and Moan 2006;
Thalhammer 2006) takes

    m(t + dt) = exp(dt/2 [c- A(t1) + c+ A(t2)]) exp(dt/2 [c+ A(t1) + c- A(t2)]) m(t),

c+- = 1/2 +- 1/sqrt 3, A the generator at the costs U of the Gauss points t1 < t2. It is the rates
that are combined: A is nonlinear in U, and A of combined costs falls to order 2. Costs at t1, t2
come from the opponent's moments, by the cubic Hermite polynomial through the last two steps' values
and time derivatives, extrapolated; a first step begins with the tangent and is corrected twice by
the polynomial through its own two ends.

Each exponential acts by uniformisation, so masses stay nonnegative and sum to one at any step. A
combined rate c+ k(t1) + c- k(t2) is nonnegative while the two differ by less than the factor 7 + 4
sqrt 3 = 13.9; a step that sees more, or whose extrapolated costs leave the range of the loss, is
halved.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from meanfield.density.coupling import Knot, OnMeshes, Pair, Probe, both, hermite, probe
from meanfield.density.inputs import only_langevin
from meanfield.density.rates import PECLET, TAME, WEIGHTS, FaceRates, gap, gauss_mixed, within
from meanfield.flows import Rates
from meanfield.meshes import Mesh

GAUSS = (0.5 - 3**0.5 / 6, 0.5 + 3**0.5 / 6)
STAGES = np.array([*GAUSS, 1.0])
# A step longer than this many of the last one starts afresh rather than extrapolate so far.
LONGEST = 8.0


@dataclass(frozen=True)
class Trial:
    """One step's outcome: new masses, the knot there, and the local error that it is thought to
    have made.
    """

    masses: Pair
    knot: Knot
    error: float
    missed: float
    lost: float


class CommutatorFree(OnMeshes):
    """Masses of both players under (7) by CF4 in time, whatever their generators A are in space.

    rates: for each player `FaceRates` or `StencilRates`, which turn costs into A and take its
    exponential.

    The error estimate is the larger of what the moments' extrapolation missed at the end of the
    step, which is of order dt^5 like the error itself, and e^(5/3), e = dt^2 sqrt(3)/12 |[A(t2),
    A(t1)] m| the distance to the embedded exponential of the averaged generator, which is of second
    order.
    """

    order = 4
    saved: tuple[str, ...] = ("masses", "now", "before", "proposal", "watched")
    least = 0.0  # combined rates below it halve the step

    rates: tuple[Any, Any]
    probes: tuple[Probe, Probe]

    def set_up(self, meshes: tuple[Mesh, Mesh], faces: tuple[bool, bool] = (False, False)) -> None:
        """The masses of the laws on these meshes, for generators `rates` that are there already."""
        super().set_up(meshes, both(lambda p: self.rates[p].needs_faces))
        self.masses = both(lambda p: self.masses[p] / self.masses[p].sum())
        self.counts["halved"] = 0
        self.watched = {"largest_peclet": 0.0, "mass_correction": 0.0, "estimated_error": 0.0}
        knot = self._knot(self.masses)
        # Moments and their time derivatives now, and at the beginning of the last step.
        self.now = self.before = knot.tables
        self._watch_cells(knot.peclet)

    def _watch_cells(self, peclet: float) -> None:
        self.watched["largest_peclet"] = max(self.watched["largest_peclet"], peclet)
        self._check_cells(peclet)

    @abstractmethod
    def _check_cells(self, peclet: float) -> None:
        """Warn where the cells do not carry the state; peclet is the largest beta |dU| from node to
        node.
        """

    def _knot(self, masses: Pair) -> Knot:
        """Moments, their slopes, dm/dt and the largest cell Peclet number at the given masses."""
        moments = [self.coupling.moments(p, masses[p]) for p in (0, 1)]
        tables, flows, largest = [], [], 0.0
        for p in (0, 1):
            nodes, faces = self.coupling.costs(p, moments[1 - p][:, None])
            flow, peclet = self.rates[p].flow(nodes, faces, masses[p])
            flows.append(flow)
            table = np.empty((len(moments[p]), 2))
            table[:, 0], table[:, 1] = moments[p], self.coupling.moments(p, flow)
            tables.append(table)
            largest = max(largest, peclet)
        return Knot((tables[0], tables[1]), (flows[0], flows[1]), largest)

    def _sweep(self, curve: Pair, dt: float) -> Trial | None:
        """CF4 for both players with the moments `curve` (K, 3) at the Gauss points and at the end.

        Returns None when dt is too long for nonnegative rates or for costs within the loss's range.
        `error` is e^(5/3) for now; what the moments missed comes in `attempt`.
        """
        new, ends, embedded, lost = [], [], 0.0, 0.0
        for p in (0, 1):
            nodes, faces = self.coupling.costs(p, curve[1 - p])
            if not within(nodes[:2], self.probes[p].low, self.probes[p].high):
                return None
            jumps, _ = self.rates[p](nodes, faces)
            early, late, least = gauss_mixed(jumps, dt)
            if not least >= self.least:
                return None
            half, e1 = self.rates[p].exponential(early, self.masses[p])
            m, e2 = self.rates[p].exponential(late, half)
            end, bracket = self.rates[p].spent(jumps, m)
            new.append(m)
            ends.append(end)
            embedded = max(embedded, dt**2 * 3**0.5 / 12 * bracket)
            lost = max(lost, e1 + e2)
        masses = new[0], new[1]
        knot = self._knot(masses)
        missed = max(gap(ends[0], knot.flows[0]), gap(ends[1], knot.flows[1]))
        return Trial(masses, knot, embedded ** (5 / 3), dt * missed, lost)

    def attempt(self, dt: float) -> Trial | None:
        """One step of length dt from here, or None when it must be shorter."""
        if dt > LONGEST * self.last:
            return self._begin(dt)
        curve = hermite(self.before, self.now, self.last, 1 + STAGES * (dt / self.last))
        trial = self._sweep(curve, dt)
        if trial is None:
            return None
        # The extrapolation's remainder is u^2 (u + r)^2 d4M/24, r the last step over this one:
        # at the Gauss points a known share of what is seen at the end.
        ratio = self.last / dt
        share = sum((u + ratio) ** 2 * u**2 for u in GAUSS) / 2 / (1 + ratio) ** 2
        return replace(trial, error=max(trial.error, share * trial.missed))

    def _begin(self, dt: float) -> Trial | None:
        """A step without a past: along the tangent, then twice through its own two ends.

        Either correction gains one order: moments to dt^2, dt^3, dt^4, masses to dt^3, dt^4, dt^5.
        """
        tangent = np.stack([np.ones(3), dt * STAGES])
        trial = self._sweep(both(lambda p: self.now[p] @ tangent), dt)
        for _ in range(2):
            if trial is None:
                return None
            trial = self._sweep(hermite(self.now, trial.knot.tables, dt, STAGES), dt)
        return trial and replace(trial, error=max(trial.error, trial.missed))

    def accept(self, trial: Trial, dt: float) -> None:
        """Take over masses and moments, and add up what is watched."""
        self.before, self.now, self.masses = self.now, trial.knot.tables, trial.masses
        self.watched["estimated_error"] += float(trial.error)
        self.watched["mass_correction"] = max(self.watched["mass_correction"], trial.lost)
        self._watch_cells(trial.knot.peclet)

    def first(self, left: float) -> float:
        """A careful first step: tol^(1/4) of the time in which the opponent's motion changes the
        costs by one kT.
        """
        change = 0.0
        for p in (0, 1):
            nodes, _ = self.coupling.costs(p, self.now[1 - p][:, 1:])
            change = max(change, float(np.ptp(nodes)) * self.rates[p].beta)
        return left if change == 0 else min(left, self.tol**0.25 / change)

    def diagnostics(self) -> dict[str, float]:
        """Steps taken, rejected and halved, the last step, the smallest mass, the largest beta |dU|
        over a face, the largest relative mass error taken out of a step, the sum of the estimated
        local errors.
        """
        smallest = min(float(m.min()) for m in self.masses)
        return {**self.counts, **self.watched, "step": self.last, "smallest_mass": smallest}


class FiniteVolumes(CommutatorFree):
    """The mean field of (7) in cell masses on two meshes.

    game: any game; flow: alpha = 0 and temperature > 0 for both players; laws: the two starting
    laws. cells: per player a number of cells per axis, one for each axis, or a Mesh. step: a fixed
    step, None for steps controlled so that the estimated L1 error committed per unit of time stays
    below `tol`. weights: "sg", "face", "sqrt" (see rates.py) or "auto": once for the run and for
    each player, "face" where beta |U_j - U_i| stays below 1 over every face against any measure of
    the opponent, else "sg".
    """

    name = "finite-volume"
    cure = "use more cells, weights='sg' or a larger tol"

    def begin(self, weights: str = "auto") -> None:
        """Masses, and the rates with the weights asked for."""
        only_langevin(self.flow, self.name, moves=False)
        if weights not in (*WEIGHTS, "auto"):
            raise ValueError(f'weights must be "auto", "sg", "face" or "sqrt", got {weights!r}')
        meshes = self.asked_meshes()
        self.probes = both(lambda p: probe(self.game, meshes, p))
        self.weights = both(lambda p: _weights(weights, self.probes[p], self.players[p]))
        self.rates = both(lambda p: FaceRates(meshes[p], self.players[p], self.weights[p]))
        self.set_up(meshes)

    def _check_cells(self, peclet: float) -> None:
        if peclet > PECLET:
            self.warn_once(
                f"beta |dU| reaches {peclet:.3g} over a face at time {self.time:g}; beyond "
                f"{PECLET:g} the cells are "
                "too wide for the drift and accuracy falls to first order (the Gibbs state, mass "
                "and sign stay exact): "
                f"use about {peclet:.2g} times as many cells per axis"
            )


def _weights(asked: str, found: Probe, player: Rates) -> str:
    if asked != "auto":
        return asked
    return "face" if found.steepest < TAME * player.temperature else "sg"
