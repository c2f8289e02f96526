"""The flows: every dynamics of the paper is one equation with three numbers a player.

With U the player's cost (V_x for the minimiser x, -V_y for the maximiser y),

    d_t mu = gamma [ div(mu grad U) + (1/beta) Lap mu ] - alpha mu (U + (1/beta) log mu - mean)

where `mean` is the average of the bracket under mu: transport gamma, reaction alpha, temperature
1/beta. Equation (7) is gamma = 1, alpha = 0; (8) is 1/beta = 0; (6) is both. A fourth number, the
response rho, adds rho (delta_best - mu) for flows that jump to the best response.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from meanfield.checks import real

Number = float | tuple[float, float]


@dataclass(frozen=True)
class Rates:
    """One player's numbers: transport gamma, reaction alpha, temperature 1/beta."""

    gamma: float
    alpha: float
    temperature: float
    response: float = 0.0


@dataclass(frozen=True)
class Flow:
    """A flow by its numbers, each one number or a pair (for x, for y).

    Raises ValueError for negative or non-finite numbers, and when nothing moves.
    """

    gamma: Any = 1.0
    alpha: Any = 0.0
    temperature: Any = 0.0
    response: Any = 0.0
    name: str = "flow"

    def __post_init__(self) -> None:
        for key in ("gamma", "alpha", "temperature", "response"):
            object.__setattr__(self, key, _pair(key, getattr(self, key)))
        for player in self.players:
            if player.gamma == player.alpha == player.response == 0:
                raise ValueError("gamma, alpha and response are all zero for a player, who would never move")

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


def _pair(name: str, value: Any) -> tuple[float, float]:
    values = value if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{name} must be one number or two (for x, for y), got {value!r}")
    return real(name, values[0], 0.0), real(name, values[1], 0.0)


def Wasserstein(gamma: Number = 1.0) -> Flow:
    """Gradient descent-ascent of positions, equations (3) and (6) (IWGF)."""
    return Flow(gamma=gamma, name="Wasserstein")


def Langevin(beta: Number, gamma: Number = 1.0) -> Flow:
    """Entropy-regularised descent-ascent at inverse temperature beta: (4), (7), Algorithm 1."""
    b = beta if isinstance(beta, (tuple, list)) else (beta, beta)
    temperature = tuple(1 / real("beta", v, 0.0, strict=True) for v in b)
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
