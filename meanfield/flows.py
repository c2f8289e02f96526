"""The flows: every dynamics of the paper is one equation with three numbers a player.

With U the player's cost (V_x for the minimiser x, -V_y for the maximiser y),

    d_t mu = gamma [ div(mu grad U) + (1/beta) Lap mu ] - alpha mu (U + (1/beta) log mu - mean)

where `mean` is the average of the bracket under mu: transport gamma, reaction alpha, temperature
1/beta. Equation (7) is gamma = 1, alpha = 0; (8) is 1/beta = 0; (6) is both. A fourth number, the
response rho, adds rho (G - mu), G proportional to exp(-beta U) the best response, at temperature zero
the point of least cost.

Three descriptions change any such flow: `memory` lets U be that of the opponent's measures averaged over
the past, `cooling` multiplies the temperature and `speed` all rates by a function of time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from meanfield.checks import real

Number = float | tuple[float, float]


# Nodes and weights of Gauss and Legendre's rule with four points on [0, 1].
_GAUSS = tuple(
    (0.5 + side * node / 2, weight / 2)
    for node, weight in (
        (0.3399810435848563, 0.6521451548625461),
        (0.8611363115940526, 0.3478548451374538),
    )
    for side in (-1, 1)
)


@dataclass(frozen=True)
class Memory:
    """How past opponents count at time t: with weights s^power, or exp(-rate (t - s)). Give one of the two.

    power: the average is (power + 1) / t^(power + 1) int_0^t s^power mu_s ds (Kim et al. 2024).
    rate: exp(-rate t) mu_0 + rate int_0^t exp(-rate (t - s)) mu_s ds (Lu & Monmarche 2025).
    Costs are linear in the opponent, so that the averaged gradient is that of the average opponent.

    Raises ValueError unless exactly one is given, power at least 0 or rate above 0.
    """

    power: float | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        if (self.power is None) == (self.rate is None):
            raise ValueError(
                "memory needs either power, for weights s^power, or rate, for exp(-rate (t - s))"
            )
        if self.power is not None:
            object.__setattr__(self, "power", real("power", self.power, 0.0))
        else:
            object.__setattr__(self, "rate", real("rate", self.rate, 0.0, strict=True))

    def share(self, begin: float, end: float) -> float:
        """What [begin, end] counts in the average at its end; the rest is the average at its beginning."""
        if self.rate is not None:
            return -math.expm1(-self.rate * (end - begin))
        return -math.expm1((self.power + 1) * math.log(begin / end)) if begin > 0 else 1.0  # type: ignore[operator]

    def centre(self, begin: float, end: float) -> float:
        """The mean time in [begin, end] under these weights, as a fraction of the way."""
        ages = [(u, g * self._weight(begin + u * (end - begin), end)) for u, g in _GAUSS]
        return sum(u * w for u, w in ages) / sum(w for _, w in ages)

    def _weight(self, s: float, t: float) -> float:
        return math.exp(-self.rate * (t - s)) if self.rate is not None else (s / t) ** self.power  # type: ignore[operator,no-any-return]


@dataclass(frozen=True)
class Schedule:
    """A number that falls from 1 with time: no faster than a logarithm, as a power, or exponentially.

    "log": 1 / log(e + t / scale); "poly": (1 + t / scale)^-power; "exp": exp(-t / scale); never below `floor`.
    Raises ValueError for other kinds, scale <= 0, power < 0 and floors outside [0, 1].
    """

    kind: str
    scale: float = 1.0
    power: float = 1.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("log", "poly", "exp"):
            raise ValueError(f'kind must be "log", "poly" or "exp", got {self.kind!r}')
        object.__setattr__(self, "scale", real("scale", self.scale, 0.0, strict=True))
        object.__setattr__(self, "power", real("power", self.power, 0.0))
        object.__setattr__(self, "floor", real("floor", self.floor, 0.0))
        if self.floor > 1:
            raise ValueError(f"floor must be at most 1, where schedules begin, got {self.floor:g}")

    def __call__(self, t: float) -> float:
        if not t >= 0:
            raise ValueError(f"t must be at least 0, where schedules begin, got {t!r}")
        u = t / self.scale
        if self.kind == "log":
            value = 1 / math.log(math.e + u)
        else:
            value = (1 + u) ** -self.power if self.kind == "poly" else math.exp(-u)
        return max(value, self.floor)


@dataclass(frozen=True)
class Rates:
    """One player's numbers: transport gamma, reaction alpha, temperature 1/beta."""

    gamma: float
    alpha: float
    temperature: float
    response: float = 0.0


