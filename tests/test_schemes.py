"""Schemes of particles since 2020: what their papers state, against sums written out here."""

import numpy as np
import pytest

import meanfield as mf
from tests.convergence import fitted_order
from tests.test_looks import GAMES, moved

CIRCLE = mf.Torus(1)
COSINE = mf.games.trigonometric([((1,), (-1,), 1.0, 0.0)])  # cos(x - y)
CORNERS = np.arange(4) * np.pi / 2
WEIGHTS = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.5, 0.3, 0.1])
START = mf.Start(*(mf.Measure(CORNERS[:, None], w, CIRCLE) for w in WEIGHTS))
ATOMS = {"particles": 4, "placement": "atoms"}

# -- alternating ----------------------------------------------------------------------------------


def test_alternating_steps_are_those_of_the_listing():
    """Weights of a 4 x 4 game, y against what x has become."""
    h, steps, payoff = 0.3, 20, np.cos(CORNERS[:, None] - CORNERS)
    w, v = (np.log(w) for w in WEIGHTS)
    for _ in range(steps):
        w = w - h * payoff @ np.exp(v)
        w -= np.log(np.exp(w).sum())
        v = v + h * np.exp(w) @ payoff
        v -= np.log(np.exp(v).sum())
    run = mf.simulate(
        COSINE, mf.MirrorDescent(), START, steps * h, step=h, scheme="alternating", **ATOMS
    )
    np.testing.assert_allclose(run.x[-1].masses, np.exp(w), rtol=1e-12)
    np.testing.assert_allclose(run.y[-1].masses, np.exp(v), rtol=1e-12)


@pytest.mark.parametrize(
    ("scheme", "power", "order"), [("euler", 2, 1 / 2), ("alternating", 3, 2 / 3)]
)
def test_errors_of_averages_fall_as_lascu_majka_and_szpruch_state(scheme, power, order):
    """NI of the averages over N steps of length N^(-1/2) falls as N^(-1/2) where players move at
    once, over N steps of length N^(-1/3) as N^(-2/3) where they alternate.

    For cos(x - y) it is |E e^{ix}| + |E e^{iy}|. It goes up and down as the weights circle: the
    root mean square of n NI_n for n from N/2 to N, over N.
    """
    sizes, errors = 2 ** np.arange(8, 13), []
    for N in sizes:
        h = 4 * float(N) ** (-1 / power)
        run = mf.simulate(
            COSINE, mf.MirrorDescent(), START, N * h, step=h, scheme=scheme, save_every=h,
            progress=False, **ATOMS,
        )  # fmt: skip
        means = np.array(run.state["mean_weights"])[N // 2 :]  # (saves, player, 4)
        gaps = np.abs(means @ np.exp(1j * CORNERS)).sum(axis=1)
        errors.append(np.sqrt(np.mean((np.arange(N // 2, N + 1) * gaps) ** 2)) / N)
    assert fitted_order(sizes, errors) == pytest.approx(-order, abs=0.05)


@pytest.mark.parametrize("game", ["modes", "forms, diagonal", "pairs"])
def test_looks_alternate_as_the_plain_one_does(game):
    for flow in (mf.WassersteinFisherRao((0.5, 1.0), (1.0, 2.0)), mf.Langevin(20.0)):
        found = (moved(GAMES[game](), flow, plain, scheme="alternating") for plain in (False, True))
        for a, b in zip(*found, strict=True):
            gap = a.manifold.difference(a.points, b.points)
            np.testing.assert_allclose(gap, 0, rtol=0, atol=1e-12)
            np.testing.assert_allclose(a.masses, b.masses, rtol=1e-11)


def test_results_name_the_sources_of_their_schemes():
    run = mf.simulate(
        COSINE, mf.MirrorDescent(), START, 0.2, step=0.1, scheme="alternating", **ATOMS
    )
    assert "2402.08106" in run.cite()
