"""Flows of several parts by Strang's splitting on any mesh: transport, reaction, response, memory, schedules.

Over a step dt all costs are frozen at those of the middle of the step, which a first half-step predicts,
and the flow's numbers at theirs. With U frozen every part is solved exactly: on cell masses m, rho = m/vol,

    transport   m <- exp(dt A(U)) m, A the two-point-flux generator of `rates` ("sg"), by uniformisation;
    reaction    log rho <- e log rho - (1 - e) beta U + const,  e = exp(-alpha dt / beta);
                at temperature zero log rho <- log rho - alpha dt U + const;
    response    m <- exp(-rho dt) m + (1 - exp(-rho dt)) G,  G = vol exp(-beta U) / Z,

composed as half the local parts, transport, half the local parts in reverse order. The error is of order two;
masses stay nonnegative and sum to one at any step, and the discrete Gibbs measures (9) are stationary.

With a memory, costs come from the opponent's averaged moments: K numbers for a low-rank game, averaged masses
for any other. Within a step moments follow a straight line. A law that relaxes within one step ends at the
Gibbs measure of the step's middle: long steps of slow averages see it lag by half a step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from meanfield.checks import Array, real, warn
from meanfield.density.coupling import Coupling, Pair, both
from meanfield.density.inputs import later, mesh_for
from meanfield.density.rates import PECLET, FaceRates
from meanfield.density.uniformisation import Exponential
from meanfield.flows import Flow, Rates
from meanfield.games.base import Game
from meanfield.measures import Density
from meanfield.meshes import Mesh
from meanfield.metrics.energy import gibbs_masses
from meanfield.start import Law

State = tuple[Pair, Pair]  # masses, and the moments that the other player sees


class Splitting:
    """The mean field of any flow that has a temperature wherever it transports or responds.

    cells: per player a number of cells per axis, one for each axis, or a Mesh. step: a fixed step; None for
    steps controlled by doubling, so that the L1 error committed per unit of time stays below about `tol`: a
    step is taken at once and in two halves, of which the latter is kept and the difference judged.
    """

    name = "splitting"

    def __init__(
        self, game: Game, flow: Flow, laws: tuple[Law, Law], cells: tuple[Any, Any] = (None, None),
        step: float | None = None, tol: float = 1e-3,
    ) -> None:  # fmt: skip
        _check(flow)
        self.game, self.flow = game, flow
        self.step = None if step is None else real("step", step, 0.0, strict=True)
        self.tol = real("tol", tol, 0.0, strict=True)
        self.meshes: tuple[Mesh, Mesh] = both(
            lambda p: mesh_for(game.manifolds[p], laws[p], cells[p])
        )
        self.coupling = Coupling(game, self.meshes, (False, False))
        self.exponentials = both(lambda p: Exponential(self.meshes[p]))
        self.masses: Pair = both(lambda p: laws[p].on(self.meshes[p]).masses.copy())
        self.seen: Pair = self._moments(self.masses)
        self.time, self.proposal, self.last = 0.0, 0.0, 0.0
        self.counts = {"steps": 0, "rejected": 0}
        self.peclet = 0.0
        self._rates: tuple[FaceRates | None, FaceRates | None] = (None, None)
        self._warned = False

    def _moments(self, masses: Pair) -> Pair:
        return both(lambda p: self.coupling.moments(p, masses[p]))

    # -- one step -------------------------------------------------------------------------------

    def _stepped(self, state: State, t: float, dt: float) -> State:
        """The state a step later: a predicted half, then the whole step with the costs of its middle."""
        masses, seen = state
        now, rates = self._moments(masses), self.flow.at(t + dt / 2)
        half = self._frozen(masses, seen, rates, dt / 2)
        middle = self._seen(seen, now, self._moments(half), t, t + dt / 2)
        new = self._frozen(masses, middle, rates, dt)
        return new, self._seen(seen, now, self._moments(new), t, t + dt)

    def _seen(self, seen: Pair, now: Pair, then: Pair, t: float, end: float) -> Pair:
        """The averaged moments at `end`, moments going straight from `now` at t to `then`."""
        memory = self.flow.memory
        if memory is None:
            return then
        share, c = memory.share(t, end), memory.centre(t, end)
        return both(lambda p: seen[p] + share * ((1 - c) * now[p] + c * then[p] - seen[p]))

    def _frozen(self, masses: Pair, seen: Pair, rates: tuple[Rates, Rates], dt: float) -> Pair:
        """Both players over dt against frozen costs."""
        costs = both(lambda p: self.coupling.costs(p, seen[1 - p][:, None])[0])
        return both(lambda p: self._player(p, masses[p], costs[p], rates[p], dt))

    def _player(self, p: int, m: Array, cost: Array, rates: Rates, dt: float) -> Array:
        """One player's parts, symmetrically; cost (1, N)."""
        volumes, U = self.meshes[p].volumes, cost[0]
        if rates.gamma == 0 and (rates.alpha == 0 or rates.response == 0):
            return respond(react(m, volumes, U, rates, dt), U, rates, self.meshes[p], dt)
        m = respond(react(m, volumes, U, rates, dt / 2), U, rates, self.meshes[p], dt / 2)
        if rates.gamma > 0:
            jumps, peclet = self._faces(p, rates)(cost, cost)
            self._watch(peclet)
            m, _ = self.exponentials[p](jumps[0] * dt, m)
        return react(respond(m, U, rates, self.meshes[p], dt / 2), volumes, U, rates, dt / 2)

    def _faces(self, p: int, rates: Rates) -> FaceRates:
        """Rates over faces; made anew where a schedule changes them."""
        held = self._rates[p]
        if held is None or self.flow.scheduled:
            held = FaceRates(self.meshes[p], rates, "sg")
            self._rates = (held, self._rates[1]) if p == 0 else (self._rates[0], held)
        return held

    # -- many steps -----------------------------------------------------------------------------

    def advance(self, until: float) -> None:
        """Move to `until` exactly, in steps of at most the given or controlled length."""
        until = later(until, self.time)
        while self.time < until:
            left = until - self.time
            whole = max(
                1.0,
                math.ceil(left / (self.step or self.proposal or self._first(left)) * (1 - 1e-9)),
            )
            dt = self._take(left / whole)
            self.time = until if whole == 1 and dt == left else self.time + dt

    def _first(self, left: float) -> float:
        return min(
            left, 0.1 / max(max(p.gamma, p.alpha, p.response) for p in self.flow.at(self.time))
        )

    def _take(self, dt: float) -> float:
        """One accepted step of length dt or less; returns its length."""
        held = self.masses, self.seen
        if self.step is not None:
            return self._accept(self._stepped(held, self.time, dt), dt)
        cut = dt < 0.9 * self.proposal
        while True:
            once = self._stepped(held, self.time, dt)
            half = self._stepped(held, self.time, dt / 2)
            twice = self._stepped(half, self.time + dt / 2, dt / 2)
            # The whole step errs by four times what two halves do; errors per unit of time are of order dt^2.
            error = (
                max(float(np.abs(a - b).sum()) for a, b in zip(once[0], twice[0], strict=True)) / 3
            )
            longer = min(max(0.9 * max(error / (dt * self.tol), 1e-8) ** -0.5, 0.2), 3.0)
            if longer >= 0.9:
                break
            self.counts["rejected"] += 1
            dt, cut = dt * longer, False
        self.proposal = max(dt * longer, self.proposal if cut else 0.0)
        return self._accept(twice, dt)

    def _accept(self, state: State, dt: float) -> float:
        self.masses, self.seen = both(lambda p: state[0][p] / state[0][p].sum()), state[1]
        self.counts["steps"] += 1
        self.last = dt
        return dt

    def _watch(self, peclet: float) -> None:
        self.peclet = max(self.peclet, peclet)
        if peclet > PECLET and not self._warned:
            self._warned = True
            warn(
                f"beta |dU| reaches {peclet:.3g} over a face near time {self.time:g}; beyond {PECLET:g} the cells are "
                f"too wide for the drift: use about {peclet:.2g} times as many cells per axis"
            )

    # -- reading, saving ------------------------------------------------------------------------

    def measures(self) -> tuple[Density, Density]:
        """Both players' densities on their meshes."""
        return both(lambda p: Density(self.masses[p], self.meshes[p]))

    def diagnostics(self) -> dict[str, float]:
        """Steps taken and rejected, the last step, the smallest mass, the largest beta |dU| over a face."""
        smallest = min(float(m.min()) for m in self.masses)
        return {
            **self.counts,
            "step": self.last,
            "smallest_mass": smallest,
            "largest_peclet": self.peclet,
        }

    def state(self) -> dict[str, Any]:
        """Masses, averaged moments, steps and counters: enough to go on to the same bits."""
        arrays = {
            f"{key}_{'xy'[p]}": getattr(self, key)[p].copy()
            for key in ("masses", "seen")
            for p in (0, 1)
        }
        numbers = {key: getattr(self, key) for key in ("time", "proposal", "last", "peclet")}
        return {**numbers, **arrays, **self.counts, "warned": self._warned}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state of an engine with the same game, flow and meshes."""
        for key in ("masses", "seen"):
            found = both(lambda p, k=key: np.array(state[f"{k}_{'xy'[p]}"], dtype=np.float64))  # type: ignore[misc]
            if any(a.shape != b.shape for a, b in zip(found, getattr(self, key), strict=True)):
                raise ValueError(
                    f"state's {key} have other shapes than this engine's: other game or cells?"
                )
            setattr(self, key, found)
        for key in ("time", "proposal", "last", "peclet"):
            setattr(self, key, float(state[key]))
        self.counts = {key: int(state[key]) for key in self.counts}
        self._warned = bool(state["warned"])


def react(m: Array, volumes: Array, U: Array, rates: Rates, dt: float) -> Array:
    """The reaction with log mu over dt against frozen costs, exactly; masses (N,) with sum one."""
    if rates.alpha == 0:
        return m
    T = rates.temperature
    kept = math.exp(-rates.alpha * T * dt)
    with np.errstate(divide="ignore"):
        log = kept * np.log(m / volumes) - (
            U * (-math.expm1(-rates.alpha * T * dt) / T) if T > 0 else U * (rates.alpha * dt)
        )
    new = volumes * np.exp(log - log.max())
    return np.asarray(new / new.sum())


def respond(m: Array, U: Array, rates: Rates, mesh: Mesh, dt: float) -> Array:
    """Relaxation to the Gibbs measure of frozen costs over dt, exactly."""
    if rates.response == 0:
        return m
    kept = math.exp(-rates.response * dt)
    return kept * m + (1 - kept) * gibbs_masses(U / rates.temperature, mesh)


def _check(flow: Flow) -> None:
    for name, player in zip("xy", flow.players, strict=True):
        if player.temperature == 0 and player.gamma > 0:
            raise ValueError(
                f"splitting needs a temperature where it transports; it is 0 for {name}: give beta, set gamma to 0, "
                'or leave memory and schedules out (engine="characteristics")'
            )
        if player.temperature == 0 and player.response > 0:
            raise ValueError(
                f"splitting responds by Gibbs measures, and the temperature of {name} is 0: give beta, or use "
                'BestResponse alone (engine="best-response")'
            )
