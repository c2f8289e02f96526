"""The flows by name: the paper's, and later ones."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Literal

from meanfield.checks import known_name, real
from meanfield.flows.base import Flow, Memory, Number, Schedule, pair


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

    Ma & Ying take the ratios 0 and infinity (Quasistatic); Lu shows exponential convergence to (9)
    once the ratio is far enough from one on either side.

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


def Quasistatic(beta: Number, gamma: float = 1.0, fast: Literal["x", "y"] = "y") -> Flow:
    """Equation (7) for one player, while the other is at its Gibbs response at all times.

    The limit of TwoTimeScale as ratio grows (y fast), or falls to zero (x fast). The slow player
    descends a convex functional of its own law alone, x that of the largest L_beta(mu_x, nu) over
    nu: it converges to (9) from any start, also where (7) does not.

    Parameters
    ----------
    beta : float or pair
        Inverse temperature, one for both players or (for x, for y).
    gamma : float
        The rate at which the slow player's positions move.
    fast : "x" or "y"
        The player who is at its best response.

    Returns
    -------
    Flow

    Raises
    ------
    ValueError
        For another player than these two.

    References
    ----------
    C. Ma, L. Ying. Provably convergent quasistatic dynamics for mean-field two-player zero-sum
    games. ICLR 2022.

    Examples
    --------
    >>> import meanfield as mf
    >>> mf.Quasistatic(beta=25.0).response
    (0.0, inf)
    """
    known_name("fast", fast, ("x", "y"))
    rates, at_once = (real("gamma", gamma, 0.0, strict=True), 0.0), (0.0, inf)
    order = slice(None, None, 1 if fast == "y" else -1)
    return replace(
        Langevin(beta), gamma=rates[order], response=at_once[order], name="quasistatic Langevin"
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
    """Equation (7) along gradients averaged over the past, later opponents counting more.

    The opponent is exp(-rate t) mu_0 + rate int_0^t exp(-rate (t - s)) mu_s ds: as if the start had
    stood for ever before.

    For a small rate the law itself converges to (9), exponentially fast in total variation. Small
    is below about gap/kappa^2, with gap the rate of the player's own relaxation and +- i kappa the
    eigenvalues of the map from the opponent to the Gibbs response and back: 5e-8 on the oscillator
    at beta = 25. From there on small perturbations grow, up to a second rate, 0.023 there; both are
    Hopf points, which `branch` locates.

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
    Gibbs measures (9) are stationary for every gamma and alpha. Particles take their
    log-density from a kernel, simulate(..., bandwidth=0.2).

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
