"""Equation (7) by finite volumes on any mesh: masses jump between cells (rates.py), CF4 in time.

Over a step dt the fourth-order commutator-free exponential integrator (Blanes and Moan 2006;
Thalhammer 2006) takes

    m(t + dt) = exp(dt/2 [c- A(t1) + c+ A(t2)]) exp(dt/2 [c+ A(t1) + c- A(t2)]) m(t),

c+- = 1/2 +- 1/sqrt 3, A the generator at the costs U of the Gauss points t1 < t2. It is the rates
that are combined: A is nonlinear in U, and A of combined costs falls to order 2. Costs at t1, t2 come
from the opponent's moments, by the cubic Hermite polynomial through the last two steps' values and
time derivatives, extrapolated; a first step begins with the tangent and is corrected three times by
the polynomial through its own two ends.

Each exponential acts by uniformisation, so masses stay nonnegative and sum to one at any step. A
combined rate c+ k(t1) + c- k(t2) is nonnegative while the two differ by less than the factor
7 + 4 sqrt 3 = 13.9; a step that sees more, or whose extrapolated costs leave the range of the loss, is
halved.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from meanfield.checks import Array, NotConverged, UnderResolved, real
from meanfield.density.coupling import Coupling
from meanfield.density.rates import PECLET, WEIGHTS, FaceRates, commutator, generate, mixed
from meanfield.density.uniformisation import Exponential
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.measures import Density
from meanfield.meshes import Mesh, mesh
from meanfield.start import Law

GAUSS = np.array([0.5 - np.sqrt(3) / 6, 0.5 + np.sqrt(3) / 6])
LONGEST = 8.0  # a step longer than this many of the last one starts afresh rather than extrapolate so far
HALVINGS = 40
Cells = int | tuple[int, ...] | Mesh | None
Pair = tuple[Array, Array]


@dataclass(frozen=True)
class Knot:
    """Both players' moments and their time derivatives at one time."""

    moments: Pair
    slopes: Pair


@dataclass(frozen=True)
class Trial:
    """The outcome of one step: new masses, the knot there, and the local error it is thought to have made."""

    masses: Pair
    knot: Knot
    error: float
    lost: float
    peclet: float


