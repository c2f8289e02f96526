"""The flows: every dynamics of the paper is one equation with three numbers for each player.

With U the player's cost (V_x for the minimiser x, -V_y for the maximiser y),

    d_t mu = gamma [ div(mu grad U) + (1/beta) Lap mu ] - alpha mu (U + (1/beta) log mu - mean)

where `mean` is the average of the bracket under mu: transport gamma, reaction alpha, temperature
1/beta. Equation (7) is gamma = 1, alpha = 0; (8) is 1/beta = 0; (6) is both. A fourth number, the
response rho, adds rho (G - mu), with G proportional to exp(-beta U) the best response, at
temperature zero the point of least cost. A player with rho infinite is G at all times.

Any such flow may have a `memory`, by which U is that of the opponent's measures averaged over the
past, a `cooling`, which multiplies the temperature by a function of time, and a `speed`, which
multiplies all rates by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from meanfield.checks import known_name, one_or_two, real

Number = float | tuple[float, float]

# Nodes and weights of the Gauss-Legendre rule with four points on [0, 1].
_NODES = ((0.3399810435848563, 0.6521451548625461), (0.8611363115940526, 0.3478548451374538))
_GAUSS = tuple((0.5 + side * x / 2, w / 2) for x, w in _NODES for side in (-1, 1))


@dataclass(frozen=True)
class Memory:
    """How past opponents count: with weights s^power, or the less the longer ago they were.

    Costs are linear in the opponent, so that the averaged gradient is that of the average opponent.

    Parameters
    ----------
    power : float
        At least 0: (power + 1) / t^(power + 1) int_0^t s^power mu_s ds (Kim et al. 2024).
    rate : float
        Above 0: exp(-rate t) mu_0 + rate int_0^t exp(-rate (t - s)) mu_s ds (Lu & Monmarche 2025).

    Raises
    ------
    ValueError
        Unless exactly one of the two is given.

    References
    ----------
    Kim et al. (ICLR 2024) and Lu & Monmarché (arXiv:2505.07642), as in `AveragedLangevin` and
    `DiscountedLangevin`.
    """

    power: float | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        if (self.power is None) == (self.rate is None):
            raise ValueError(
                "memory needs either power, for weights s^power, or rate, for exp(-rate (t - s))"
            )
        name = "power" if self.rate is None else "rate"
        value = real(name, getattr(self, name), 0.0, strict=name == "rate")
        object.__setattr__(self, name, value)

    def share(self, begin: float, end: float) -> float:
        """The weight of [begin, end] in the average at its end; the rest is the average before."""
        if self.rate is not None:
            return -math.expm1(-self.rate * (end - begin))
        if begin <= 0:
            return 1.0
        return -math.expm1((self.power + 1) * math.log(begin / end))  # type: ignore[operator]

    def centre(self, begin: float, end: float) -> float:
        """The mean time in [begin, end] under these weights, as a fraction of the way."""
        ages = [(u, g * self._weight(begin + u * (end - begin), end)) for u, g in _GAUSS]
        return sum(u * w for u, w in ages) / sum(w for _, w in ages)

    def _weight(self, s: float, t: float) -> float:
        if self.rate is not None:
            return math.exp(-self.rate * (t - s))
        return (s / t) ** self.power  # type: ignore[operator,no-any-return]


@dataclass(frozen=True)
class Schedule:
    """A number that falls from 1 with time: logarithmically, as a power, or exponentially.

    Parameters
    ----------
    kind : {"log", "poly", "exp"}
        1 / log(e + t / scale), (1 + t / scale)^-power or exp(-t / scale).
    scale, power : float
        scale > 0, power >= 0.
    floor : float
        The least value, in [0, 1].

    Raises
    ------
    ValueError
        For other kinds and numbers.
    """

    kind: str
    scale: float = 1.0
    power: float = 1.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        known_name("kind", self.kind, ("log", "poly", "exp"))
        object.__setattr__(self, "scale", real("scale", self.scale, 0.0, strict=True))
        object.__setattr__(self, "power", real("power", self.power, 0.0))
        object.__setattr__(self, "floor", real("floor", self.floor, 0.0))
        if self.floor > 1:
            raise ValueError(f"floor must be at most 1, where schedules begin, got {self.floor:g}")

    def __call__(self, t: float) -> float:
        """The number at time t >= 0; ValueError for others."""
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
    """One player's numbers: transport gamma, reaction alpha, temperature 1/beta, response rho."""

    gamma: float
    alpha: float
    temperature: float
    response: float = 0.0


