"""Equation (7) in time by CF4, for any generator in space.

Over a step dt the fourth-order commutator-free exponential integrator (Blanes and Moan 2006;
Thalhammer 2006) takes

    m(t + dt) = exp(dt/2 [c- A(t1) + c+ A(t2)]) exp(dt/2 [c+ A(t1) + c- A(t2)]) m(t),

c+- = 1/2 +- 1/sqrt 3, A the generator at the costs U of the Gauss points t1 < t2. It is the
coefficients of A that are combined: A is nonlinear in U, and A of combined costs has order 2 only.

Costs at t1 and t2 come from the opponent's moments there. These are extrapolated, by Hermite's
cubic through values and time derivatives at both ends of the last step. A first step begins with
the tangent and is corrected twice by the cubic through its own two ends.

Rates of jumps stay nonnegative in a combination while those at t1 and t2 differ by less than the
factor 7 + 4 sqrt 3 = 13.9. A step that sees more is halved, and so is one whose extrapolated costs
leave the range of the loss.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from meanfield.checks import Array
from meanfield.density.coupling import Pair, both
from meanfield.density.engine import Controlled
from meanfield.density.generator import Generator
from meanfield.density.on_meshes import OnMeshes
from meanfield.games.base import Game
from meanfield.jit import kernel, smaller
from meanfield.meshes import Mesh

GAUSS = (0.5 - 3**0.5 / 6, 0.5 + 3**0.5 / 6)
STAGES = np.array([*GAUSS, 1.0])
# A step longer than this many of the last one starts afresh rather than extrapolate so far.
LONGEST = 8.0
PROBES = 128  # points of the opponent that costs are looked up against


@dataclass(frozen=True)
class Knot:
    """One time: each player's moments and their time derivatives, the columns of `tables` (K, 2),
    and dm/dt (N,).
    """

    tables: Pair
    flows: Pair
    peclet: float


@dataclass(frozen=True)
class Trial:
    """One step's outcome: masses, the knot there, and the local error estimated.

    missed: by how much dm/dt differs at the end from what extrapolated moments gave, times dt.
    lost: the relative mass error taken out.
    """

    masses: Pair
    knot: Knot
    error: float
    missed: float
    lost: float


class CommutatorFree(OnMeshes, Controlled):
    """Masses of both players under (7) by CF4 in time, with the generators of `rates` in space.

    The error estimate is the larger of two numbers: what the moments' extrapolation missed at the
    end of the step, which is of order dt^5 like the error itself; and e^(5/3), where e = dt^2
    sqrt(3)/12 |[A(t2), A(t1)] m| is the distance to the second-order result of the averaged
    generator.
    """

    order = 4
    saved: tuple[str, ...] = ("masses", "now", "before", "watched")

    def start(self, meshes: tuple[Mesh, Mesh], rates: Callable[[int], Generator]) -> None:
        """Begin from the masses of the laws on these meshes, with the generators rates(p)."""
        self.probes = both(lambda p: probe(self.game, meshes, p))
        self.rates = both(rates)
        self.set_up(meshes, both(lambda p: self.rates[p].needs_faces))
        self.masses = both(lambda p: self.masses[p] / self.masses[p].sum())
        self.counts["halved"] = 0
        self.watched = {"largest_peclet": 0.0, "mass_correction": 0.0, "estimated_error": 0.0}
        knot = self._knot(self.masses)
        # Moments and their time derivatives now, and at the beginning of the last step.
        self.now = self.before = knot.tables
        self._watch_cells(knot.peclet)

    def _watch_cells(self, peclet: float) -> None:
        self.watched["largest_peclet"] = max(self.watched["largest_peclet"], peclet)
        self.check_cells(peclet)

    @abstractmethod
    def check_cells(self, peclet: float) -> None:
        """Warn where cells do not carry the state; `peclet` is the largest beta |dU| of now."""

    def _knot(self, masses: Pair) -> Knot:
        side_by_side = self.coupling.side_by_side
        moments = side_by_side(lambda p: self.coupling.moments(p, masses[p]))

        def of(p: int) -> tuple[Array, Array, float]:
            nodes, faces = self.coupling.costs(p, moments[1 - p][:, None])
            flow, peclet = self.rates[p].flow(nodes, faces, masses[p])
            table = np.empty((len(moments[p]), 2))
            table[:, 0], table[:, 1] = moments[p], self.coupling.moments(p, flow)
            return table, flow, peclet

        one, two = side_by_side(of)
        return Knot((one[0], two[0]), (one[1], two[1]), max(one[2], two[2]))

    def _sweep(self, curve: Pair, dt: float) -> Trial | None:
        """CF4 for both players with the moments `curve` (K, 3) at the Gauss points and at the end.

        None when dt is too long for nonnegative rates or for costs within the loss's range. The
        trial's `error` is e^(5/3); the caller compares it with what was `missed`.
        """
        one, two = self.coupling.side_by_side(lambda p: self._pushed(p, curve[1 - p], dt))
        if one is None or two is None:
            return None
        masses = one[0], two[0]
        knot = self._knot(masses)
        missed = max(gap(p[1], flow) for p, flow in zip((one, two), knot.flows, strict=True))
        embedded = dt**2 * 3**0.5 / 12 * max(one[2], two[2])
        return Trial(masses, knot, embedded ** (5 / 3), dt * missed, max(one[3], two[3]))

    def _pushed(self, p: int, curve: Array, dt: float) -> tuple[Array, Array, float, float] | None:
        """One player's masses after dt, dm/dt there, the bracket of the two generators, and the
        relative mass error taken out.
        """
        rates = self.rates[p]
        nodes, faces = self.coupling.costs(p, curve)
        if not within(nodes[:2], self.probes[p].low, self.probes[p].high):
            return None
        A, _ = rates(nodes, faces)
        early, late, lowest = gauss_mixed(A, dt)
        if not lowest >= rates.lowest:
            return None
        half, first = rates.exponential(early, self.masses[p])
        m, second = rates.exponential(late, half)
        end, bracket = rates.judge(A, m)
        return m, end, bracket, first + second

    def attempt(self, dt: float) -> Trial | None:
        """One step of length dt from here, or None when it must be shorter."""
        if dt > LONGEST * self.last:
            return self._begin(dt)
        curve = hermite(self.before, self.now, self.last, 1 + STAGES * (dt / self.last))
        trial = self._sweep(curve, dt)
        if trial is None:
            return None
        return replace(trial, error=max(trial.error, share(self.last / dt) * trial.missed))

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
        """Make masses and moments of the trial the present ones, and add up what is watched."""
        self.before, self.now, self.masses = self.now, trial.knot.tables, trial.masses
        self.watched["estimated_error"] += float(trial.error)
        self.watched["mass_correction"] = max(self.watched["mass_correction"], trial.lost)
        self._watch_cells(trial.knot.peclet)

    def first(self, left: float) -> float:
        """tol^(1/4) of the time in which the opponent's motion changes the costs by one kT."""
        change = 0.0
        for p in (0, 1):
            with np.errstate(over="ignore", invalid="ignore"):  # then no step is short enough
                nodes, _ = self.coupling.costs(p, self.now[1 - p][:, 1:])
                width = float(np.ptp(nodes)) * self.rates[p].beta
            change = max(change, width if width < np.inf else np.inf)
        return left if change == 0 else min(left, self.tol**0.25 / change)

    def diagnostics(self) -> dict[str, float]:
        """Steps taken, rejected and halved, the last step, the smallest mass, the largest beta |dU|
        from node to node, the largest relative mass error taken out of a step, and the sum of the
        estimated local errors.
        """
        smallest = self.smallest_mass()
        return {**self.counts, **self.watched, "step": self.last, "smallest_mass": smallest}