@dataclass(frozen=True)
class Flow:
    """A flow by its numbers, each one number or a pair (for x, for y), and what changes with time.

    memory: how past opponents count, None for the present one alone. cooling: the temperature at time t is
    temperature * cooling(t). speed: gamma, alpha and response at time t are those given times speed(t);
    for particles that is a step of length step * speed(t).

    Raises ValueError for negative or non-finite numbers, and when nothing moves.
    """

    gamma: Any = 1.0
    alpha: Any = 0.0
    temperature: Any = 0.0
    response: Any = 0.0
    name: str = "flow"
    memory: Memory | None = None
    cooling: Schedule | None = None
    speed: Schedule | None = None

    def __post_init__(self) -> None:
        for key in ("gamma", "alpha", "temperature", "response"):
            object.__setattr__(self, key, pair(key, getattr(self, key)))
        for player in self.players:
            if player.gamma == player.alpha == player.response == 0:
                raise ValueError(
                    "gamma, alpha and response are all zero for a player, who would never move"
                )
        for key, kind in (("memory", Memory), ("cooling", Schedule), ("speed", Schedule)):
            value = getattr(self, key)
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"{key} must be a meanfield {kind.__name__}, got {value!r}")
        if self.cooling is not None and max(self.temperature) == 0:
            raise ValueError(
                "cooling multiplies the temperature, which is zero for both players; give one to cool"
            )

    def __repr__(self) -> str:
        shown = []
        for key in ("gamma", "alpha", "temperature", "response"):
            a, b = getattr(self, key)
            if a or b:
                shown.append(f"{key}={a!r}" if a == b else f"{key}=({a!r}, {b!r})")
        shown += [
            f"{k}={getattr(self, k)!r}"
            for k in ("memory", "cooling", "speed")
            if getattr(self, k) is not None
        ]
        return f"{self.name}({', '.join(shown)})"

    @property
    def x(self) -> Rates:
        return self.players[0]

    @property
    def y(self) -> Rates:
        return self.players[1]

    @property
    def players(self) -> tuple[Rates, Rates]:
        """The minimiser's numbers and the maximiser's."""
        return (
            Rates(self.gamma[0], self.alpha[0], self.temperature[0], self.response[0]),
            Rates(self.gamma[1], self.alpha[1], self.temperature[1], self.response[1]),
        )

    def at(self, t: float) -> tuple[Rates, Rates]:
        """The two players' numbers at time t."""
        heat = 1.0 if self.cooling is None else self.cooling(t)
        pace = 1.0 if self.speed is None else self.speed(t)
        x, y = (
            Rates(pace * p.gamma, pace * p.alpha, heat * p.temperature, pace * p.response)
            for p in self.players
        )
        return x, y

    @property
    def scheduled(self) -> bool:
        """Whether its numbers change with time."""
        return self.cooling is not None or self.speed is not None

    @property
    def softens(self) -> bool:
        """Whether a player answers by Gibbs measures."""
        return any(p.response > 0 and p.temperature > 0 for p in self.players)

    @property
    def composite(self) -> bool:
        """Whether it is more than one of the paper's flows or best response alone: what asks for splitting."""
        both = any(p.temperature > 0 and p.alpha > 0 for p in self.players)
        mixed = self.responds and (self.transports or self.reacts)
        return self.memory is not None or self.scheduled or self.softens or both or mixed

    @property
    def transports(self) -> bool:
        return max(self.gamma) > 0

    @property
    def reacts(self) -> bool:
        return max(self.alpha) > 0

    @property
    def responds(self) -> bool:
        return max(self.response) > 0

    @property
    def diffuses(self) -> bool:
        return any(p.gamma > 0 and p.temperature > 0 for p in self.players)


def pair(name: str, value: Any, strict: bool = False) -> tuple[float, float]:
    """One number or two (for x, for y), at least zero (above it when `strict`), as two floats."""
    values = value if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{name} must be one number or two (for x, for y), got {value!r}")
    return real(name, values[0], 0.0, strict=strict), real(name, values[1], 0.0, strict=strict)


def Wasserstein(gamma: Number = 1.0) -> Flow:
    """Gradient descent-ascent of positions, equations (3) and (6) (IWGF)."""
    return Flow(gamma=gamma, name="Wasserstein")


def Langevin(beta: Number, gamma: Number = 1.0) -> Flow:
    """Entropy-regularised descent-ascent at inverse temperature beta: (4), (7), Algorithm 1."""
    b = pair("beta", beta, strict=True)
    temperature = 1 / b[0], 1 / b[1]
    return Flow(gamma=gamma, temperature=temperature, name="Langevin")


