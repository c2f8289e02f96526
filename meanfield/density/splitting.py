"""Flows of several parts, with memory and schedules, by Strang's splitting on any mesh.

Over a step dt all costs are frozen at those of the middle of the step, which a first half-step
predicts, and the flow's numbers at theirs. With U frozen every part of the equation is solved
exactly: transport and diffusion of cell masses m by m <- exp(dt A(U)) m, A the two-point-flux
generator of `rates` ("sg"), by uniformisation; reaction and response by `equation.reacted` and
`equation.responded`. They are composed as half the local parts, transport, half the local parts in
reverse order. The error is of order two; masses stay nonnegative and sum to one at any step, and
the discrete Gibbs measures (9) are stationary.

A player with response infinite is the Gibbs measure of the other's moments at the end of each half
and whole step.

With a memory, costs come from the opponent's averaged moments: K numbers for a low-rank game,
averaged masses for any other. Within a step moments follow a straight line. A law that relaxes
within one step ends at the Gibbs measure of the step's middle, so that in long steps of slow
averages it lags by half a step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meanfield.checks import Array
from meanfield.density.coupling import Pair, both
from meanfield.density.engine import Controlled
from meanfield.density.equation import reacted, responded
from meanfield.density.on_meshes import OnMeshes
from meanfield.density.rates import PECLET, FaceRates, too_wide
from meanfield.flows import Flow, Rates
from meanfield.meshes import Mesh
from meanfield.metrics.energy import gibbs_masses


class Trial(NamedTuple):
    """A step's outcome: masses, the moments that enter the costs, and the estimated error."""

    masses: Pair
    averaged: Pair
    error: float = 0.0