class Probe(NamedTuple):
    """The range of one player's costs, 5% wider than found."""

    low: float
    high: float


def probe(game: Game, meshes: tuple[Mesh, Mesh], p: int) -> Probe:
    """Looks up player p's costs at all nodes of its mesh.

    Costs are averages over the opponent's points, so that what bounds them against every point
    bounds them against every measure. Up to 128 points, spread over the opponent's mesh, stand for
    all.
    """
    nodes = meshes[1 - p].nodes
    # Multiples of the golden section spread over any numbering of the nodes.
    spread = np.unique((np.arange(PROBES) * 0.6180339887498949 % 1 * len(nodes)).astype(np.int64))
    against = nodes[spread]
    features = game.moment_matrix(1 - p, against)
    matrix = game.cost_matrix(p, meshes[p].nodes, against)
    values = matrix if features is None else matrix @ features
    low, high = float(values.min()), float(values.max())
    slack = 0.05 * (high - low) + 1e-9 * (1 + max(abs(low), abs(high)))
    return Probe(low - slack, high + slack)


def share(ratio: float) -> float:
    """What moments extrapolated by Hermite's cubic miss at the Gauss points, in the mean, of what
    they miss at the end of the step.

    The remainder is u^2 (u + r)^2 d4M/24, r = `ratio` the last step over this one.
    """
    return sum((u + ratio) ** 2 * u**2 for u in GAUSS) / 2 / (1 + ratio) ** 2


