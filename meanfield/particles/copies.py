"""`copies`: particles that a given mean field drives, one by one.

The copies of n interacting particles have their starts and their noise, but move in the costs of a mean field:

    dX_i = -gamma grad U[mu_t](X_i) dt + sqrt(2 gamma T) dB_i,   d log W_i = -alpha (U[mu_t](X_i) - mean under mu_t) dt.

Where mu_t solves the mean-field equation of the same game, flow and start they are i.i.d. of law mu_t, up to
the time step's bias (the McKean-Vlasov process), and E |x_i - X_i|^2 = O(1/n) is the propagation of chaos
(Sznitman, "Topics in propagation of chaos", 1991), which Theorem 3 rests on.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.flows import Flow
from meanfield.games.base import SIGNS, Game
from meanfield.games.lowrank import LowRank
from meanfield.jit import kernel
from meanfield.measures import Measure
from meanfield.particles import later, lowrank, pairwise, spheres
from meanfield.particles.state import blocked, flat
from meanfield.particles.primitives import (
    Player,
    Scratch,
    State,
    add_weights,
    copy,
    kick,
    moments,
    scratch,
)
from meanfield.particles.plan import Plan, check_flow, check_memory, make_plan
from meanfield.particles.simulate import _Run
from meanfield.start import Start
from meanfield.trajectory import Trajectory


class Drive:
    """A mean field made ready to drive many runs: the costs of its saved states.

    Raises TypeError for what is no trajectory, ValueError for one on other manifolds than the game's.
    """

    def __init__(self, game: Game, field: Trajectory) -> None:
        if not isinstance(field, Trajectory):
            raise TypeError(f"field must be a meanfield.Trajectory, got {type(field).__name__}")
        for name, mu, manifold in zip("xy", field[0], game.manifolds, strict=True):
            if mu.manifold != manifold:
                raise ValueError(
                    f"field.{name} lives on {mu.manifold}, but the game has {manifold} there"
                )
        self.game, self.field, self.times = game, field, np.asarray(field.times)
        self.coefficients: list[Array] = []  # of U_p in the features of p, (S, K_p); low-rank games
        if isinstance(game, LowRank):
            for p, mus in enumerate((field.y, field.x)):
                self.coefficients.append(
                    np.array(
                        [
                            game.coefficients(p, game.moments(1 - p, mu.points, mu.masses))
                            for mu in mus
                        ]
                    )
                )

    @cached_property
    def means(self) -> list[Array]:
        """Of U_p under mu_p at every saved state: only flows with weights look at them."""
        values = np.array([self.game.value(*pair) for pair in self.field])
        return [sign * values for sign in SIGNS]

    def rows(self, plan: Plan) -> Any:
        """Which saved states the steps of a run see: at t_k in Euler's step, at t_k + dt/2 in Strang's, (steps,)."""
        wanted = (np.arange(plan.steps) + (0.5 if plan.second_order else 0.0)) * plan.step
        near = 1e-9 * plan.step * plan.steps
        found = np.minimum(np.searchsorted(self.times, wanted - near), len(self.times) - 1)
        off = np.abs(self.times[found] - wanted) > near
        if off.any():
            gap = plan.step / 2 if plan.second_order else plan.step
            raise ValueError(
                f"step={plan.step:.10g} with scheme {plan.scheme!r} needs the field at t={wanted[off][0]:.10g}, which "
                f"it did not save; solve it with save_every={gap:.10g} up to t={plan.steps * plan.step:.10g}"
            )
        return found

    def costs(self, p: int, points: Array, row: int) -> tuple[Array, Array]:
        """U_p (n,) and its gradient (n, a) at points, against one saved state."""
        game: Any = self.game
        opponent: Measure = self.field[row][1 - p]
        if hasattr(game, "forces"):
            U, G = game.forces(p, points, opponent.points, opponent.masses)
            return U, G
        return game.cost(p, points, opponent), game.gradient(p, points, opponent)


def copies(
    game: Game,
    flow: Flow,
    start: Start,
    field: Trajectory | Drive,
    time: float,
    step: float = 1e-3,
    particles: int | tuple[int, int] = 1000,
    seed: int = 0,
    scheme: str = "euler",
    save_every: float | None = None,
    replica: int = 0,
    refine: int = 1,
    placement: str = "iid",
) -> Trajectory:
    """The copies of simulate(game, flow, start, time, ...) with the same numbers, driven by `field`.

    field: a trajectory saved (at least) at the times at which the scheme looks at it: t_k = k dt for "euler",
    t_k + dt/2 for "strang", for both of its stages, which keeps the second order. Any trajectory on the game's
    manifolds will do; of law mu_t the copies are when it is the mean field of this game, flow and start. For
    many replicas hand in `Drive(game, field)`, which looks at its states once.

    The numbers are those of `simulate`, and particle i of this run and of that one have the same start and the same
    noise. Flows with reaction record "mass" (S, 2): the weights of a saved measure times n times its mass
    are the W_i, i.i.d. with E W_i f(X_i) = int f dmu_t.

    Raises ValueError for fields that miss a time, for flows with memory, schedules or responses and for
    "mirror-prox", whose mean field's steps are others, and what `simulate` raises.
    """
    check_flow(game, flow, scheme)
    plan = make_plan(
        time=time, step=step, particles=particles, seed=seed, scheme=scheme, save_every=save_every, replica=replica,
        refine=refine, placement=placement,
    )  # fmt: skip
    if later.needed(flow, scheme):
        raise ValueError(
            f'copies follow the paper\'s flows with "euler" or "strang" steps, not {flow} with {scheme!r}'
        )
    drive = field if isinstance(field, Drive) else Drive(game, field)
    if drive.game is not game:
        raise ValueError(
            f"field was made ready for {drive.game!r}; make it ready for the game given here"
        )
    run = _Copies(game, flow, plan, check_memory(game, plan, flow), drive)
    run.begin(start)
    run.follow(None, None, False, None, begun=True)
    return run.trajectory()


class _Copies(_Run):
    """Both players of one replica, each by itself in the field's costs."""

    def __init__(self, game: Game, flow: Flow, plan: Plan, memory: float, drive: Drive) -> None:
        super().__init__(game, flow, plan, memory, None)
        self.drive, self.rows = drive, drive.rows(plan)
        self.grown = [0.0, 0.0]  # logarithms of the total masses of W / n
        if flow.reacts:
            self.records["mass"] = []

    def advance(self, steps: int) -> None:
        rows = self.rows[self.done : self.done + steps]
        for p, (me, s) in enumerate(zip(self.players, self.states, strict=True)):
            r, m = scratch(me, s), lowrank.middle(s)
            means = self.drive.means[p][rows] if me.reaction > 0 else np.zeros(len(rows))
            if self.compiled:
                C = self.frame.coefficients(p, self.drive.coefficients[p][rows])
                if self.fused:
                    own = spheres.side(me, self.players[1 - p])
                    self.grown[p] += spheres.follow(own, s, C, means, self.done)
                else:
                    self.grown[p] += march(self.plan.second_order, me, s, m, r, C, means, self.done)
                continue
            for k, row in enumerate(rows, self.done):
                self.grown[p] += self._step(p, k, row, m, r)
        self.done += steps

    def _step(self, p: int, k: int, row: int, m: State, r: Scratch) -> float:
        """`march` for one step of any game."""
        me, s = self.players[p], self.states[p]
        add_weights(me, s)
        if self.plan.second_order:
            kick(me, s, 2 * k, r)
            copy(s, m)
            pairwise.push(me, s, m, *self._costs(p, s, row), 0.5, 0.0, k, r)
            shift = pairwise.push(me, m, s, *self._costs(p, m, row), 1.0, 0.0, k, r)
            kick(me, s, 2 * k + 1, r)
        else:
            shift = pairwise.push(
                me, s, s, *self._costs(p, s, row), 1.0, math.sqrt(me.variance), k, r
            )
        return float(shift + (me.reaction * self.drive.means[p][row] if me.reaction > 0 else 0.0))

    def _costs(self, p: int, s: State, row: int) -> tuple[Array, Array]:
        """Costs (blocks, lanes) and gradients (blocks, a, lanes) against a saved state."""
        points = flat(self.frame.back(p, s.x), self.plan.particles[p])
        U, G = self.drive.costs(p, points, row)
        return blocked(U[:, None])[:, 0, :].copy(), self.frame.into(p, blocked(G))

    def forces(self) -> pairwise.Forces:
        if not len(self.rows):
            return super().forces()
        row = int(self.rows[min(self.done, len(self.rows) - 1)])
        if not self.compiled:
            return [self._costs(p, s, row) for p, s in enumerate(self.states)]
        found = []
        for p, (me, s) in enumerate(zip(self.players, self.states, strict=True)):
            r, U, G = scratch(me, s), np.empty_like(s.w), np.empty_like(s.x)
            moments(me.sphere, me, s, r)  # for the features that it leaves
            r.c[:] = self.frame.coefficients(p, self.drive.coefficients[p][row])
            lowrank.push(me, s, State(G, U, s.w, s.sums), 0.0, 0.0, 0, r)
            found.append((U, G))
        return found

    def save(self, placed: list[State] | None = None) -> tuple[float, Measure, Measure]:
        if self.flow.reacts:
            self.records["mass"].append(np.exp(self.grown))
        return super().save(placed)

    def trajectory(self) -> Trajectory:
        made = super().trajectory()
        made.provenance["level"] = "copies"
        return made


@kernel
def march(
    second_order: bool,
    me: Player,
    s: State,
    m: State,
    r: Scratch,
    C: Array,
    means: Array,
    first: int,
) -> float:
    """Steps first, first + 1, ... of one player in given costs, in place: coefficients C (steps, K).

    `lowrank.march` for a player alone. means (steps,): of the costs under the player's own mean field. Returns
    how much the logarithm of the total mass has grown.
    """
    grown = 0.0
    for j in range(len(C)):
        k = first + j
        add_weights(me, s)
        if second_order:
            kick(me, s, 2 * k, r)
            copy(s, m)
        for stage in range(2 if second_order else 1):
            at = m if stage == 1 else s
            to = m if second_order and stage == 0 else s
            moments(me.sphere, me, at, r)  # for the features that it leaves
            for i in range(C.shape[1]):
                r.c[i] = C[j, i]
            part = 0.5 if second_order and stage == 0 else 1.0
            shift = lowrank.push(
                me, at, to, part, 0.0 if second_order else math.sqrt(me.variance), k, r
            )
        grown += shift + me.reaction * means[j]
        if second_order:
            kick(me, s, 2 * k + 1, r)
    return grown
