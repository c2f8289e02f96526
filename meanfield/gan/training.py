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
from math import isfinite, sqrt
from typing import Any

import numpy as np

from meanfield.checks import Array, known_name, real, truth, whole
from meanfield.density.equation import react
from meanfield.flows import Flow, Rates
from meanfield.gan.game import batch_of, between, check_fit, noise_of, payoffs, penalties
from meanfield.gan.mixture import Mixture
from meanfield.gan.needs import torch
from meanfield.gan.particles import Particles, check_unshared, new_networks, seed_of
from meanfield.gan.recipes import LARGEST, GanGame

# By the name of a rule: whether a trial step comes first, and whether the direction is Adam's.
RULES = {
    "extra-adam": (True, True), "adam": (False, True),
    "extragradient": (True, False), "gradient": (False, False),
}  # fmt: skip
ORDERS = ("simultaneous", "alternating")
THREADS = 256  # with some ten thousand PyTorch crashes


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

    def __post_init__(self) -> None:
        """TypeError or ValueError for what cannot be."""
        least = {"warm_up": 0, "seed": 0}
        for name in ("generators", "critics", "batch", "fakes", "threads", *least):
            self._take(name, whole(name, getattr(self, name), least.get(name, 1)))
        self._take("step", real("step", self.step, 0.0, strict=True))
        for name, known in (("rule", tuple(RULES)), ("order", ORDERS)):
            known_name(name, getattr(self, name), known)
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise ValueError(f"betas must be two numbers such as (0.5, 0.9), got {self.betas!r}")
        self._take("betas", tuple(_below_one("betas", b) for b in self.betas))
        self._take("average", _below_one("average", self.average))
        self._take("compile", truth("compile", self.compile))
        if self.threads > THREADS:
            raise ValueError(f"threads must be at most {THREADS}, got {self.threads}")
        try:
            torch.zeros(1, device=self.device).item()
        except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
            said = str(error).splitlines()[0]
            raise ValueError(
                f'device {self.device!r} is not to be had here ({said}); leave it at "cpu"'
            ) from None

    def _take(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


def _below_one(name: str, value: Any) -> float:
    number = real(name, value, 0.0)
    if number >= 1:
        raise ValueError(f"{name} must be below 1, got {number:g}")
    return number


def check(game: GanGame, flow: Flow, s: Settings) -> None:
    """TypeError or ValueError for a flow that networks cannot follow, and for what does not go
    together.
    """
    if not isinstance(game, GanGame):
        raise TypeError(f"game must be a meanfield.gan.GanGame, got {type(game).__name__}")
    if not isinstance(flow, Flow):
        raise TypeError(
            "flow must be a meanfield flow such as WassersteinFisherRao(gamma, alpha), got "
            f"{type(flow).__name__}"
        )
    if flow.memory is not None:
        raise ValueError(f"networks cannot follow {flow}: no memory of past opponents is kept")
    if flow.responds:
        raise ValueError(f"networks cannot follow {flow}: their best responses are not known")
    if any(p.temperature > 0 and p.alpha > 0 for p in flow.players):
        raise ValueError(
            f"networks cannot follow {flow}: particles have no log-density to react to"
        )
    if flow.diffuses and RULES[s.rule][1]:
        raise ValueError(
            f"{flow} has noise, which Adam's rescaled steps would make another temperature of; use "
            'rule="gradient" or "extragradient"'
        )
    for p in flow.players:
        noise = sqrt(2 * p.gamma) * sqrt(s.step) * sqrt(p.temperature)
        if max(p.gamma * s.step, noise) > LARGEST or not isfinite(p.alpha * s.step):
            raise ValueError(
                f"step {s.step:g} is too large for {flow}: gamma * step and alpha * step are "
                "learning rates; take one near 0.001"
            )
    if s.compile and game.penalty is not None:
        raise ValueError(
            "compile does not go with a gradient penalty, which needs second derivatives that "
            "PyTorch cannot compile; leave one of the two"
        )


class Training:
    """The state of a run and its step."""

    def __init__(self, game: GanGame, flow: Flow, settings: Settings) -> None:
        self.game, self.flow, self.s, self.done = game, flow, settings, 0
        s = settings
        self.x = Particles(new_networks(game.generator, s.generators, s.seed, 0), s.device)
        self.y = Particles(new_networks(game.critic, s.critics, s.seed, 1), s.device)
        check_unshared(*self.x.networks, *self.y.networks)
        check_fit(game, self.x.networks[0], self.y.networks[0], s.fakes, s.device)
        for player, rates in zip((self.x, self.y), flow.players, strict=True):
            player.learn(rates.gamma > 0)
            if s.average:
                player.average(s.average)
        if game.clip is not None and flow.y.gamma == 0:  # no step will bring them in
            self.y.at.clamp_(-game.clip, game.clip)
        self.payoffs = torch.compile(payoffs) if s.compile else payoffs
        self.sums, self.summed = np.zeros((s.generators, s.critics)), 0  # of l since the last save

    def advance(self) -> None:
        """One step, whose random numbers depend on the seed and the step's number alone."""
        rng = np.random.default_rng((self.s.seed, 2, self.done))
        torch.manual_seed(seed_of(self.s.seed, 3, self.done))  # for what modules draw themselves
        x, y = self.flow.at(self.done * self.s.step)
        one, two = (self.x, x, -1.0), (self.y, y, 1.0)
        turns = [[one, two]] if self.s.order == "simultaneous" else [[two], [one]]
        for turn in turns:
            losses = self._move(turn, rng)
        self.require_finite("a loss is", bool(np.isfinite(losses).all()))
        if self.done >= self.s.warm_up:
            w, v = self.x.weights, self.y.weights
            self.x.log_weights = react(self.x.log_weights, losses @ v, x.alpha * self.s.step)
            self.y.log_weights = react(self.y.log_weights, -(w @ losses), y.alpha * self.s.step)
        for player in (self.x, self.y):
            self.require_finite("a parameter, a moment or a weight is", player.finite())
            if self.s.average:
                player.average(self.s.average)
        self.sums += losses
        self.summed += 1
        self.done += 1

    def require_finite(self, what: str, finite: bool) -> None:
        """FloatingPointError where something is not finite."""
        if not finite:
            raise FloatingPointError(
                f"{what} not finite in step {self.done + 1}: networks have diverged; take a "
                "smaller step, or hold critics by clip or penalty"
            )

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
            self._shift(player, rates, sign, rng)
        return losses

    def _shift(self, player: Particles, rates: Rates, sign: float, rng: Any = None) -> None:
        """A step along the slopes, up for critics, with noise where rng is given; then the clip."""
        adam = RULES[self.s.rule][1]
        direction = player.adam(self.s.betas) if adam else player.slope
        player.at.add_(direction, alpha=sign * rates.gamma * self.s.step)
        if rng is not None and rates.temperature > 0:
            deviation = sqrt(2 * rates.gamma * self.s.step * rates.temperature)
            drawn = rng.standard_normal(tuple(player.at.shape), dtype=np.float32)
            player.at.add_(torch.from_numpy(drawn).to(player.at.device), alpha=deviation)
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
                self.x.slope.zero_()
                self.y.slope.zero_()
                total.backward()
                self.x.slope.div_(w[:, None])
                self.y.slope.div_(v[:, None])
        return np.asarray(losses.detach().cpu().numpy(), dtype=np.float64)

    def mixture(self, player: Particles) -> Mixture:
        """A player's networks now."""
        return Mixture(self.game, player.networks, player.weights)

    def state(self) -> dict[str, Any]:
        """Copies of all that `restore` needs to go on to the same bits, as plain arrays."""
        self.require_finite("a buffer is", self.x.finite(True) and self.y.finite(True))
        players = {"x": self.x.state(), "y": self.y.state()}
        return {"step": self.done, **players, "sums": self.sums.copy(), "summed": self.summed}

    def restore(self, state: dict[str, Any]) -> None:
        """Go to a stored state."""
        for name, player in (("x", self.x), ("y", self.y)):
            player.restore(state[name])
        self.done, self.summed = int(state["step"]), int(state["summed"])
        self.sums = np.array(state["sums"])
