"""`copies`: particles that a given mean field drives, one by one.

The copies of n interacting particles have their starts and their noise, but move in the costs of a
mean field:

    dX_i = -gamma grad U[mu_t](X_i) dt + sqrt(2 gamma T) dB_i,
    d log W_i = -alpha (U[mu_t](X_i) - mean under mu_t) dt.

Where mu_t solves the mean-field equation of the same game, flow and start they are i.i.d. of law
mu_t, up to the time step's bias (the McKean-Vlasov process), and E |x_i - X_i|^2 = O(1/n) is the
propagation of chaos (Sznitman, "Topics in propagation of chaos", 1991), which Theorem 3 rests on.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from meanfield.checks import Array, allow_underflow
from meanfield.flows import Flow
from meanfield.games.base import SIGNS, Game
from meanfield.measures import Measure
from meanfield.particles.crews import Crew
from meanfield.particles.looks.driven import Driven
from meanfield.particles.looks.pairs import Pairs
from meanfield.particles.looks.plain import Plain
from meanfield.particles.motion import Players
from meanfield.particles.plan import (
    Plan,
    make_plan,
)
from meanfield.particles.players import Player, State
from meanfield.particles.schemes import beyond_paper, check_flow, check_scheme
from meanfield.particles.simulate import about
from meanfield.particles.stepper import Stepper
from meanfield.run import Run, Watch
from meanfield.start import Start
from meanfield.trajectory import Trajectory


class Drive:
    """A mean field made ready to drive many runs: the costs of its saved states.

    Parameters
    ----------
    game : Game
    field : Trajectory

    Raises
    ------
    TypeError
        For what is no trajectory.
    ValueError
        For one on other manifolds than the game's.
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
        if game.bases is not None:
            C: Any = game.coefficients  # type: ignore[attr-defined]
            for p, mus in enumerate((field.y, field.x)):
                moments: Any = game.moments  # type: ignore[attr-defined]
                seen = (moments(1 - p, mu.points, mu.masses) for mu in mus)
                self.coefficients.append(np.array([C(p, z) for z in seen]))

    @cached_property
    def means(self) -> list[Array]:
        """Of U_p under mu_p at every saved state: only flows with weights look at them."""
        values = np.array([self.game.value(*pair) for pair in self.field])
        return [sign * values for sign in SIGNS]

    def rows(self, plan: Plan) -> Any:
        """Which saved states the steps of a run see: at t_k in Euler's step, at t_k + dt/2 in
        Strang's, (steps,).
        """
        wanted = (np.arange(plan.steps) + (0.5 if plan.second_order else 0.0)) * plan.step
        near = 1e-9 * plan.step * plan.steps
        found = np.minimum(np.searchsorted(self.times, wanted - near), len(self.times) - 1)
        off = np.abs(self.times[found] - wanted) > near
        if off.any():
            gap = plan.step / 2 if plan.second_order else plan.step
            raise ValueError(
                f"step={plan.step:.10g} with scheme {plan.scheme!r} needs the field at "
                f"t={wanted[off][0]:.10g}, which "
                f"it did not save; solve it with save_every={gap:.10g} up to "
                f"t={plan.steps * plan.step:.10g}"
            )
        return found

    def costs(self, p: int, points: Array, row: int) -> tuple[Array, Array]:
        """U_p (n,) and its gradient (n, a) at points, against one saved state."""
        opponent: Measure = self.field[row][1 - p]
        if hasattr(game := self.game, "forces"):
            return game.forces(p, points, opponent.points, opponent.masses)
        return game.cost(p, points, opponent), game.gradient(p, points, opponent)


@allow_underflow
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
    """The copies of simulate(game, flow, start, time, ...) with its numbers, driven by `field`.

    Particle i of this run and of that one have the same start and the same noise.

    Parameters
    ----------
    field : Trajectory or Drive
        A trajectory saved (at least) at the times at which the scheme asks for costs: t_k = k dt
        for "euler", t_k + dt/2 for "strang", for both of its stages, which keeps the second order.
        Any trajectory on the game's manifolds will do; the copies are of law mu_t when it is the
        mean field of this game, flow and start. For many replicas hand in `Drive(game, field)`,
        which reads its states once.

    Returns
    -------
    Trajectory
        Flows with reaction record "mass" (S, 2): the weights of a saved measure times n times its
        mass are the W_i, i.i.d. with E W_i f(X_i) = int f dmu_t.

    Raises
    ------
    ValueError
        For fields that miss a time, for flows with memory, schedules or responses and for
        "mirror-prox", whose mean field's steps are others, and what `simulate` raises.
    """
    check_flow(game, flow, scheme)
    plan = make_plan(
        time=time, step=step, particles=particles, seed=seed, scheme=scheme, save_every=save_every,
        replica=replica,
        refine=refine, placement=placement,
    )  # fmt: skip
    if beyond_paper(flow, scheme):
        raise ValueError(
            f'copies follow the paper\'s flows with "euler" or "strang" steps, not {flow} '
            f"with {scheme!r}"
        )
    check_scheme(game, flow, scheme)
    drive = field if isinstance(field, Drive) else Drive(game, field)
    if drive.game is not game:
        raise ValueError(
            f"field was made ready for {drive.game!r}; make it ready for the game given here"
        )
    if not isinstance(start, Start):
        raise TypeError(f"start must be a meanfield.Start, got {type(start).__name__}")
    stepper = _Copies(game, flow, plan, start, drive)
    run = Run(game, flow, stepper, about(stepper))
    run.follow(plan.saves(0.0), Watch(progress=False), None)
    return run.trajectory()


