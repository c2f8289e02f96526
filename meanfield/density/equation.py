"""The equation of one player at the cost U that its opponent gives it, term by term.

    d_t mu =   gamma div(mu grad U)                  transport
             + gamma T Lap mu                        diffusion
             - alpha mu (U + T log mu - mean)        reaction
             + rho (G - mu)                          response

U is the first variation V_x for the minimising player x and -V_y for the maximising player y, T =
1/beta the temperature, `mean` the average under mu of the bracket before it, and G the best
response to U: the Gibbs measure exp(-U/T)/Z of equation (9), at T = 0 a unit mass where U is least.
With rho infinite mu is G at all times.
The paper's equations are

    (7)  ERIWGF   gamma = 1, T > 0, alpha = rho = 0     mf.Langevin
    (8)  IWFRGF   gamma, alpha > 0, T = rho = 0         mf.WassersteinFisherRao
    (6)  IWGF     gamma = 1, T = alpha = rho = 0        mf.Wasserstein

and mirror descent is (8) with gamma = 0. Players are coupled by U alone, which is linear in the
opponent.

Engines differ in how they hold mu. Each takes its terms from here, called where it forms them: with
an eigenvalue of the Laplacian in place of Lap (the spectral bases, `fourier` and `harmonics`), a
transmissibility between two cells (`rates` for finite volumes, `stencils` for staggered
differences, `muscl`), or grad U at a moving point (`labels`, for characteristics). Where both act,
they are one term,

    gamma div(mu grad U) + gamma T Lap mu = gamma T div( g grad(mu / g) ),    g = exp(-U/T),

which vanishes at the Gibbs measure: finite volumes and staggered differences discretise this form.
Reaction and response at a frozen cost are solved exactly, by `reacted` and `responded`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.flows import Rates
from meanfield.sums import total


def transport(player: Rates, divergence: Array) -> Array:
    """The term gamma div(mu grad U) of (6), (7) and (8), given div(mu grad U)."""
    return player.gamma * divergence


def velocity(player: Rates, gradient: Array) -> Array:
    """The velocity -gamma grad U at which the same term carries points, given grad U.

    Given Lap U it is the divergence of this velocity: the rate at which volumes carried along grow.
    """
    return -player.gamma * gradient


def diffusion(player: Rates, laplacian: Array) -> Array:
    """The term gamma T Lap mu of (7), given Lap mu."""
    return player.gamma * player.temperature * laplacian


def reaction(player: Rates, U: Array, log_mu: Any, masses: Array) -> Array:
    """d/dt log mu = -alpha (U + T log mu - mean), the reaction of (8), at points with the given
    masses.

    At temperature zero log_mu is not read.
    """
    bracket = U + player.temperature * log_mu if player.temperature > 0 else U
    return -player.alpha * (bracket - total(masses, bracket))


def reacted(player: Rates, U: Array, log_mu: Any, dt: float) -> Array:
    """log mu after reaction alone for a time dt at a frozen cost, up to a constant.

    log mu(dt) = e log mu - (1 - e) U / T with e = exp(-alpha T dt); at temperature zero log mu -
    alpha dt U.
    """
    T, rate = player.temperature, player.alpha * player.temperature
    if T == 0:
        return log_mu - U * (player.alpha * dt)  # type: ignore[no-any-return]
    remains, gone = math.exp(-rate * dt), -math.expm1(-rate * dt)
    return remains * log_mu - U * (gone / T)  # type: ignore[no-any-return]


def react(log_weights: Array, costs: Array, rate: float) -> Array:
    """The weights of Algorithm 2 at costs U, in logarithms: log w - rate U, then w divided by its
    sum.

    That is the reaction at a frozen cost and temperature zero, `rate` being eta' = alpha dt. For
    costs of a single batch, too, sums are formed in double precision.
    """
    moved = reacted(Rates(0.0, rate, 0.0), np.asarray(costs, dtype=np.float64), log_weights, 1.0)
    top = moved.max()
    return moved - (top + math.log(np.exp(moved - top).sum()))  # type: ignore[no-any-return]


def unanswered(player: Rates, dt: float) -> float:
    """The part exp(-rho dt) of mu that the response alone leaves after a time dt."""
    return math.exp(-player.response * dt)


def responded(player: Rates, masses: Array, best: Array, dt: float) -> Array:
    """Masses after the response rho (G - mu) alone for a time dt, towards the best response G."""
    remains = unanswered(player, dt)
    return remains * masses + (1 - remains) * best