class FiniteVolumes:
    """The mean field of (7) in cell masses on two meshes.

    game: any game; flow: alpha = 0 and temperature > 0 for both players; laws: the two starting laws.
    cells: per player a number of cells per axis, one for each axis, or a Mesh. step: a fixed step, None
    for steps controlled so that the estimated L1 error committed per unit of time stays below `tol`.
    weights: "sg", "face", "sqrt" (see rates.py) or "auto": once for the run and for each player, "face"
    where beta |U_j - U_i| stays below 2 over every face against any measure of the opponent, else "sg".

    The error estimate is the larger of what the moments' extrapolation missed at the end of the step,
    which is of order dt^5 like the error itself, and e^(5/3), e = dt^2 sqrt(3)/12 |[A(t2), A(t1)] m|
    the distance to the embedded exponential of the averaged generator, which is of second order.
    """

    name = "finite volumes"

    def __init__(
        self,
        game: Game,
        flow: Flow,
        laws: tuple[Law, Law],
        cells: tuple[Cells, Cells] = (None, None),
        step: float | None = None,
        tol: float = 1e-6,
        weights: str = "auto",
    ) -> None:
        _check_flow(flow)
        if weights not in (*WEIGHTS, "auto"):
            raise ValueError(f'weights must be "auto", "sg", "face" or "sqrt", got {weights!r}')
        self.game, self.flow = game, flow
        self.step = None if step is None else real("step", step, 0.0, strict=True)
        self.tol = real("tol", tol, 0.0, strict=True)
        self.meshes = tuple(_mesh(c, m) for c, m in zip(cells, game.manifolds, strict=True))
        self.weights = self._weights(weights)
        self.rates = tuple(FaceRates(m, r, w) for m, r, w in zip(self.meshes, flow.players, self.weights, strict=True))
        self.coupling = Coupling(game, self.meshes, tuple(r.needs_faces for r in self.rates))
        self.exponentials = tuple(Exponential(m) for m in self.meshes)
        self._ranges = tuple(self.coupling.range(p) for p in (0, 1))
        self._reset(tuple(law.on(m).masses for law, m in zip(laws, self.meshes, strict=True)))

    def _weights(self, asked: str) -> tuple[str, str]:
        if asked != "auto":
            return asked, asked
        coupling = Coupling(self.game, self.meshes, (False, False))
        steepest = [coupling.steepest(p) / self.flow.players[p].temperature for p in (0, 1)]
        return tuple("face" if s < PECLET else "sg" for s in steepest)  # type: ignore[return-value]

    def _reset(self, masses: Pair) -> None:
        self.time = 0.0
        self.masses = tuple(m / m.sum() for m in masses)
        self.before: Knot | None = None
        self.last = 0.0
        self.proposal = 0.0
        self.counts = {"steps": 0, "rejected": 0, "halved": 0}
        self.seen = {"largest_peclet": 0.0, "mass_correction": 0.0, "estimated_error": 0.0}
        self._warned = False
        self.knot, _, peclet = self._knot(self.masses)
        self._watch(peclet)

    # -- one step -------------------------------------------------------------------------------

    def _knot(self, masses: Pair) -> tuple[Knot, list[Array], float]:
        """Moments and slopes at the given masses, with dm/dt of both players and the cell Peclet number."""
        moments = tuple(self.coupling.moments(p, masses[p]) for p in (0, 1))
        flows, slopes, largest = [], [], 0.0
        for p in (0, 1):
            nodes, faces = self.coupling.costs(p, moments[1 - p][:, None])
            r = self.rates[p]
            forward, backward, peclet = r(nodes[0], faces[0])
            flows.append(generate(forward, backward, r.first, r.second, masses[p]))
            slopes.append(self.coupling.moments(p, flows[p]))
            largest = max(largest, peclet)
        return Knot(moments, tuple(slopes)), flows, largest

    def _sweep(self, curve: Pair, dt: float) -> tuple[Pair, float, float] | None:
        """CF4 for both players with the moments `curve` (K, 2) at the Gauss points; None when dt is too long.

        Returns the new masses, the embedded second-order distance and the mass error taken out.
        """
        new, embedded, lost = [], 0.0, 0.0
        for p in (0, 1):
            nodes, faces = self.coupling.costs(p, curve[1 - p])
            low, high = self._ranges[p]
            if not (nodes.min() >= low and nodes.max() <= high):
                return None
            r = self.rates[p]
            f1, b1, _ = r(nodes[0], faces[0])
            f2, b2, _ = r(nodes[1], faces[1])
            early, late, least = mixed(f1, b1, f2, b2, dt)
            if not least >= 0.0:
                return None
            half, e1 = self.exponentials[p](early[0], early[1], self.masses[p])
            m, e2 = self.exponentials[p](late[0], late[1], half)
            new.append(m)
            embedded = max(embedded, dt**2 * np.sqrt(3) / 12 * commutator(f1, b1, f2, b2, r.first, r.second, m))
            lost = max(lost, e1 + e2)
        return (new[0], new[1]), embedded, lost

    def _attempt(self, dt: float) -> Trial | None:
        """One step of length dt from here, or None when it must be shorter."""
        begins = self.before is None or dt > LONGEST * self.last
        u = (1 + GAUSS * dt / self.last) if not begins else GAUSS
        if begins:
            curve = tuple(self.knot.moments[p][:, None] + dt * GAUSS * self.knot.slopes[p][:, None] for p in (0, 1))
        else:
            curve = hermite(self.before, self.knot, self.last, u)
        swept = self._sweep(curve, dt)
        for _ in range(3 if begins else 0):
            if swept is None:
                return None
            guess, _, _ = self._knot(swept[0])
            curve = hermite(self.knot, guess, dt, GAUSS)
            swept = self._sweep(curve, dt)
        if swept is None:
            return None
        masses, embedded, lost = swept
        knot, flows, peclet = self._knot(masses)
        missed = self._missed(guess if begins else None, masses, flows, dt)
        return Trial(masses, knot, max(missed, embedded ** (5 / 3)), lost, peclet)

    def _missed(self, guess: Knot | None, masses: Pair, flows: list[Array], dt: float) -> float:
        """What wrong moments cost: dt |A(costs as extrapolated) m - A(costs as found) m| at the end of the step.

        The extrapolation's error at the Gauss points is the given share of that at the end (its
        remainder is u^2 (u + r)^2 m''''/24, r the last step over this one).
        """
        if guess is None:
            ratio = self.last / dt
            share = float(np.mean((GAUSS + ratio) ** 2 * GAUSS**2)) / (1 + ratio) ** 2
            ends = tuple(v[:, 0] for v in hermite(self.before, self.knot, self.last, np.array([1 + dt / self.last])))
        else:
            share, ends = 1.0, guess.moments
        worst = 0.0
        for p in (0, 1):
            nodes, faces = self.coupling.costs(p, ends[1 - p][:, None])
            r = self.rates[p]
            forward, backward, _ = r(nodes[0], faces[0])
            other = generate(forward, backward, r.first, r.second, masses[p])
            worst = max(worst, float(np.abs(other - flows[p]).sum()))
        return share * dt * worst

    # -- many steps -----------------------------------------------------------------------------

    def advance(self, until: float) -> None:
        """Move to `until` exactly, in steps of at most the given or controlled length."""
        until = real("until", until, self.time)
        while self.time < until:
            left = until - self.time
            wanted = self.step or self.proposal or self._first(left)
            whole = max(1.0, np.ceil(left / wanted * (1 - 1e-9)))
            dt = left / whole
            taken = self._take(dt)
            self.time = until if taken == dt and whole == 1 else self.time + taken

    def _take(self, dt: float) -> float:
        """One accepted step of length dt or less; returns its length."""
        full = dt
        for _ in range(HALVINGS):
            trial = self._attempt(dt)
            if trial is None:
                self.counts["halved"] += 1
                dt /= 2
                continue
            if self.step is None:
                rate = trial.error / (dt * self.tol)
                factor = min(max(0.9 * max(rate, 1e-8) ** -0.25, 0.2), 3.0)
                if rate > 1:
                    self.counts["rejected"] += 1
                    dt *= factor
                    continue
                self.proposal = max(dt * factor, self.proposal if dt < 0.9 * self.proposal and dt == full else 0.0)
            self._accept(trial, dt)
            return dt
        raise NotConverged(
            f"the step fell to {dt:.2e} at time {self.time:g} and is still too long; the game's loss may not be "
            "smooth on this mesh: use more cells, weights='sg' or a larger tol"
        )

    def _accept(self, trial: Trial, dt: float) -> None:
        self.before, self.knot, self.last = self.knot, trial.knot, dt
        self.masses = trial.masses
        self.counts["steps"] += 1
        self.seen["estimated_error"] += trial.error
        self.seen["mass_correction"] = max(self.seen["mass_correction"], trial.lost)
        self._watch(trial.peclet)

    def _first(self, left: float) -> float:
        """A careful first step: tol^(1/4) of the time in which the opponent's motion changes the costs by one kT."""
        change = 0.0
        for p in (0, 1):
            nodes, _ = self.coupling.costs(p, self.knot.slopes[1 - p][:, None])
            change = max(change, float(np.ptp(nodes)) * self.rates[p].beta)
        return left if change == 0 else min(left, self.tol**0.25 / change)

    def _watch(self, peclet: float) -> None:
        self.seen["largest_peclet"] = max(self.seen["largest_peclet"], peclet)
        if peclet > PECLET and not self._warned:
            self._warned = True
            warnings.warn(
                f"beta |dU| reaches {peclet:.3g} over a face at time {self.time:g}; beyond {PECLET:g} cells are too wide "
                "for the drift and the scheme's accuracy falls to first order (the Gibbs state, mass and sign stay "
                f"exact): use about {peclet:.2g} times as many cells per axis",
                UnderResolved,
                stacklevel=3,
            )

    # -- reading, saving ------------------------------------------------------------------------

    def measures(self) -> tuple[Density, Density]:
        """Both players' densities on their meshes."""
        x, y = (Density(m, onto) for m, onto in zip(self.masses, self.meshes, strict=True))
        return x, y

    def diagnostics(self) -> dict[str, float]:
        """Steps taken, rejected and halved, last step, smallest mass, largest cell Peclet number over faces,
        largest relative mass error that was taken out of a step, sum of the estimated local errors."""
        smallest = min(float(m.min()) for m in self.masses)
        return {**self.counts, **self.seen, "step": self.last, "smallest_mass": smallest}

    def state(self) -> dict[str, Any]:
        """Masses, the last two knots, the last step and the next, counters: enough to go on to the same bits."""
        knots = {"now": self.knot, "before": self.before}
        saved: dict[str, Any] = {"time": self.time, "last": self.last, "proposal": self.proposal}
        saved |= {"masses_x": self.masses[0].copy(), "masses_y": self.masses[1].copy(), "warned": self._warned}
        for name, knot in knots.items():
            if knot is not None:
                for key in ("moments", "slopes"):
                    pair = getattr(knot, key)
                    saved |= {f"{name}_{key}_x": pair[0].copy(), f"{name}_{key}_y": pair[1].copy()}
        return {**saved, **self.counts, **self.seen}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state of an engine with the same game, flow, meshes and weights."""
        self.masses = tuple(_like(state, f"masses_{s}", m) for s, m in zip("xy", self.masses, strict=True))
        knots = {}
        for name in ("now", "before"):
            held = f"{name}_moments_x" in state
            knots[name] = self._restored(state, name) if held else None
        self.knot, self.before = knots["now"], knots["before"]
        self.time, self.last, self.proposal = (float(state[k]) for k in ("time", "last", "proposal"))
        self.counts = {key: int(state[key]) for key in self.counts}
        self.seen = {key: float(state[key]) for key in self.seen}
        self._warned = bool(state["warned"])

    def _restored(self, state: Mapping[str, Any], name: str) -> Knot:
        moments, slopes = (
            tuple(_like(state, f"{name}_{key}_{s}", m) for s, m in zip("xy", self.knot.moments, strict=True))
            for key in ("moments", "slopes")
        )
        return Knot(moments, slopes)


def hermite(a: Knot | None, b: Knot, h: float, u: Array) -> Pair:
    """Both players' moments (K, S) on the cubic through knots a and b, h apart, at fractions u (S,) of the way."""
    assert a is not None
    values = np.stack([(1 + 2 * u) * (1 - u) ** 2, u**2 * (3 - 2 * u)])
    slopes = h * np.stack([u * (1 - u) ** 2, u**2 * (u - 1)])
    x, y = (
        np.stack([a.moments[p], b.moments[p]], 1) @ values + np.stack([a.slopes[p], b.slopes[p]], 1) @ slopes
        for p in (0, 1)
    )
    return x, y


def _mesh(cells: Cells, manifold: Any) -> Mesh:
    if not isinstance(cells, Mesh):
        return mesh(manifold, cells)
    if cells.manifold != manifold:
        raise ValueError(f"cells: the mesh is of {cells.manifold}, but this player moves on {manifold}")
    return cells


def _like(state: Mapping[str, Any], key: str, like: Array) -> Array:
    found = np.array(state[key], dtype=np.float64)
    if found.shape != like.shape:
        raise ValueError(
            f"state[{key!r}] has shape {found.shape}, this engine holds {like.shape}: other game or cells?"
        )
    return found


def _check_flow(flow: Flow) -> None:
    for name, player in zip("xy", flow.players, strict=True):
        if player.alpha > 0:
            raise ValueError(
                f"finite volumes solve (7), without reaction; alpha is {player.alpha:g} for {name}: use the "
                '"characteristics" engine'
            )
        if player.temperature == 0:
            raise ValueError(
                f"finite volumes need a temperature above zero; it is 0 for {name}: use Langevin(beta), or the "
                '"characteristics" engine for flows without temperature'
            )