class Splitting(OnMeshes, Controlled):
    """The mean field of any flow that has a temperature wherever it transports or responds.

    cells: per player a number of cells per axis, one for each axis, or a Mesh. step: a fixed step;
    None for steps controlled by doubling, so that the L1 error committed per unit of time stays
    below about `tol`. A step is then taken at once and in two halves; the difference is judged, and
    the halves are what counts.
    """

    name = "splitting"
    usual_tol = 1e-3
    order = 2
    saved = ("masses", "averaged", "peclet")

    def begin(self) -> None:
        """Masses and averaged moments; ValueError where a part needs a temperature and has none."""
        _check(self.flow)
        self.set_up(self.asked_meshes())
        self.averaged: Pair = self._moments(self.masses)
        if self.flow.quasistatic:
            self.masses = self._answered(self.masses, self.averaged, 0.0)
            self.averaged = self._moments(self.masses)
        self.peclet = 0.0
        self._rates: list[FaceRates | None] = [None, None]

    def _moments(self, masses: Pair) -> Pair:
        return both(lambda p: self.coupling.moments(p, masses[p]))

    def first(self, left: float) -> float:
        """A tenth of the shortest time scale."""
        rates = self.flow.at(self.time)
        finite = [r for p in rates for r in (p.gamma, p.alpha, p.response) if r < np.inf]
        return min(left, 0.1 / max(finite))

    def attempt(self, dt: float) -> Trial:
        """A step at once and, where steps are controlled, in two halves."""
        once = self._stepped(self.masses, self.averaged, self.time, dt)
        if self.step is not None:
            return once
        half = self._stepped(self.masses, self.averaged, self.time, dt / 2)
        twice = self._stepped(half.masses, half.averaged, self.time + dt / 2, dt / 2)
        # The whole step errs by four times what two halves do.
        gaps = [np.abs(a - b).sum() for a, b in zip(once.masses, twice.masses, strict=True)]
        return twice._replace(error=float(max(gaps)) / 3)

    def accept(self, trial: Trial, dt: float) -> None:
        """Make the trial's masses, of sum one to the last digit, and moments the present ones."""
        self.masses = both(lambda p: trial.masses[p] / trial.masses[p].sum())
        self.averaged = trial.averaged

    def _stepped(self, masses: Pair, averaged: Pair, t: float, dt: float) -> Trial:
        """The state a step later: a predicted half, then the whole step with its middle's costs."""
        rates = self.flow.at(t + dt / 2)
        half = self._moved(masses, averaged, averaged, rates, t, dt / 2)
        return self._moved(masses, averaged, half.averaged, rates, t, dt)

    def _moved(
        self, masses: Pair, averaged: Pair, middle: Pair, rates: tuple[Rates, Rates], t: float,
        dt: float,
    ) -> Trial:  # fmt: skip
        """The state dt later, by the costs that the moments `middle` make. Whoever is at its best
        response at all times answers where the other one has come to.
        """
        now, new = self._moments(masses), self._frozen(masses, middle, rates, dt)
        seen = self._average(averaged, now, self._moments(new), t, t + dt)
        if not self.flow.quasistatic:
            return Trial(new, seen)
        new = self._answered(new, seen, t + dt)
        return Trial(new, self._average(averaged, now, self._moments(new), t, t + dt))

    def _answered(self, masses: Pair, averaged: Pair, t: float) -> Pair:
        """The same masses, but for the Gibbs measure of a player with response infinite."""
        rates = self.flow.at(t)

        def of(p: int) -> Array:
            if rates[p].response < np.inf:
                return masses[p]
            cost = self.coupling.costs(p, averaged[1 - p][:, None])[0][0]
            return gibbs_masses(cost / rates[p].temperature, self.meshes[p])

        return both(of)

    def _average(self, averaged: Pair, now: Pair, then: Pair, t: float, end: float) -> Pair:
        """The averaged moments at `end`, moments going straight from `now` at t to `then`."""
        memory = self.flow.memory
        if memory is None:
            return then
        share, c = memory.share(t, end), memory.centre(t, end)
        return both(lambda p: averaged[p] + share * ((1 - c) * now[p] + c * then[p] - averaged[p]))

    def _frozen(self, masses: Pair, averaged: Pair, rates: tuple[Rates, Rates], dt: float) -> Pair:
        """Both players over dt against frozen costs."""
        costs = both(lambda p: self.coupling.costs(p, averaged[1 - p][:, None])[0])
        return both(lambda p: self._player(p, masses[p], costs[p], rates[p], dt))

    def _player(self, p: int, m: Array, cost: Array, rates: Rates, dt: float) -> Array:
        """One player's parts, symmetrically; cost (1, N)."""
        mesh, U = self.meshes[p], cost[0]
        if rates.gamma == 0 and (rates.alpha == 0 or rates.response == 0):
            return respond(react(m, U, rates, mesh, dt), U, rates, mesh, dt)
        m = respond(react(m, U, rates, mesh, dt / 2), U, rates, mesh, dt / 2)
        if rates.gamma > 0:
            faces = self._faces(p, rates)
            jumps, peclet = faces(cost, cost)
            self.peclet = max(self.peclet, peclet)
            if peclet > PECLET:
                self.warn_once(too_wide(peclet, self.time))
            m, _ = faces.exponential(jumps[0] * dt, m)
        return react(respond(m, U, rates, mesh, dt / 2), U, rates, mesh, dt / 2)

    def _faces(self, p: int, rates: Rates) -> FaceRates:
        """Rates over faces; made anew where a schedule changes them."""
        faces = self._rates[p]
        if faces is None or self.flow.scheduled:
            exponential = None if faces is None else faces.exponential
            faces = self._rates[p] = FaceRates(self.meshes[p], rates, "sg", exponential)
        return faces

    def diagnostics(self) -> dict[str, float]:
        """Steps taken and rejected, the last step, the smallest mass, the largest beta |dU| over a
        face.
        """
        return {
            **self.counts,
            "step": self.last,
            "smallest_mass": self.smallest_mass(),
            "largest_peclet": self.peclet,
        }


def react(m: Array, U: Array, rates: Rates, mesh: Mesh, dt: float) -> Array:
    """Masses (N,) of sum one after the reaction alone, at frozen costs."""
    if rates.alpha == 0:
        return m
    with np.errstate(divide="ignore"):
        log = reacted(rates, U, np.log(m / mesh.volumes), dt)
    new = mesh.volumes * np.exp(log - log.max())
    return np.asarray(new / new.sum())


def respond(m: Array, U: Array, rates: Rates, mesh: Mesh, dt: float) -> Array:
    """Masses after the response alone, at frozen costs: towards their Gibbs measure."""
    if rates.response == 0:
        return m
    return responded(rates, m, gibbs_masses(U / rates.temperature, mesh), dt)


def _check(flow: Flow) -> None:
    for name, player in zip("xy", flow.players, strict=True):
        if player.temperature == 0 and player.gamma > 0:
            raise ValueError(
                f"splitting needs a temperature where it transports; it is 0 for {name}: give "
                "beta, set gamma to 0, or leave memory and schedules out "
                '(engine="characteristics")'
            )
        if player.temperature == 0 and player.response > 0:
            raise ValueError(
                f"splitting responds by Gibbs measures, and the temperature of {name} is 0: give "
                'beta, or use BestResponse alone (engine="best-response")'
            )