def WassersteinFisherRao(gamma: Number = 1.0, alpha: Number = 1.0) -> Flow:
    """Positions move at rate gamma, weights react at rate alpha: (5), (8), Algorithm 2."""
    return Flow(gamma=gamma, alpha=alpha, name="Wasserstein-Fisher-Rao")


def MirrorDescent(alpha: Number = 1.0) -> Flow:
    """Weights react, positions stay: Algorithm 2 and (8) with gamma = 0."""
    return Flow(gamma=0.0, alpha=alpha, name="mirror descent")


def BestResponse(rate: Number = 1.0) -> Flow:
    """mu jumps to the best response at the given rate: d_t mu = rate (delta_best - mu).

    The continuous-time fictitious play of Brown (1951); along it the Nikaido-Isoda error of a
    bilinear L decays as exp(-rate t) (Hofbauer & Sorin 2006).
    """
    return Flow(gamma=0.0, response=rate, name="best response")


def EntropicBestResponse(beta: Number, rate: Number = 1.0) -> Flow:
    """mu moves to the Gibbs measure of the current potential: d_t mu = rate (G - mu), G ~ exp(-beta U).

    Lascu, Majka & Szpruch (arXiv:2306.03033): with one rate for both players NI_beta decays at least as
    exp(-rate t), and (9) is reached exponentially fast.
    """
    return replace(Langevin(beta), gamma=(0.0, 0.0), response=rate, name="entropic best response")


def TwoTimeScale(beta: Number, ratio: float) -> Flow:
    """(7) with y moving `ratio` times as fast as x, any ratio > 0.

    Ma & Ying (2022) at ratios 0 and infinity; Lu (ICML 2023): exponential convergence to (9) once the
    ratio is far enough from one on either side.
    """
    return replace(
        Langevin(beta, (1.0, real("ratio", ratio, 0.0, strict=True))), name="two time scales"
    )


def AveragedLangevin(beta: Number, power: float = 0.0, gamma: Number = 1.0) -> Flow:
    """(7) along gradients averaged over the past with weights s^power.

    Kim, Yamamoto, Oko, Yang & Suzuki (ICLR 2024), MFL-AG: the laws averaged with the same weights
    converge to (9), at a power of t. Near (9) distances fall like t^-(power + 1), but from
    t = (power + 1) kappa^2/gap on only (see DiscountedLangevin), and grow before.
    """
    return replace(Langevin(beta, gamma), memory=Memory(power=power), name="averaged Langevin")


def DiscountedLangevin(beta: Number, rate: float, gamma: Number = 1.0) -> Flow:
    """(7) along gradients averaged over the past with weights exp(-rate (t - s)).

    Lu & Monmarche (arXiv:2505.07642): for a rate that is small enough the law itself converges to (9),
    exponentially fast in total variation. Small is below about gap/kappa^2, gap that of the player's own relaxation
    and +- i kappa the eigenvalues of the map opponent -> Gibbs response -> opponent: 5e-8 on the oscillator at
    beta = 25.
    """
    return replace(Langevin(beta, gamma), memory=Memory(rate=rate), name="discounted Langevin")


def EntropicWassersteinFisherRao(beta: Number, gamma: Number = 1.0, alpha: Number = 1.0) -> Flow:
    """The Wasserstein-Fisher-Rao flow of L_beta: transport, diffusion and reaction with log mu at once.

    d_t mu = gamma [div(mu grad U) + (1/beta) Lap mu] - alpha mu (U + (1/beta) log mu - mean): the Gibbs
    measures (9) are stationary for every gamma and alpha. Densities only: particles have no log-density.
    """
    warm = Langevin(beta).temperature
    return Flow(gamma=gamma, alpha=alpha, temperature=warm, name="entropic Wasserstein-Fisher-Rao")


def Annealed(flow: Flow, cooling: Schedule | None = None, speed: Schedule | None = None) -> Flow:
    """`flow` with a temperature that falls as cooling(t) and rates (or particles' steps) that fall as speed(t).

    Lu & Monmarche (arXiv:2505.07642) reach an equilibrium of the game without regularisation by discounted
    gradients and a temperature that falls like 1/log t.
    """
    if not isinstance(flow, Flow):
        raise TypeError(
            f"flow must be a meanfield flow such as Langevin(beta), got {type(flow).__name__}"
        )
    return replace(flow, cooling=cooling, speed=speed, name=f"annealed {flow.name}")