def hermite(a: Pair, b: Pair, h: float, u: Array) -> Pair:
    """Both players' moments (K, S) at fractions u (S,) of the way h between the tables a and b."""
    return both(lambda p: cubic(a[p], b[p], h, u))


@kernel(counted=True)
def cubic(a: Array, b: Array, h: float, u: Array) -> Array:
    """Hermite's cubic (K, S) at fractions u (S,) of the way h from a to b, which hold values and
    slopes (K, 2).
    """
    moments = np.empty((len(a), len(u)))
    for s in range(len(u)):
        v, w = u[s], 1.0 - u[s]
        at_a, slope_a = (1 + 2 * v) * w * w, h * v * w * w
        at_b, slope_b = v * v * (3 - 2 * v), -h * v * v * w
        for k in range(len(a)):
            moments[k, s] = a[k, 0] * at_a + a[k, 1] * slope_a + b[k, 0] * at_b + b[k, 1] * slope_b
    return moments


@kernel(counted=True)
def gauss_mixed(A: Array, dt: float) -> tuple[Array, Array, float]:
    """CF4's two sets of coefficients (2, F), times the duration, from those at the Gauss points.

    dt/2 [(1/2 + 1/sqrt 3) k(t1) + (1/2 - 1/sqrt 3) k(t2)], and its mirror image; and the lowest
    entry of both.
    """
    near, far = 0.5 * dt * (0.5 + 1 / np.sqrt(3.0)), 0.5 * dt * (0.5 - 1 / np.sqrt(3.0))
    early, late = np.empty(A.shape[1:]), np.empty(A.shape[1:])
    lowest = np.inf
    for side in range(2):
        for f in range(A.shape[2]):
            k1, k2 = A[0, side, f], A[1, side, f]
            early[side, f] = near * k1 + far * k2
            late[side, f] = far * k1 + near * k2
            lowest = smaller(lowest, smaller(early[side, f], late[side, f]))
    return early, late, lowest


@kernel
def gap(a: Array, b: Array) -> float:
    """|a - b| in L1."""
    total = 0.0
    for i in range(len(a)):
        total += abs(a[i] - b[i])
    return total


@kernel
def within(values: Array, low: float, high: float) -> bool:
    """Whether all entries lie in [low, high]; NaN does not."""
    good = True
    for s in range(values.shape[0]):
        for i in range(values.shape[1]):
            good = good and low <= values[s, i] <= high
    return good
