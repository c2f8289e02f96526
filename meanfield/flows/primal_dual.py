"""How long the primal-dual steps in relative entropy are, at both levels.

For the saddle point (9) of L_beta = L - T_x H(mu_x) + T_y H(mu_y), T = 1/beta, with mu an earlier
law of x and nu one of y, in steps of length tau and sigma,

    nu <- argmax_q  L(mu + theta (mu - mu'), q) + T_y H(q) - KL(q | nu)/sigma,    mu' before mu,
    mu <- argmin_p  L(p, nu) - T_x H(p) + KL(p | mu)/tau                  against the new nu:

the algorithm of Chambolle & Pock (2011) with their Bregman distances of 2016. Each is explicit,

    log nu <- (1 - s_y) log nu - s_y beta_y U_y(mu + theta (mu - mu')),
    log mu <- (1 - s_x) log mu - s_x beta_x U_x(nu),              s = T tau / (1 + T tau),

up to constants. With tau and sigma = alpha dt it is a step dt of the flow
d_t log mu = -alpha (U + T log mu), to which it tends as dt falls.

With |<K a, b>| <= L |a|_1 |b|_1 for a, b of mass zero and KL >= |.|_1^2/2, KL(mu* | mu) falls at
least as theta^k if

    1/(1 + T_x tau), 1/(1 + T_y sigma) <= theta <= 1    and    theta tau sigma L^2 <= 1.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from meanfield.checks import Array, real
from meanfield.flows.base import Flow


class Lengths(NamedTuple):
    """The shares (s_x, s_y) that new opponents have in the log-densities, and theta."""

    shares: tuple[float, float]
    theta: float


def check_entropic(flow: Flow) -> None:
    """Refuse flows that are not d_t log mu = -alpha (U + T log mu) for both players."""
    steady = flow.memory is None and not flow.scheduled
    for name, rates in zip("xy", flow.players, strict=True):
        reacts = rates.alpha > 0 and rates.temperature > 0
        if not (steady and reacts and rates.gamma == rates.response == 0):
            raise ValueError(
                "primal-dual steps are for reactions at a temperature alone, such as "
                "EntropicWassersteinFisherRao(beta, gamma=0.0), without memory and schedules; "
                f"player {name} moves by {flow}"
            )


def checked(extrapolation: Any) -> float | None:
    """Theta, in [0, 1] where it is given."""
    theta = None if extrapolation is None else real("extrapolation", extrapolation, 0.0)
    if theta is not None and theta > 1:
        raise ValueError(f"extrapolation must be at most 1, got {theta:g}")
    return theta


def lengths(flow: Flow, dt: float, extrapolation: float | None = None) -> Lengths:
    """Those of a step dt; theta by default the least for which a rate is stated."""
    warm = [rates.alpha * rates.temperature * dt for rates in flow.players]
    x, y = (w / (1 + w) for w in warm)
    return Lengths((x, y), 1 / (1 + min(warm)) if extrapolation is None else extrapolation)


def strength(flow: Flow, dt: float, L: float, extrapolation: float | None = None) -> float:
    """theta tau sigma L^2, which should be at most 1; for a theta below the stated ones of the
    least of these.
    """
    theta = max(lengths(flow, dt).theta, extrapolation or 0.0)
    return theta * flow.x.alpha * flow.y.alpha * (dt * L) ** 2


def longest(flow: Flow, L: float, extrapolation: float | None = None) -> float:
    """The dt at which `strength` is 1; infinite where players do not act on each other."""
    if L == 0:
        return math.inf
    a = flow.x.alpha * flow.y.alpha * L**2
    b = min(rates.alpha * rates.temperature for rates in flow.players)
    usual = (b + math.sqrt(b**2 + 4 * a)) / (2 * a)  # a dt^2 = 1 + b dt
    return usual if not extrapolation else min(usual, 1 / math.sqrt(a * extrapolation))


def in_words(dt: float) -> str:
    """Three digits of a length, not above it."""
    unit = 10.0 ** (math.floor(math.log10(dt)) - 2)
    return f"{unit * math.floor(dt / unit):.3g}"


def interaction(losses: Array) -> float:
    """L of losses (n, m) at pairs of points: a quarter of the largest l(x, y) - l(x', y) -
    l(x, y') + l(x', y').

    It is at most half the range of l, and knows nothing of terms in x or in y alone.
    """
    return max(float(np.ptp(losses - row, axis=1).max()) for row in losses) / 4
