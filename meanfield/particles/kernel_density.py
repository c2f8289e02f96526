"""The log-density of particles' law by a Gaussian kernel, for reactions that ask for it.

With a temperature the reaction of a player is d/dt log mu = -alpha (U + T log mu - mean). Particles
i have mu by

    mu_h(x_i) = sum_j w_j exp(-d(x_i, x_j)^2 / (2 h^2)),

d the geodesic distance and h the bandwidth, up to a factor that weights of sum one do not see. For
a time dt at frozen U and mu_h on the right,

    log w_i <- log w_i - (1 - e) (U(x_i)/T + log mu_h(x_i)),    e = exp(-alpha T dt):

weights (exp(-U/T)/mu)^(1 - e), those of the Fisher-Rao half of a Wasserstein-Fisher-Rao step in
Crucinio & Pathiraja (arXiv:2506.05905). The law tends to one whose smoothed density is the Gibbs
measure: off by h^2, and by chance as (n h^d)^(-1/2). Nothing is resampled: where the reaction
outruns the diffusion, weights gather on few particles, as 1/sum w^2 tells.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.flows import Rates
from meanfield.manifolds import Manifold

ENTRIES = 1 << 20  # coordinates of pairs that are looked at together


def log_density(M: Manifold, points: Array, weights: Array, bandwidth: float) -> Array:
    """log mu_h at the points (n, a) themselves, up to a constant, (n,)."""
    n, a = points.shape
    rows, found = max(1, ENTRIES // (n * a)), np.empty(n)
    for i in range(0, n, rows):
        d = M.distance(points[i : i + rows, None], points[None])
        found[i : i + rows] = (np.exp(-0.5 * (d / bandwidth) ** 2) * weights).sum(axis=1)
    return np.log(found)


def gone(rates: Rates, dt: float) -> float:
    """1 - e, the part of log mu that the reaction takes off in a time dt."""
    return -math.expm1(-rates.alpha * rates.temperature * dt)


def reaction(rates: Rates, dt: float) -> float:
    """What multiplies U in the log-weights: alpha dt, with a temperature (1 - e)/T."""
    if rates.temperature == 0:
        return rates.alpha * dt
    return gone(rates, dt) / rates.temperature


def react(M: Manifold, points: Array, s: Any, rates: Rates, dt: float, bandwidth: float) -> None:
    """The part of log mu_h in a player's log-weights; U's part and the sum are the step's."""
    if rates.alpha == 0 or rates.temperature == 0:
        return
    n = len(points)
    log = log_density(M, points, s.w.ravel()[:n], bandwidth)
    s.logw.reshape(-1)[:n] -= gone(rates, dt) * log
