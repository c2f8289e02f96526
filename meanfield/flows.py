"""The flows: every dynamics of the paper is one equation with three numbers for each player.

With U the player's cost (V_x for the minimiser x, -V_y for the maximiser y),

    d_t mu = gamma [ div(mu grad U) + (1/beta) Lap mu ] - alpha mu (U + (1/beta) log mu - mean)

where `mean` is the average of the bracket under mu: transport gamma, reaction alpha, temperature
1/beta. Equation (7) is gamma = 1, alpha = 0; (8) is 1/beta = 0; (6) is both. A fourth number, the
response rho, adds rho (G - mu), with G proportional to exp(-beta U) the best response, at
temperature zero the point of least cost.

Any such flow may have a `memory`, by which U is that of the opponent's measures averaged over the
past, a `cooling`, which multiplies the temperature by a function of time, and a `speed`, which
multiplies all rates by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from meanfield.checks import real

Number = float | tuple[float, float]

# Nodes and weights of the Gauss-Legendre rule with four points on [0, 1].
_NODES = ((0.3399810435848563, 0.6521451548625461), (0.8611363115940526, 0.3478548451374538))
_GAUSS = tuple((0.5 + side * x / 2, w / 2) for x, w in _NODES for side in (-1, 1))


@dataclass(frozen=True)
class Memory:
    """How past opponents count at time t: with weights s^power, or exp(-rate (t - s)).

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
        if self.kind not in ("log", "poly", "exp"):
            raise ValueError(f'kind must be "log", "poly" or "exp", got {self.kind!r}')
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
        Transport, reaction, 1/beta and response.
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

    @property
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
    def composite(self) -> bool:
        """Whether it is more than one of the paper's flows, or than best response alone."""
        both = any(p.temperature > 0 and p.alpha > 0 for p in self.players)
        mixed = self.responds and (self.transports or self.reacts)
        return self.memory is not None or self.scheduled or self.softens or both or mixed

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
    def diffuses(self) -> bool:
        """Whether a player's points diffuse."""
        return any(p.gamma > 0 and p.temperature > 0 for p in self.players)


def pair(name: str, value: Any, strict: bool = False) -> tuple[float, float]:
    """One number or two (for x, for y), at least zero (above it when `strict`), as two floats."""
    values = value if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{name} must be one number or two (for x, for y), got {value!r}")
    return real(name, values[0], 0.0, strict=strict), real(name, values[1], 0.0, strict=strict)


def Wasserstein(gamma: Number = 1.0) -> Flow:
    """Gradient descent-ascent of positions, equations (3) and (6) (IWGF).

    Parameters
    ----------
    gamma : float or pair
        The rate at which positions move, one for both players or (for x, for y).

    Returns
    -------
    Flow
    """
    return Flow(gamma=gamma, name="Wasserstein")


def Langevin(beta: Number, gamma: Number = 1.0) -> Flow:
    """Entropy-regularised descent-ascent at inverse temperature beta: (4), (7), Algorithm 1.

    Parameters
    ----------
    beta : float or pair
        Inverse temperature, one for both players or (for x, for y).
    gamma : float or pair
        The rate at which positions move.

    Returns
    -------
    Flow

    Examples
    --------
    >>> import meanfield as mf
    >>> mf.Langevin(beta=25.0).temperature
    (0.04, 0.04)
    """
    b = pair("beta", beta, strict=True)
    temperature = 1 / b[0], 1 / b[1]
    return Flow(gamma=gamma, temperature=temperature, name="Langevin")


def WassersteinFisherRao(gamma: Number = 1.0, alpha: Number = 1.0) -> Flow:
    """Positions move at rate gamma, weights react at rate alpha: (5), (8), Algorithm 2.

    Parameters
    ----------
    gamma, alpha : float or pair
        One for both players or (for x, for y).

    Returns
    -------
    Flow
    """
    return Flow(gamma=gamma, alpha=alpha, name="Wasserstein-Fisher-Rao")


def MirrorDescent(alpha: Number = 1.0) -> Flow:
    """Weights react, positions stay: Algorithm 2 and (8) with gamma = 0.

    Parameters
    ----------
    alpha : float or pair
        The rate at which weights react, one for both players or (for x, for y).

    Returns
    -------
    Flow
    """
    return Flow(gamma=0.0, alpha=alpha, name="mirror descent")


def BestResponse(rate: Number = 1.0) -> Flow:
    """Jumps to the best response at the given rate: d_t mu = rate (delta_best - mu).

    The continuous-time fictitious play of Brown (1951); along it the Nikaido-Isoda error of a
    bilinear L decays as exp(-rate t).

    Parameters
    ----------
    rate : float or pair
        One for both players or (for x, for y).

    Returns
    -------
    Flow

    References
    ----------
    J. Hofbauer, S. Sorin. Best response dynamics for continuous zero-sum games. Discrete Contin.
    Dyn. Syst. B 6, 2006.
    """
    return Flow(gamma=0.0, response=rate, name="best response")


