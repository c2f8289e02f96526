"""Entropic quantities of densities: KL, free energy, Gibbs measures, the regularised error.

With inverse temperatures beta_p and H = -int log(dmu/dx) dmu the flows (7) and (8) descend-ascend

    L_beta(mu_x, mu_y) = L(mu_x, mu_y) - H(mu_x)/beta_x + H(mu_y)/beta_y,

whose best responses are the Gibbs measures G_p proportional to exp(-beta_p U_p), U_0 = V_x and
U_1 = -V_y. Integrals are sums over cells.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.flows import Flow, Number, pair
from meanfield.games.base import Game
from meanfield.measures import Density, Measure
from meanfield.meshes import Mesh
from meanfield.responses import cost_against
from meanfield.sums import total


def kl(mu: Density, nu: Density) -> float:
    """The relative entropy KL(mu | nu) = int log(dmu/dnu) dmu.

    Parameters
    ----------
    mu, nu : Density

    Returns
    -------
    float
        Infinite when mu charges a cell that nu does not.

    Raises
    ------
    ValueError
        Unless both are densities on one mesh.
    """
    if not (isinstance(mu, Density) and isinstance(nu, Density) and mu.mesh.same(nu.mesh)):
        raise ValueError("KL needs two densities on the same mesh; deposit them on one first")
    charged = mu.masses > 0
    m, n = mu.masses[charged], nu.masses[charged]
    if (n == 0).any():
        return float("inf")
    return float(np.sum(m * np.log(m / n)))


def free_energy(game: Game, beta: Number | Flow, mu_x: Density, mu_y: Density) -> float:
    """The regularised value L_beta(mu_x, mu_y) = L - H(mu_x)/beta_x + H(mu_y)/beta_y.

    Parameters
    ----------
    game : Game
    beta : float, pair or Flow
    mu_x, mu_y : Density

    Returns
    -------
    float
    """
    _densities(game, mu_x, mu_y)
    tau_x, tau_y = temperatures(beta)
    return game.value(mu_x, mu_y) - tau_x * mu_x.entropy() + tau_y * mu_y.entropy()


def regularised_nikaido_isoda(
    game: Game, beta: Number | Flow, mu_x: Density, mu_y: Density
) -> float:
    """The regularised error NI_beta = max_nu L_beta(mu_x, nu) - min_nu L_beta(nu, mu_y), closed.

    It equals KL(mu_x|G_x)/beta_x + KL(mu_y|G_y)/beta_y for the Gibbs measures G of the current
    potentials, and is no less than that sum for those of the fixed point (9).

    Parameters
    ----------
    game : Game
    beta : float, pair or Flow
    mu_x, mu_y : Density

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        As of `gibbs_measures`.
    """
    _densities(game, mu_x, mu_y)
    tau, total = temperatures(beta), 0.0
    if min(tau) == 0:
        raise ValueError(
            "NI_beta needs a positive temperature for both players; without one use nikaido_isoda"
        )
    for mu, U, t in zip((mu_x, mu_y), _costs(game, mu_x, mu_y), tau, strict=True):
        total += t * (log_partition(-U / t, mu.mesh) - mu.entropy())
    return total


def gibbs_measures(
    game: Game, beta: Number | Flow, mu_x: Density, mu_y: Density
) -> tuple[Density, Density]:
    """The entropic best responses: G_x proportional to exp(-beta_x V_x) and G_y to exp(beta_y V_y).

    Parameters
    ----------
    game : Game
    beta : float, pair or Flow
    mu_x, mu_y : Density

    Returns
    -------
    pair of Density
        On the meshes of mu_x and mu_y.

    Raises
    ------
    TypeError, ValueError
        For what is no density on the game's manifolds, and for a flow without temperature.
    """
    _densities(game, mu_x, mu_y)
    tau = temperatures(beta)
    if min(tau) == 0:
        raise ValueError("Gibbs measures need a positive temperature for both players")
    U_x, U_y = _costs(game, mu_x, mu_y)
    G_x = Density(gibbs_masses(U_x / tau[0], mu_x.mesh), mu_x.mesh)
    return G_x, Density(gibbs_masses(U_y / tau[1], mu_y.mesh), mu_y.mesh)


def _costs(game: Game, mu_x: Density, mu_y: Density) -> tuple[Array, Array]:
    """U_x and U_y at the nodes, less the game's constant, which would take digits from them."""
    of_x, of_y = cost_against(game, 0, mu_y), cost_against(game, 1, mu_x)
    return of_x.values(mu_x.points), of_y.values(mu_y.points)


def gibbs_masses(energy: Array, mesh: Mesh) -> Array:
    """Cell masses of the Gibbs measure of an energy (N,): vol_i exp(-energy_i) / Z."""
    masses = mesh.volumes * np.exp(energy.min() - energy)
    return masses / masses.sum()


def log_partition(exponent: Array, mesh: Mesh) -> float:
    """log sum_i vol_i exp(exponent_i)."""
    top = float(exponent.max())
    return top + float(np.log(total(mesh.volumes, np.exp(exponent - top))))


def temperatures(beta: Number | Flow) -> tuple[float, float]:
    """(1/beta_x, 1/beta_y) of a number, a pair or a flow."""
    if isinstance(beta, Flow):
        if beta.cooling is not None:
            raise ValueError(
                "the temperature of this flow changes with time; give beta as a number or a pair"
            )
        return beta.temperature
    x, y = pair("beta", beta, strict=True)
    return pair("temperature 1/beta", (1 / x, 1 / y))


def _densities(game: Game, mu_x: Measure, mu_y: Measure) -> None:
    for name, mu, manifold in (("mu_x", mu_x, game.X), ("mu_y", mu_y, game.Y)):
        if not isinstance(mu, Density):
            raise TypeError(
                f"{name} must be a Density, got {type(mu).__name__}: atoms have no entropy; "
                "deposit them on a mesh first (measure.deposit)"
            )
        if mu.manifold != manifold:
            raise ValueError(f"{name} lives on {mu.manifold}, but the game has {manifold} there")
