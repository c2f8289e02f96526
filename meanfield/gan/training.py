"""Descent-ascent of the positions and reaction of the weights, one step after another.

With p generators x_i of weights w and q critics y_j of weights v, one step of length dt is

    x_i <- x_i - gamma dt D[ grad_x sum_j v_j l(x_i, y_j) ]
    y_j <- y_j + gamma dt D[ grad_y sum_i w_i l(x_i, y_j) - lambda grad_y P(y_j) ],  |y_j| <= clip
    log w_i <- log w_i - alpha dt sum_j v_j l(x_i, y_j),    then divided by the sum of w
    log v_j <- log v_j + alpha dt sum_i w_i l(x_i, y_j),    then divided by the sum of v

with D the identity or Adam's direction, on a fresh batch: Algorithm 2 with networks as particles.
Extrapolated rules (Gidel et al. 2019) take the step twice from the same place: a trial, and then
along the gradients found at the trial's end, on another batch. Weights react once a step, to the
losses at which positions really move, and never to the penalty P.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.flows import Flow, Rates
from meanfield.gan.game import batch_of, between, noise_of, payoffs, penalties
from meanfield.gan.needs import torch
from meanfield.gan.particles import Particles, new_networks, seed_of
from meanfield.gan.recipes import GanGame

# By the name of a rule: whether a trial step comes first, and whether the direction is Adam's.
RULES = {
    "extra-adam": (True, True), "adam": (False, True),
    "extragradient": (True, False), "gradient": (False, False),
}  # fmt: skip
ORDERS = ("simultaneous", "alternating")


@dataclass(frozen=True)
class Settings:
    """How a mixture is trained; see `meanfield.gan.train`."""

    generators: int
    critics: int
    step: float
    batch: int
    fakes: int
    rule: str
    order: str
    betas: tuple[float, float]
    warm_up: int
    average: float
    seed: int
    compile: bool
    device: str
    threads: int


class Training:
    """The state of a run and its step."""

    def __init__(self, game: GanGame, flow: Flow, settings: Settings) -> None:
        self.game, self.flow, self.s, self.done = game, flow, settings, 0
        s, makers = settings, (game.generator, game.critic)
        made = [
            new_networks(make, n, s.seed, number)
            for number, (make, n) in enumerate(zip(makers, (s.generators, s.critics), strict=True))
        ]
        self.x, self.y = (Particles(networks, s.device) for networks in made)
        for player, rates in zip((self.x, self.y), flow.players, strict=True):
            player.learn(rates.gamma > 0)
            if s.average:
                player.mean = player.at.clone()
        if game.clip is not None and flow.y.gamma == 0:  # no step will bring them in
            self.y.at.clamp_(-game.clip, game.clip)
        self.payoffs = torch.compile(payoffs) if s.compile else payoffs
        self.sums, self.summed = np.zeros((s.generators, s.critics)), 0  # of l since the last save

    def advance(self) -> None:
        """One step, whose random numbers depend on the seed and the step's number alone."""
        rng = np.random.default_rng((self.s.seed, 2, self.done))
        reseed = (
            torch.default_generator.manual_seed if self.s.device == "cpu" else torch.manual_seed
        )
        reseed(seed_of(self.s.seed, 3, self.done))  # for what modules draw themselves
        x, y = self.flow.at(self.done * self.s.step)
        one, two = (self.x, x, -1.0), (self.y, y, 1.0)
        turns = [[one, two]] if self.s.order == "simultaneous" else [[two], [one]]
        for turn in turns:
            losses = self._move(turn, rng)
        if not np.isfinite(losses).all():
            raise FloatingPointError(
                f"the loss is not finite at step {self.done + 1}: networks have diverged; take a "
                "smaller step, or hold critics by clip or penalty"
            )
        if self.done >= self.s.warm_up:
            w, v = self.x.weights, self.y.weights
            self.x.react(losses @ v, x.alpha * self.s.step)
            self.y.react(-(w @ losses), y.alpha * self.s.step)
        for player in (self.x, self.y):
            if player.mean is not None:
                player.mean.lerp_(player.at, 1 - self.s.average)
        self.sums += losses
        self.summed += 1
        self.done += 1

    def _move(self, turn: Sequence[tuple[Particles, Rates, float]], rng: Any) -> Array:
        """Move the players of a turn, and return the losses (p, q) where they really moved."""
        trial, _ = RULES[self.s.rule]
        moving = [one for one in turn if one[1].gamma > 0]
        before = [player.at.clone() for player, _, _ in moving]
        losses = self._slopes(bool(moving), rng)
        if trial and moving:
            for player, rates, sign in moving:
                self._shift(player, rates, sign)
            losses = self._slopes(True, rng)
            for (player, _, _), old in zip(moving, before, strict=True):
                player.at.copy_(old)
        for player, rates, sign in moving:
            self._shift(player, rates, sign)
            if rates.temperature > 0:
                deviation = np.sqrt(2 * rates.gamma * self.s.step * rates.temperature)
                drawn = rng.standard_normal(tuple(player.at.shape), dtype=np.float32)
                noise = torch.from_numpy(drawn).to(player.at.device)
                player.at.add_(noise, alpha=float(deviation))
        return losses

    def _shift(self, player: Particles, rates: Rates, sign: float) -> None:
        """A step along the slopes, up for critics; critics are clipped."""
        adam = RULES[self.s.rule][1]
        direction = player.adam(self.s.betas) if adam else player.slope
        player.at.add_(direction, alpha=sign * rates.gamma * self.s.step)
        if player is self.y and self.game.clip is not None:
            player.at.clamp_(-self.game.clip, self.game.clip)

    def _slopes(self, wanted: bool, rng: Any) -> Array:
        """The losses (p, q) on a fresh batch; where wanted, gradients into the players' slopes.

        One backward pass serves both: L = sum w_i v_j l(x_i, y_j) has the gradient w_i times what
        x_i needs, and v_j times what y_j needs.
        """
        game, s = self.game, self.s
        data = batch_of(game, s.batch, rng, s.device)
        noise = noise_of(game, (s.generators, s.fakes), rng, s.device)
        with torch.set_grad_enabled(wanted):
            losses, fakes = self.payoffs(self.x.networks, self.y.networks, data, noise)
            if wanted:
                w, v = self.x.seen, self.y.seen
                total = w @ losses @ v
                if game.penalty is not None and self.flow.y.gamma > 0:
                    at = between(data, fakes, self.x.weights, rng)
                    total = total - game.penalty * (v @ penalties(self.y.networks, at))
                self.x.forget()
                self.y.forget()
                total.backward()
                for player, weights in ((self.x, w), (self.y, v)):
                    player.slope.div_(weights[:, None])
        return np.asarray(losses.detach().cpu().numpy(), dtype=np.float64)

    def state(self) -> dict[str, Any]:
        """Copies of all that `restore` needs to go on to the same bits, as plain arrays."""
        players = {"x": self.x.state(), "y": self.y.state()}
        return {"step": self.done, **players, "sums": self.sums.copy(), "summed": self.summed}

    def restore(self, state: dict[str, Any]) -> None:
        """Go to a stored state."""
        for name, player in (("x", self.x), ("y", self.y)):
            player.restore(state[name])
        self.done, self.summed = int(state["step"]), int(state["summed"])
        self.sums = np.array(state["sums"])