def EntropicBestResponse(beta: Number, rate: Number = 1.0) -> Flow:
    """Moves to the Gibbs measure of the potential: d_t mu = rate (G - mu), G ~ exp(-beta U).

    With one rate for both players NI_beta decays at least as exp(-rate t), and (9) is reached
    exponentially fast.

    Parameters
    ----------
    beta : float or pair
        Inverse temperature, one for both players or (for x, for y).
    rate : float or pair

    Returns
    -------
    Flow

    References
    ----------
    R.-A. Lascu, M. B. Majka, L. Szpruch. Entropic mean-field min-max problems via Best Response
    flow. arXiv:2306.03033, 2023.
    """
    return replace(Langevin(beta), gamma=(0.0, 0.0), response=rate, name="entropic best response")


def TwoTimeScale(beta: Number, ratio: float) -> Flow:
    """Equation (7) with y moving `ratio` times as fast as x.

    Ma & Ying take the ratios 0 and infinity; Lu shows exponential convergence to (9) once the ratio
    is far enough from one on either side.

    Parameters
    ----------
    beta : float or pair
        Inverse temperature, one for both players or (for x, for y).
    ratio : float
        Above 0.

    Returns
    -------
    Flow

    References
    ----------
    C. Ma, L. Ying. Provably convergent quasistatic dynamics for mean-field two-player zero-sum
    games. ICLR 2022. Y. Lu. Two-scale gradient descent ascent dynamics finds mixed Nash equilibria
    of continuous games: a mean-field perspective. ICML 2023.
    """
    return replace(
        Langevin(beta, (1.0, real("ratio", ratio, 0.0, strict=True))), name="two time scales"
    )


def AveragedLangevin(beta: Number, power: float = 0.0, gamma: Number = 1.0) -> Flow:
    """Equation (7) along gradients averaged over the past with weights s^power.

    MFL-AG: the laws averaged with the same weights converge to (9), at a power of t. Near (9)
    distances fall like t^-(power + 1), but from t = (power + 1) kappa^2/gap on only (see
    DiscountedLangevin), and grow before.

    Parameters
    ----------
    beta : float or pair
        Inverse temperature, one for both players or (for x, for y).
    power : float
        At least 0.
    gamma : float or pair
        The rate at which positions move.

    Returns
    -------
    Flow

    References
    ----------
    J. Kim, K. Yamamoto, K. Oko, Z. Yang, T. Suzuki. Symmetric mean-field Langevin dynamics for
    distributional minimax problems. ICLR 2024.
    """
    return replace(Langevin(beta, gamma), memory=Memory(power=power), name="averaged Langevin")


def DiscountedLangevin(beta: Number, rate: float, gamma: Number = 1.0) -> Flow:
    """Equation (7) along gradients averaged over the past with weights exp(-rate (t - s)).

    For a small rate the law itself converges to (9), exponentially fast in total variation. Small
    is below about gap/kappa^2, with gap the rate of the player's own relaxation and +- i kappa the
    eigenvalues of the map from the opponent to the Gibbs response and back: 5e-8 on the oscillator
    at beta = 25.

    Parameters
    ----------
    beta : float or pair
        Inverse temperature, one for both players or (for x, for y).
    rate : float
        Above 0.
    gamma : float or pair
        The rate at which positions move.

    Returns
    -------
    Flow

    References
    ----------
    Y. Lu, P. Monmarché. Convergence of time-averaged mean field gradient descent dynamics for
    continuous multi-player zero-sum games. arXiv:2505.07642, 2025.
    """
    return replace(Langevin(beta, gamma), memory=Memory(rate=rate), name="discounted Langevin")


def EntropicWassersteinFisherRao(beta: Number, gamma: Number = 1.0, alpha: Number = 1.0) -> Flow:
    """The Wasserstein-Fisher-Rao flow of L_beta: transport, diffusion and reaction with log mu.

    d_t mu = gamma [div(mu grad U) + (1/beta) Lap mu] - alpha mu (U + (1/beta) log mu - mean): the
    Gibbs measures (9) are stationary for every gamma and alpha. It is for densities only, since
    particles have no log-density.

    Parameters
    ----------
    beta : float or pair
        Inverse temperature, one for both players or (for x, for y).
    gamma, alpha : float or pair
        Rates of transport and of reaction.

    Returns
    -------
    Flow
    """
    warm = Langevin(beta).temperature
    return Flow(gamma=gamma, alpha=alpha, temperature=warm, name="entropic Wasserstein-Fisher-Rao")


def Annealed(flow: Flow, cooling: Schedule | None = None, speed: Schedule | None = None) -> Flow:
    """A flow whose temperature falls as cooling(t), and rates (or particles' steps) as speed(t).

    Discounted gradients with a temperature that falls like 1/log t reach an equilibrium of the game
    without regularisation.

    Parameters
    ----------
    flow : Flow
    cooling, speed : Schedule, optional
        Constant by default.

    Returns
    -------
    Flow

    Raises
    ------
    TypeError, ValueError
        For what is no flow or no schedule, and for a cooling without temperature.

    References
    ----------
    Y. Lu, P. Monmarché. Convergence of time-averaged mean field gradient descent dynamics for
    continuous multi-player zero-sum games. arXiv:2505.07642, 2025.
    """
    if not isinstance(flow, Flow):
        raise TypeError(
            f"flow must be a meanfield flow such as Langevin(beta), got {type(flow).__name__}"
        )
    return replace(flow, cooling=cooling, speed=speed, name=f"annealed {flow.name}")
