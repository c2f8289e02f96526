"""Primal-dual steps: Gibbs measures against past opponents, by inner Langevin loops.

The steps of `meanfield.flows.primal_dual` from uniform laws give Gibbs measures of potentials that
are sums over all past opponents,

    log nu = -beta_y U_y(mbar),    mbar <- (1 - s_y) mbar + s_y (m + theta (m - m')),
    log mu = -beta_x U_x(nbar),    nbar <- (1 - s_x) nbar + s_x n,

with m and n the players' moments (low-rank games), m' those of x a step before. Particles come near
to each by `inner` steps of its Langevin flow, from where they are,

    y <- R(y - dt grad U_y(mbar) + sqrt(2 T_y dt) xi),

dt the step of the run: tau = alpha_x dt and sigma = alpha_y dt are chosen by the alphas.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import warn
from meanfield.flows import Rates
from meanfield.flows.primal_dual import Lengths, in_words, interaction, lengths, longest
from meanfield.particles.algorithms import remember
from meanfield.particles.looks.pairs import Averaged
from meanfield.particles.looks.protocol import aim, deviation, push, see
from meanfield.particles.players import State
from meanfield.particles.state import flat
from meanfield.particles.stepper import Stepper
from meanfield.trajectory import Trajectory

MOST = 256  # particles of a player between which losses are looked at


def primal_dual(one: Averaged, two: Averaged, s: State, t: State, inner: int, k: int, by: Lengths,
                before: Any) -> Any:  # fmt: skip
    """Step k, in place; `before`: x's moments before the last step. Returns those before this one.

    `mean` of a look: the player's own moments as the opponent's potential averages them.
    """
    (s_x, s_y), theta = by
    m = one.moments(s)
    one.mean = remember(one.mean, m + theta * (m - before), s_y)
    langevin(two, one, t, inner, k)
    two.mean = remember(two.mean, two.moments(t), s_x)
    langevin(one, two, s, inner, k)
    return m


def langevin(look: Averaged, opponent: Averaged, s: State, inner: int, k: int) -> None:
    """`inner` steps of one player, the opponent's average standing."""
    for tick in range(k * inner, (k + 1) * inner):
        see(look, s)
        aim(look, opponent)
        push(look, s, s, 1.0, deviation(look), tick)


class PrimalDual(Stepper):
    """Particles that take primal-dual steps; `averages` are of both players' moments."""

    def speed(self, rates: Rates) -> float:
        return 1.0

    def begin(self) -> list[State]:
        """Stand at the start; warn of steps that are longer than stated."""
        if not (self.start and self.start.uniform):
            raise ValueError(
                'scheme "primal-dual" knows the log-density of uniform starts alone: leave start '
                'out, or use densities, solve(..., engine="primal-dual")'
            )
        placed = super().begin()
        rows = zip(placed, self.plan.particles, strict=True)
        points = (flat(s.x, n)[:MOST] for s, n in rows)
        L, dt = interaction(self.game.moving_loss(*points)), self.plan.step
        good = longest(self.flow, L, self.plan.extrapolation)
        if dt > good * (1 + 1e-9):
            warn(
                f"step = {dt:g} is longer than the longest for which primal-dual steps are known "
                f"to converge, {in_words(good)}; shorten it, or lower alpha"
            )
        return placed

    def stand(self, states: list[State]) -> None:
        super().stand(states)
        inside = [
            me._replace(transport=self.plan.step, reaction=0.0, variance=2.0 * T * self.plan.step)
            for me, T in zip(self.players, self.flow.temperature, strict=True)
        ]
        self.inner_looks = self._each(Averaged, self.game, (inside[0], inside[1]))
        for look, s in zip(self.inner_looks, states, strict=True):
            # A sum over past opponents, of which there are none.
            look.mean = np.zeros_like(look.moments(s))
        self.before = self.inner_looks[0].moments(states[0])

    def step(self, k: int) -> None:
        by = lengths(self.flow, self.plan.step, self.plan.extrapolation)
        given = *self.inner_looks, *self.states, self.plan.inner, k, by, self.before
        self.before = primal_dual(*given)

    def state(self) -> dict[str, Any]:
        means = tuple(look.mean.copy() for look in self.inner_looks)
        return {**super().state(), "averaged_moments": means, "earlier_moments": self.before.copy()}

    def restore(self, old: Trajectory) -> None:
        super().restore(old)
        for look, held in zip(self.inner_looks, old.state["averaged_moments"], strict=True):
            look.mean = np.asarray(held, dtype=np.float64)
        self.before = np.asarray(old.state["earlier_moments"], dtype=np.float64)