class _Copies(Stepper):
    """Both players of one replica, each by itself in the field's costs."""

    level = "copies"

    def __init__(self, game: Game, flow: Flow, plan: Plan, start: Start, drive: Drive) -> None:
        super().__init__(game, flow, plan, start)
        self.drive, self.rows = drive, drive.rows(plan)
        self.growth = [
            np.zeros(1),
            np.zeros(1),
        ]  # of log W summed over particles, in the steps of a look
        self.grown = np.zeros(2)  # over the run: logarithms of the total masses of W / n

    shows = False

    def take(self, steps: int, showing: bool = False) -> None:
        # A loop in Python adds up its growth step by step.
        for taken in [steps] if self.compiled else [1] * steps:
            super().take(taken)
            for p, growth in enumerate(self.growth):
                self.grown[p] += growth[0]
                growth[:] = 0.0

    def crew(self, players: Players, first: int, steps: int, threads: int) -> list[Crew]:
        return self.driven(self.hired("", threads), first, self.rows[first : first + steps])

    def driven(self, crews: list[Crew], first: int, rows: Any) -> list[Crew]:
        """Crews driven by the field's costs in its saved states `rows`, one a step."""
        one, two = (self._look(look.me, look, first, rows) for look in crews[0].looks)
        found = [crews[0]._replace(looks=(one, two))]
        for crew in crews[1:]:  # which see the same growth
            pairs = zip(found[0].looks, crew.looks, strict=True)
            a, b = (
                driven._replace(me=own.me, own=self._own(own), growth=np.zeros(1))
                for driven, own in pairs
            )
            found.append(crew._replace(looks=(a, b)))
        return found

    def _own(self, look: Any) -> Any:
        """A hired look without its means, which nobody asks a driven one for."""
        return look._replace(parts=look.parts[:, :, :0]) if self.fused else look

    def looks(self, players: Players, first: int, steps: int) -> tuple[Any, Any]:
        one, two = (self._look(me, None, first, self.rows[first : first + steps]) for me in players)
        return one, two

    def _look(self, me: Player, own: Any, first: int, rows: Any) -> Any:
        p = me.number
        s, n, drive = self.states[p], self.plan.particles[p], self.drive
        means = drive.means[p][rows] if me.reaction > 0 else np.zeros(len(rows))
        if not self.compiled:
            kind = DrivenPairs if self.known_manifolds() else DrivenPlain
            return kind(drive, me, s, n, rows, means, first, self.growth[p])
        C = np.ascontiguousarray(self.frame.coefficients(p, drive.coefficients[p][rows]))
        return Driven(me, self._own(own), C, means, first, self.growth[p])

    def forces(self) -> list[tuple[Array, Array]]:
        if not len(self.rows):
            return super().forces()
        row = self.rows[[min(self.done, len(self.rows) - 1)]]
        if self.compiled:
            return self.shown(self.driven(self.hired(), 0, row))
        one, two = (self._look(me, None, 0, row) for me in self.players)
        return self.shown((one, two))

    def value(self, mu: Measure, nu: Measure) -> float:
        self.surveyed(super().forces())  # against one another, not against the field
        return super().value(mu, nu)

    def diagnostics(self) -> dict[str, Any]:
        mass = {"mass": np.exp(self.grown)} if self.flow.reacts else {}
        return {**super().diagnostics(), **mass}


class DrivenPairs(Pairs):
    """`Driven` for games that hand their forces in: those against the saved measures of a field."""

    def __init__(
        self, drive: Drive, me: Player, s: State, n: int, rows: Any, means: Array, first: int,
        growth: Array,
    ) -> None:  # fmt: skip
        super().__init__(drive.game, me, s, n)
        self.drive, self.rows, self.means = drive, rows, means
        self.first, self.growth = first, growth

    def aim(self, opponent: Any) -> None:
        """The costs of a step are given: see `push`."""

    def push(self, at: State, to: State, part: float, noise: float, k: int) -> float:
        j = k - self.first
        self.found = self.drive.costs(self.me.number, self.points, self.rows[j])
        shift = super().push(at, to, part, noise, k)
        if part == 1.0:
            self.growth[0] += shift + self.me.reaction * self.means[j]
        return shift


class DrivenPlain(DrivenPairs, Plain):
    """The same on manifolds that the compiled primitives do not know."""