RATES = ("gamma", "alpha", "temperature", "response")


@dataclass(frozen=True)
class Flow:
    """A flow by its numbers, each one number or a pair (for x, for y), and what changes with time.

    Parameters
    ----------
    gamma, alpha, temperature, response : float or pair
        Transport, reaction, 1/beta and response; a response of infinity is for one player with a
        temperature, who then neither transports nor reacts.
    name : str
    memory : Memory, optional
        How past opponents count; by default the present one alone does.
    cooling : Schedule, optional
        The temperature at time t is temperature * cooling(t).
    speed : Schedule, optional
        gamma, alpha and response at time t are those given times speed(t); for particles that is a
        step of length step * speed(t).

    Raises
    ------
    ValueError
        For negative or non-finite numbers, and when a player would not move.
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
        for key in RATES:
            object.__setattr__(self, key, pair(key, getattr(self, key), limit=key == "response"))
        if min(self.response) == math.inf:
            raise ValueError("response is infinite for both players, who would wait for each other")
        for player in self.players:
            at_once = player.response == math.inf
            if at_once and (player.gamma > 0 or player.alpha > 0 or player.temperature == 0):
                raise ValueError(
                    "a player with response infinite is its Gibbs measure at all times: give a "
                    "temperature, and gamma and alpha zero"
                )
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
                "cooling multiplies the temperature, which is zero for both players; give one to "
                "cool"
            )

    def __repr__(self) -> str:
        shown = []
        for key in RATES:
            a, b = getattr(self, key)
            if a or b:
                shown.append(f"{key}={a!r}" if a == b else f"{key}=({a!r}, {b!r})")
        changes = {key: getattr(self, key) for key in ("memory", "cooling", "speed")}
        shown += [f"{key}={value!r}" for key, value in changes.items() if value is not None]
        return f"{self.name}({', '.join(shown)})"

    @property
    def x(self) -> Rates:
        """The minimiser's numbers."""
        return self.players[0]

    @property
    def y(self) -> Rates:
        """The maximiser's numbers."""
        return self.players[1]

    @cached_property
    def players(self) -> tuple[Rates, Rates]:
        """The minimiser's numbers and the maximiser's."""
        return self._scaled(1.0, 1.0)

    def at(self, t: float) -> tuple[Rates, Rates]:
        """The two players' numbers at time t."""
        pace = 1.0 if self.speed is None else self.speed(t)
        return self._scaled(pace, 1.0 if self.cooling is None else self.cooling(t))

    def _scaled(self, pace: float, heat: float) -> tuple[Rates, Rates]:
        numbers = zip(self.gamma, self.alpha, self.temperature, self.response, strict=True)
        x, y = (Rates(pace * g, pace * a, heat * t, pace * r) for g, a, t, r in numbers)
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
    def entropic(self) -> bool:
        """Whether a player's weights react to its own log-density."""
        return any(p.temperature > 0 and p.alpha > 0 for p in self.players)

    @property
    def composite(self) -> bool:
        """Whether it is more than one of the paper's flows, or than best response alone."""
        mixed = self.responds and (self.transports or self.reacts)
        return self.memory is not None or self.scheduled or self.softens or self.entropic or mixed

    @property
    def transports(self) -> bool:
        """Whether a player's points move."""
        return max(self.gamma) > 0

    @property
    def reacts(self) -> bool:
        """Whether a player's weights react."""
        return max(self.alpha) > 0

    @property
    def responds(self) -> bool:
        """Whether a player moves to best responses."""
        return max(self.response) > 0

    @property
    def quasistatic(self) -> bool:
        """Whether a player is at its best response at all times."""
        return max(self.response) == math.inf

    @property
    def diffuses(self) -> bool:
        """Whether a player's points diffuse."""
        return any(p.gamma > 0 and p.temperature > 0 for p in self.players)


def pair(name: str, value: Any, strict: bool = False, limit: bool = False) -> tuple[float, float]:
    """One number or two (for x, for y), at least zero (above it when `strict`), as two floats;
    infinite ones where that is a limit that makes sense.
    """

    def checked(v: Any) -> float:
        unlimited = limit and isinstance(v, float) and v == math.inf
        return v if unlimited else real(name, v, 0.0, strict=strict)

    return one_or_two(name, value, checked)
