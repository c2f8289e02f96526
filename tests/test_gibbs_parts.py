"""Newton's method for Gibbs points, part by part, against differences and dense matrices."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.equilibria import fixed_point as home
from tests.langevin_runs import CIRCLE

PAIRWISE = mf.games.expression("exp(cos(x - y))*sin(2*x) + cos(y)")


def players(game, cells=(12, 17), beta=(3.0, 5.0)):
    on = tuple(mf.mesh(M, n) for M, n in zip(game.manifolds, cells, strict=True))
    return tuple(home.player_of(game, p, on, beta[p]) for p in (0, 1))


def moments(both, seed=0):
    rng = np.random.default_rng(seed)
    masses = tuple(rng.dirichlet(np.ones(len(player.mesh))) for player in both)
    return home.moments_of(both, masses), masses


@pytest.mark.parametrize("game", [CIRCLE, CIRCLE.swapped(), PAIRWISE], ids=["low", "high", "pairs"])
def test_responses_slopes_and_directions_are_those_of_the_equations(game):
    """Gibbs masses exp(-f beta U), their derivative, and F'(z)^-1 F(z) with the whole matrix."""
    both, f = players(game), 0.6
    z, masses = moments(both)
    now = home.state_at(both, z, f)
    betas, volumes = (3.0, 5.0), [player.mesh.volumes for player in both]
    for p in (0, 1):
        other = mf.Density(masses[1 - p], both[1 - p].mesh)
        U = game.cost(p, both[p].mesh.nodes, other)
        wanted = volumes[p] * np.exp(-f * betas[p] * (U - U.min()))
        np.testing.assert_allclose(now.masses[p], wanted / wanted.sum(), rtol=1e-10)
    sizes, step = [len(part) for part in z], 1e-6
    J = np.eye(sum(sizes))
    cut = np.split(np.arange(sum(sizes)), [sizes[0]])
    for p in (0, 1):
        columns = np.eye(sizes[1 - p])
        slope = both[p].slope(now.masses[p], f, columns)
        ahead, back = (
            np.stack(
                [both[p].maps.moments(both[p].respond(z[1 - p] + s * e, f)) for e in columns], 1
            )
            for s in (step, -step)
        )
        np.testing.assert_allclose(slope, (ahead - back) / (2 * step), atol=1e-8)
        once = both[p].slope(now.masses[p], f, columns[:, 1])
        np.testing.assert_allclose(once, slope[:, 1], atol=1e-14)
        J[np.ix_(cut[p], cut[1 - p])] = -slope
    F = np.concatenate([z[p] - both[p].maps.moments(now.masses[p]) for p in (0, 1)])
    np.testing.assert_allclose(np.concatenate(now.F), F, atol=1e-14)
    assert now.size == pytest.approx(np.linalg.norm(F), rel=1e-13)
    again = [both[p].respond(both[1 - p].maps.moments(now.masses[1 - p]), f) for p in (0, 1)]
    residual = max(np.abs(a - m).sum() / 2 for a, m in zip(again, now.masses, strict=True))
    assert now.residual == pytest.approx(residual, rel=1e-12) and residual > 1e-3
    move = np.concatenate(home.direction_at(both, now, f))
    np.testing.assert_allclose(move, np.linalg.solve(J, F), atol=1e-10)


@pytest.mark.parametrize("cells", [(12, 17), (100, 70)])
def test_the_strength_is_beta_times_the_range_against_points(cells):
    """Against every point of meshes of up to 63, and about 32 of larger ones; 1 at least."""
    for game in (CIRCLE, PAIRWISE):
        loss = game.loss(*(mf.mesh(M, n).nodes for M, n in zip(game.manifolds, cells, strict=True)))
        some = [slice(None, None, max(1, n // 32)) for n in cells]
        sharp = [
            3.0 * np.ptp(loss[:, some[1]], axis=0).max(),
            5.0 * np.ptp(loss[some[0]], axis=1).max(),
        ]
        cases = (
            ((3.0, 5.0), max(sharp)), ((3.0, 1e-3), sharp[0]), ((1e-3, 5.0), sharp[1]),
            ((1e-3, 1e-3), 1.0),
        )  # fmt: skip
        for beta, wanted in cases:
            found = home.strength(players(game, cells, beta))
            assert found == pytest.approx(wanted, rel=1e-10)


def test_moments_are_extrapolated_along_the_logarithm_of_beta():
    a, b = (np.array([1.0, 2.0]), np.array([3.0])), (np.array([2.0, 0.0]), np.array([7.0]))
    assert home.extrapolated([(-2.0, a)], -1.0) is a
    found = home.extrapolated([(-2.0, a), (-1.5, b)], -0.5)
    assert found[0].tolist() == [4.0, -4.0] and found[1].tolist() == [15.0]


def test_newtons_method_says_where_it_stands_and_stops_at_a_hundredth_of_tol():
    both = players(CIRCLE)
    z, _ = moments(both)
    solved, steps, residual = home.newton(both, z, 1.0, 1e-4)
    assert residual <= 1e-6 and 0 < steps < 20
    assert residual == home.state_at(both, solved, 1.0).residual
    again, none, same = home.newton(both, solved, 1.0, 1e-4)
    assert none == 0 and again is solved and same == residual
    best, _, least = home.newton(both, solved, 1.0, 1e-30)
    assert least < 1e-13 and home.state_at(both, best, 1.0).size < 1e-12


def test_beta_is_followed_in_steps_that_grow_and_are_halved_on_failure(monkeypatch):
    """Of log beta, from one over the strength on; they grow by half after few Newton steps."""
    asked, both = [], players(CIRCLE)

    def newton(_, guess, fraction, wanted):
        at = float(np.log(fraction))
        asked.append((at, wanted))
        before = [t for t, good in done if good]
        good = not before or at - before[-1] <= 0.5
        done.append((at, good))
        return guess, steps, 0.5e-9 if good else 1.0

    monkeypatch.setattr(home, "newton", newton)
    monkeypatch.setattr(home, "strength", lambda _: np.exp(2.0))
    half, more = 0.5, 1.5
    first, second = np.log(2) * more, np.log(2) * more * half * half
    third = second * more
    cases = {
        6: [-2, -2 + first, -2 + first * half, -2 + second, -2 + second + third],
        7: [-2, -2 + np.log(2), -2 + np.log(2) * half, -2 + np.log(2)],
    }
    for steps, taken in cases.items():
        asked.clear()
        done = []
        _, path = home.continued(both, 1e-12, None)
        assert [t for t, _ in asked[: len(taken)]] == pytest.approx(taken)
        assert asked[-1] == (0.0, 1e-12) and {w for t, w in asked if t < 0} == {1e-6}
        fractions = [np.exp(t) for t, good in done if good]
        assert [row[0] for row in path] == pytest.approx(fractions) and path[-1][0] == 1.0
        assert all(row[1:] == (steps, 0.5e-9) for row in path)
    done = [(-9.0, True)]
    with pytest.raises(mf.NotConverged, match="was followed up to 0 of beta; at 0.135"):
        home.continued(both, 1e-12, None)
