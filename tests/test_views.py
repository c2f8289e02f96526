"""The view that a game makes of a player, against plain sums of the loss and differences."""

import numpy as np
import pytest

import meanfield as mf

T1, T2, S2 = mf.Torus(1), mf.Torus(2, 3.0), mf.Sphere(2)
CATALOGUE = {
    name: getattr(mf.games, name)()
    for name in (
        "uniform_equilibrium",
        "free",
        "double_well",
        "wang_chizat",
        "bilinear",
        "benchmark",
    )
}
GAMES = {
    **CATALOGUE,
    "trigonometric": mf.games.oscillator(),
    "torus": mf.games.trigonometric([((1, 0), (-1, 1), 1.0, 0.3), ((0, 2), (1, 0), 0.5, 0.0)]),
    "l_a": mf.games.polynomial("a"),
    "l_b": mf.games.polynomial("b"),
    "formula": mf.games.expression("exp(sin(x)*cos(y)) + 0.3*cos(2*x - y)", T1, T1),
    "sphere formula": mf.games.expression("exp(0.5*x1*y1) + x2*y3*x1", S2, S2),
    "mixed function": mf.games.function(
        lambda x, y: np.cos(x[..., 0]) * y[..., 1] + y[..., 2] * np.sin(x[..., 0]), T1, S2
    ),
    "function": mf.games.function(lambda x, y: np.cos(x[..., 0] - 2 * y[..., 0]), T1, T1),
}


def players(game, seed=0):
    rng = np.random.default_rng(seed)
    points = [M.sample(n, rng) for M, n in zip(game.manifolds, (7, 5), strict=True)]
    masses = [rng.random(len(x)) for x in points]
    return points, [w / w.sum() for w in masses]


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("p", [0, 1])
def test_costs_are_sums_of_the_loss(name, p):
    game = GAMES[name]
    points, masses = players(game)
    views = [game.view(q, points[q], points[1 - q]) for q in (0, 1)]
    l = game.loss(*points)
    want = l @ masses[1] if p == 0 else -masses[0] @ l
    U = views[p].costs(views[1 - p].moments(masses[1 - p]))
    np.testing.assert_allclose(U, want, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("p", [0, 1])
def test_jets_are_the_games_own_derivatives(name, p):
    game = GAMES[name]
    points, masses = players(game)
    views = [game.view(q, points[q], points[1 - q]) for q in (0, 1)]
    opponent = mf.Measure(points[1 - p], masses[1 - p], game.manifolds[1 - p])
    moments = views[1 - p].moments(masses[1 - p])
    U, G, L = views[p].jet(moments, laplacian=True)
    np.testing.assert_allclose(U, views[p].costs(moments), atol=1e-13)
    np.testing.assert_allclose(G, game.gradient(p, points[p], opponent), atol=1e-13)
    np.testing.assert_allclose(L, game.laplacian(p, points[p], opponent), atol=1e-12)
    M, h = game.manifolds[p], 1e-5
    for e in M.basis(points[p]).swapaxes(0, 1):
        ahead, behind = (game.cost(p, M.retract(points[p], s * h * e), opponent) for s in (1, -1))
        np.testing.assert_allclose((G * e).sum(1), (ahead - behind) / (2 * h), atol=1e-9)


@pytest.mark.parametrize("name", ["l_b", "formula"])
def test_what_is_not_asked_for_is_not_computed(name):
    game = GAMES[name]
    points, masses = players(game)
    views = [game.view(q, points[q], points[1 - q]) for q in (0, 1)]
    _, G, L = views[0].jet(views[1].moments(masses[1]), gradient=False)
    assert G is None and L is None


def test_only_losses_of_finitely_many_features_have_bases():
    have = {name for name, game in GAMES.items() if game.bases is not None}
    assert have == {"trigonometric", "torus", "l_a", "l_b", *CATALOGUE}
