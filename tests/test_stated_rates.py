"""Rates that the papers of the later algorithms state, fitted; see docs/explanation/algorithms.md.

Fits that stand elsewhere: `test_schemes` (alternating, mirror-prox, kernels), `test_later_flows`
(discounted gradients, quasistatic), `test_best_response`.
"""

import numpy as np
import pytest
from scipy.special import ive

import meanfield as mf
from meanfield.measures import Density, total_variation
from meanfield.metrics.energy import kl, regularised_nikaido_isoda
from tests.convergence import fitted_order
from tests.later_flows import BETA, GAME, solved

# Few cells, on purpose: what is tested holds at any resolution.
pytestmark = pytest.mark.filterwarnings("ignore::meanfield.UnderResolved")


def slope(times, values):
    """The rate at which values fall."""
    return -np.polyfit(times, np.log(values), 1)[0]


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_averaged_gradients_fall_as_a_power_of_time(power):
    """t^-(power + 1), in a weakly coupled game, whose distances hardly swing."""
    game = mf.games.oscillator(coupling=0.3)
    fixed = mf.gibbs(game, 1.0, cells=32)
    flow = mf.AveragedLangevin(1.0, power=power)
    run = solved(flow, 160.0, game=game, cells=32, step=0.1, save_every=10.0)
    away = [
        np.abs(x.masses - fixed.x.masses).sum() + np.abs(y.masses - fixed.y.masses).sum()
        for x, y in run
    ]
    assert fitted_order(run.times[4:], away[4:]) == pytest.approx(-(power + 1), abs=0.05)


def test_entropic_best_response_is_twice_as_fast_in_the_end_as_stated():
    """NI_beta falls as exp(-2 t) near (9), where it is quadratic; stated: exp(-t) from anywhere."""
    run = solved(mf.EntropicBestResponse(BETA), 8.0, step=4e-3, save_every=0.5)
    ni = [regularised_nikaido_isoda(GAME, BETA, *pair) for pair in run]
    assert slope(run.times[4:], ni[4:]) == pytest.approx(2.0, rel=0.03)


def test_anchored_best_response_on_a_sphere_falls_at_its_rate():
    """On S^5 against a'x by inner Langevin steps, as exp(-t)."""
    a, beta = np.array([2.0, 0, 0, 0, 1.0, 0]), 2.0
    game = mf.games.polynomial_from(0, np.zeros((6, 6)), 0, 0, a, -a)
    how = {"step": 0.05, "particles": 4000, "inner": 20, "save_every": 0.25}
    run = mf.simulate(game, mf.EntropicBestResponse(beta), mf.Start(), 1.5, **how)
    size = np.linalg.norm(a)
    rest = -size * ive(3, beta * size) / ive(2, beta * size)  # of the von Mises-Fisher law
    away = np.array([x.masses @ x.points @ a for x in run.x]) - rest
    assert slope(run.times[2:], away[2:]) == pytest.approx(1.0, abs=0.05)


def test_two_time_scales_fall_at_the_rate_of_their_linearisation():
    """Over a period of the leading pair of eigenvalues, so that the phase is the same."""
    leading = mf.stability(GAME, BETA, gamma=(1.0, 10.0))
    period, fixed = 2 * np.pi / leading.frequency, mf.gibbs(GAME, BETA, cells=64)
    run = solved(mf.TwoTimeScale(BETA, 10.0), 6 * period, engine="galerkin", tol=1e-10,
                 save_every=period)  # fmt: skip
    away = [np.abs(x.masses - fixed.x.masses).sum() for x in run.x]
    assert slope(run.times[3:], away[3:]) == pytest.approx(leading.rate, rel=0.02)


def test_the_fisher_rao_reaction_is_twice_as_fast_in_the_end_as_stated():
    """With gamma = 0 the divergence from (9) falls as exp(-2 alpha t/beta), stated as half that."""
    alpha, fixed = 2.0, mf.gibbs(GAME, BETA, cells=64)
    flow = mf.EntropicWassersteinFisherRao(BETA, 0.0, alpha)
    run = solved(flow, 12.0, step=1e-2, save_every=1.0)
    kl = [
        sum(
            g.masses @ np.log(g.masses / m.masses)
            for g, m in zip((fixed.x, fixed.y), pair, strict=True)
        )
        for pair in run
    ]
    assert slope(run.times[6:], kl[6:]) == pytest.approx(2 * alpha / BETA, rel=0.02)


def test_primal_dual_steps_fall_twice_as_fast_in_the_end_as_stated():
    """Where (7) turns for ever: KL(mu* | mu_k) <= theta^k KL_0 as Chambolle & Pock state it, in the
    end as theta^(2 k); to the Gibbs point. Steps as long of both players at once do not come there.
    """
    beta, cells = 25.0, 128
    kappa = 3.0 * beta  # beta L of 3 cos(x - y) and of terms in x or in y alone
    share = (np.sqrt(1 + 4 * kappa**2) - 1) / (2 * kappa**2)  # tau sigma L^2 = 1 + T tau
    theta, tau = 1 - share, beta * share / (1 - share)
    flow = mf.EntropicWassersteinFisherRao(beta, 0.0, tau)
    fixed = mf.gibbs(GAME, beta, cells=cells)
    run = solved(flow, 2500.0, engine="primal-dual", cells=cells, save_every=100.0)
    assert np.array_equal(run.diagnostics["steps"], np.arange(0, 2501, 100))
    assert run.diagnostics["strength"][-1] == pytest.approx(1.0, abs=1e-3)
    of_x = np.array([kl(fixed.x, x) for x in run.x])
    away = of_x + [kl(fixed.y, y) for y in run.y]
    assert (of_x[:13] <= theta ** run.times[:13] * away[0]).all()
    assert slope(run.times[2:11], away[2:11]) == pytest.approx(-2 * np.log(theta), rel=0.01)
    assert max(map(total_variation, run[-1], (fixed.x, fixed.y))) < 1e-12
    x, y = (mu.points for mu in run[0])
    losses, logs = GAME.moving_loss(x, y), [np.log(mu.masses) for mu in run[0]]
    for _ in range(2500):
        mu, nu = (np.exp(log) / np.exp(log).sum() for log in logs)
        signed = zip(logs, (losses @ nu, -(mu @ losses)), strict=True)
        logs = [(1 - share) * log - share * beta * U for log, U in signed]
    both = [Density(np.exp(log) / np.exp(log).sum(), fixed.x.mesh) for log in logs]
    assert kl(fixed.x, both[0]) + kl(fixed.y, both[1]) > 1.0


def test_consensus_gathers_at_its_rate():
    """On T^2 without a game E |x - c|^2 changes in a step by (1 - rho dt)^2 + d sigma^2 dt."""
    rate, h, sigma, T2 = 2.0, 0.1, 0.7, mf.Torus(2)
    start = mf.Start(*(mf.concentrated([1.0, 6.2], std=0.3) for _ in range(2)))
    how = {"step": h, "particles": 20_000, "exploration": sigma, "save_every": h}
    run = mf.simulate(mf.games.free(T2, T2), mf.EntropicBestResponse(5.0, rate), start, 1.0, **how)
    spread = []
    for x in run.x:
        c = np.angle(np.exp(1j * x.points).mean(axis=0))
        spread.append((T2.difference(c, x.points) ** 2).sum(axis=1).mean())
    factor = np.exp(-slope(np.arange(11), spread))
    assert factor == pytest.approx((1 - rate * h) ** 2 + 2 * sigma**2 * h, rel=0.02)
