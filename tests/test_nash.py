"""Exact equilibria against linear and semidefinite programs, closed forms and their own
certificates.
"""

from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import linprog

import meanfield as mf
from meanfield.equilibria.nash import nash
from meanfield.equilibria.support import Signed, Unknowns, clustered, losses, uniqueness
from meanfield.games.base import Game
from meanfield.manifolds import unit
from meanfield.responses import Searches
from validation.equilibria import example, grids, program


def grid_value(A):
    """Value of the matrix game A (rows minimise), with no code of the package's."""
    n, m = A.shape
    answer = linprog(
        np.r_[np.zeros(n), 1.0], A_ub=np.c_[A.T, -np.ones(m)], b_ub=np.zeros(m),
        A_eq=np.r_[np.ones(n), 0.0][None], b_eq=[1.0], bounds=[(0, None)] * n + [(None, None)],
    )  # fmt: skip
    return answer.fun


@pytest.mark.parametrize("kind", ["a", "b"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_value_on_the_circle_agrees_with_a_grid(kind, seed):
    found = grids(kind, seed, forgotten=False, tol=1e-9, N=400)
    assert found["off"] < 1 and found["certificate"] < 1e-12


@pytest.mark.parametrize("kind", ["a", "b"])
@pytest.mark.parametrize("d", [2, 3, 5, 10, 20, 30])
def test_values_agree_with_semidefinite_programs(kind, d):
    pytest.importorskip("cvxpy", reason="needs the extra `sdp`: pip install meanfield-zerosum[sdp]")
    found = program(kind, d, 1, forgotten=False)
    assert found["off"] < 2e-7 and found["certificate"] < 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_values_on_tori_agree_with_grid_programs_at_second_order(seed):
    """A grid that has h = 2 pi/N between its points misses the value by O(h^2)."""
    rng = np.random.default_rng(seed)
    terms = [
        ((int(k),), (int(q),), *rng.standard_normal(2)) for k, q in rng.integers(-3, 4, (8, 2))
    ]
    game = mf.games.trigonometric(terms)

    def loss(x, y):
        phases = [k[0] * x[:, None] + q[0] * y[None] for k, q, _, _ in terms]
        return sum(
            re * np.cos(p) - im * np.sin(p) for p, (_, _, re, im) in zip(phases, terms, strict=True)
        )

    found = nash(game)
    assert found.certified and found.error < 1e-8
    bend = sum(np.hypot(re, im) * max(abs(k[0]), abs(q[0])) ** 2 for k, q, re, im in terms)
    for N in (96, 192):
        points = 2 * np.pi * np.arange(N) / N
        assert abs(found.value - grid_value(loss(points, points))) < bend * (np.pi / N) ** 2 / 2


@pytest.mark.parametrize("game, value", [
    (mf.games.uniform_equilibrium(1.5, 2), 0.0),
    (mf.games.uniform_equilibrium(1.0, (1, 2)), 0.0),
    (mf.games.double_well(0.3), 0.0),
    (mf.games.separable([(2, 1.0, 0.5)], [(1, 2.0, 0.0)]), -np.hypot(1, 0.5) + 2.0),
    (mf.games.bilinear(dim=4), 0.0),
    (mf.games.polynomial_from(np.diag([-2.0, 1.0, 3.0]), np.zeros((3, 3)), 0, 0, 0,
                              [0.0, 3.0, 4.0]), 3.0),
])  # fmt: skip
def test_closed_values(game, value):
    found = nash(game)
    assert found.value == pytest.approx(value, abs=1e-10)
    assert found.lower - 1e-10 <= value <= found.upper + 1e-10
    assert found.certified and found.error < 1e-8


@pytest.mark.parametrize("kind", ["a", "b"])
@pytest.mark.parametrize("dim", [3, 5, 20])
def test_certificate_closes_in_higher_dimension(kind, dim):
    for seed in range(3):
        found = nash(mf.games.polynomial(kind, dim=dim, seed=seed))
        assert found.certified and found.error < 1e-9
        assert found.lower - 1e-9 <= found.value <= found.upper + 1e-9


def test_wang_chizat_example():
    found = example()
    assert found["w2"] < 1e-8 and abs(found["value"]) < 1e-12


def test_swapping_the_players_negates_the_value():
    game = mf.games.polynomial("a", dim=4, seed=5)
    assert nash(game.swapped()).value == pytest.approx(-nash(game).value, abs=1e-10)


def test_a_certificate_is_not_given_away():
    # A wrong strategy pair must show a gap: the certificate measures, it does not assume.
    game = mf.games.polynomial("a", dim=3, seed=0)
    found = nash(game)
    moved = mf.Measure(found.x.manifold.sample(1, np.random.default_rng(0)), None, found.x.manifold)
    assert mf.nikaido_isoda(game, moved, found.y).lower > 1e-2
    with pytest.raises(ValueError, match="tol"):
        nash(game, tol=-1.0)


def test_uniqueness_is_told():
    only = nash(mf.games.polynomial("a", dim=5, seed=0))
    assert only.unique is True and "only equilibrium" in repr(only)
    for game in (mf.games.uniform_equilibrium(1.5, 2), mf.games.bilinear(dim=3), mf.games.free()):
        found = nash(game)
        assert (
            found.unique is None and "degenerate" in found.remark
        )  # many, and not claimed to be one
        assert found.certified and found.error < 1e-9


def test_free_weights_are_a_continuum_of_equilibria():
    """l = cos 2x + cos y: x may put any weights on pi/2 and 3 pi/2, y sits at 0."""
    game = mf.games.trigonometric([((2,), (0,), 1.0, 0.0), ((0,), (1,), 1.0, 0.0)])
    both = mf.Measure([[np.pi / 2], [3 * np.pi / 2]], [0.3, 0.7], game.X)
    found = nash(game, start=(both, mf.Measure([[0.0]], None, game.Y)))
    assert found.value == pytest.approx(0.0, abs=1e-12)
    assert found.unique is not True
    responses = Searches(game).best_response(0, found.y), Searches(game).best_response(1, found.x)
    unique, remark = uniqueness(game, both, found.y, responses, 0.0)
    assert unique is False and "1 and 0 directions" in remark


def test_free_weights_of_either_player_are_told_on_spaces_of_unlike_dimension():
    """l = cos x1 + cos(2 y1) + cos y2: y may put any weights on y1 = 0 and pi."""
    game = mf.games.trigonometric([
        ((1,), (0, 0), 1.0, 0.0), ((0,), (2, 0), 1.0, 0.0), ((0,), (0, 1), 1.0, 0.0),
    ])  # fmt: skip
    mu_x = mf.Measure([[np.pi]], None, game.X)
    both = mf.Measure([[0.0, 0.0], [np.pi, 0.0]], [0.3, 0.7], game.Y)
    for turned in (False, True):
        played, pair = (game.swapped(), (both, mu_x)) if turned else (game, (mu_x, both))
        responses = [Searches(played).best_response(p, pair[1 - p]) for p in (0, 1)]
        unique, remark = uniqueness(played, *pair, tuple(responses), 0.0)
        assert unique is False and ("1 and 0" if turned else "0 and 1") in remark


def test_starts_must_fit_the_game():
    game = mf.games.polynomial("a", dim=3, seed=0)
    with pytest.raises(ValueError, match="start's y"):
        nash(game, start=(mf.uniform(game.X), mf.uniform(mf.Torus(1))))


def test_the_torus_benchmark_is_certified_along_its_valleys():
    found = nash(mf.games.benchmark("torus"))
    assert found.certified and found.error < 1e-7
    assert (
        found.lower <= 0.3 + 1e-12 and found.upper >= 0.3 - 1e-12
    )  # cos 3y at its best, the rest mixed away


def _random_trigonometric(size=1.0, period=2 * np.pi):
    rng, circle = np.random.default_rng(0), mf.Torus(1, period=period)
    terms = [
        ((k,), (m,), *(size * rng.standard_normal(2))) for k in range(-2, 3) for m in range(-2, 3)
    ]
    return mf.games.trigonometric(terms, circle, circle)


@pytest.mark.parametrize(("size", "period"), [(1e-12, 1.0), (1e-6, 1e-6), (1e9, 1e6)])
def test_neither_the_size_of_losses_nor_of_the_torus_matters(size, period):
    unit, other = nash(_random_trigonometric()), nash(_random_trigonometric(size, period))
    assert other.value / size == pytest.approx(unit.value, abs=1e-9)
    assert other.error < 2e-9 * size and (unit.unique, other.unique) == (True, True)
    points = [np.sort(e.x.points[:, 0]) / e.x.manifold.period for e in (unit, other)]
    np.testing.assert_allclose(*points, atol=1e-7)


def test_an_equilibrium_where_all_losses_vanish():
    game = mf.games.trigonometric([((1,), (0,), 0.0, 1.0), ((0,), (1,), 0.0, 1.0)])  # sin x + sin y
    begun = [mf.Measure([[angle]], None, game.X) for angle in (3 * np.pi / 2, np.pi / 2)]
    found = nash(game, start=(begun[0], begun[1]))
    assert game.loss(found.x.points, found.y.points) == pytest.approx(0.0, abs=1e-15)
    assert found.error < 1e-9 and found.unique is True
    assert nash(mf.games.trigonometric([((1,), (1,), 0.0, 0.0)])).value == 0.0


def test_equilibria_are_drawn_with_their_certificate():
    game = mf.games.polynomial("a", dim=3, seed=0)
    found = nash(game)
    for result in (found, mf.polish(game, found.x, found.y)):
        figure = result.plot()
        assert [ax.get_title() for ax in figure.axes[:2]] == [r"$\mu_x$", r"$\mu_y$"]
        title = figure._suptitle.get_text()
        assert "equilibrium, value" in title and "NI" in title and "(certified)" in title


@pytest.mark.parametrize(
    "wrong", [{"seed": -1}, {"seed": "1"}, {"tol": "1"}, {"tol": 0}, {"rounds": 0}]
)
def test_bad_settings_are_refused(wrong):
    with pytest.raises((TypeError, ValueError), match=f"^{next(iter(wrong))} must be"):
        nash(mf.games.oscillator(), **wrong)


@pytest.mark.parametrize("call", [nash, lambda g: mf.polish(g, None, None), mf.NikaidoIsoda])
def test_no_game_is_refused(call):
    with pytest.raises(TypeError, match="game must be a meanfield game, got NoneType"):
        call(None)


def test_clusters_are_the_heaviest_atoms_with_the_weights_of_those_near():
    """Nearer than a thousandth of the manifold's unit; what weighs 1e-9 or less counts for none."""
    circle = mf.Torus(1, period=2 * np.pi * 5.0)  # of unit 5
    points = np.array([1.0, 1.0 + 0.00499, 1.0 - 0.00501, 3.0, 3.0 + 0.00499, 9.0, 12.0])
    masses = np.array([0.2, 0.05, 0.15, 0.1, 0.3, 0.9e-9, 0.2])
    masses[6] += 1 - masses.sum()
    found = clustered(mf.Measure(points[:, None], masses, circle))
    assert found.points[:, 0].tolist() == [3.0 + 0.00499, 1.0, 12.0, 1.0 - 0.00501]
    kept = np.array([0.4, 0.25, masses[6], 0.15])
    np.testing.assert_allclose(found.masses, kept / kept.sum(), rtol=1e-14)


def bent(bend):
    """l = bend cos x + cos y, its equilibrium at pi and 0, and the best responses there."""
    game = mf.games.trigonometric([((1,), (0,), bend, 0.0), ((0,), (1,), 1.0, 0.0)])
    pair = mf.Measure([[np.pi]], None, game.X), mf.Measure([[0.0]], None, game.Y)
    return game, *pair, [Searches(game).best_response(p, pair[1 - p]) for p in (0, 1)]


def test_uniqueness_is_told_near_equilibria_alone_and_where_costs_curve_upwards():
    """Within a millionth of the range of losses, and for curvatures beyond as much of it."""
    game, mu_x, mu_y, responses = bent(1.0)
    size = losses(game, mu_x.points, mu_y.points)
    for error, told in ((0.999e-6, True), (1.001e-6, None)):
        assert uniqueness(game, mu_x, mu_y, responses, error * size)[0] is told
    small = losses(bent(0.0)[0], mu_x.points, mu_y.points)
    assert size > 1.5 * small > 1
    for bend, told in ((1.01e-6, True), (0.99e-6, None)):
        assert uniqueness(*bent(bend * small), 0.0)[0] is told


def test_another_best_response_is_one_whose_cost_is_as_low_but_for_ten_errors():
    """l = cos 2x + tilt cos x: x = pi/2 and 3 pi/2 are as good; a tilt puts one 2 sin above."""
    game = mf.games.trigonometric([((2,), (0,), 1.0, 0.0), ((1,), (0,), 0.0, 0.05),
                                   ((0,), (1,), 1.0, 0.0)])  # fmt: skip
    mu_y = mf.Measure([[0.0]], None, game.Y)
    to_y = Searches(game).best_response(0, mu_y)
    best = to_y.minimisers[np.argmin(to_y.values)]
    mu_x = mf.Measure([best], None, game.X)
    two = replace(to_y, minimisers=np.array([best, 2 * np.pi - best]),
                  values=to_y.value + np.array([0.0, 1e-7]))  # fmt: skip
    to_x = Searches(game).best_response(1, mu_x)
    size = losses(game, mu_x.points, mu_y.points)
    edge = (1e-7 - 1e-9 * size) / 10
    for error, told in ((0.99 * edge, True), (1.01 * edge, None)):
        unique, remark = uniqueness(game, mu_x, mu_y, (two, to_x), error)
        assert unique is told and (told or "x has a best response that carries no weight" in remark)


home = import_module("meanfield.equilibria.nash")  # the name itself is the function


@pytest.mark.parametrize(
    ("merged", "found", "which"),
    [(0.99, 0.0, "merged"), (1.01, 0.0, "found"), (1.01, 2.0, "merged"), (5.0, 5.1, "merged"),
     (5.1, 5.0, "found"), (None, 9.0, "found")],
)  # fmt: skip
def test_refined_supports_are_taken_where_they_are_better_or_err_by_rounding(
    merged, found, which, monkeypatch
):
    """In units of 1e-13 of the losses met."""
    game, mu_x, mu_y, _ = bent(1.0)
    unit = 1e-13 * losses(game, mu_x.points, mu_y.points)
    pair = None if merged is None else (mu_x, mu_y)
    monkeypatch.setattr(home, "refine", lambda *_: pair)
    asked = SimpleNamespace(x=mu_x, y=mu_y, rounds=3, error=found * unit)
    other = SimpleNamespace(error=(merged or 0) * unit)
    got = home._refined(game, lambda *_, rounds: (other, rounds), asked)
    assert got is (other if which == "merged" else asked)


def test_supports_grow_by_new_responses_that_are_nearly_as_good():
    """Farther than 1e-7 of the unit from all atoms, and within the slack of the best."""
    circle = mf.Torus(1, period=2 * np.pi * 3.0)  # of unit 3
    game = mf.games.trigonometric([((1,), (1,), 1.0, 0.0)], circle, circle)
    support = np.array([[1.0], [2.0]])
    minimisers = np.array([[1.0 + 2.9e-7], [2.0 - 3.1e-7], [5.0], [6.0], [5.0]])
    values = np.array([-1.0, -1.0, -0.9, -0.8999, -0.9])
    response = SimpleNamespace(value=-1.0, minimisers=minimisers, values=values)
    grown = home._grown(game, 0, support, response, 0.1)
    assert grown[:, 0].tolist() == [1.0, 2.0, 2.0 - 3.1e-7, 5.0]


def test_bounds_of_a_loss_with_a_constant_are_rounded_outwards():
    game = mf.games.trigonometric([((1,), (1,), 1.0, 0.0), ((0,), (0,), 1 / 3, 0.0)])
    plain = nash(mf.games.trigonometric([((1,), (1,), 1.0, 0.0)]))
    found = nash(game)
    assert found.value == plain.value + game.constant
    assert found.lower == np.nextafter(plain.lower + game.constant, -np.inf)
    assert found.upper == np.nextafter(plain.upper + game.constant, np.inf)


def drawn(M, n, rng):
    points = (
        rng.normal(size=(n, M.ambient))
        if isinstance(M, mf.Sphere)
        else rng.uniform(0, M.period, (n, M.d))
    )
    masses = rng.random(n)
    return mf.Measure(M.retract(points, 0 * points), masses / masses.sum(), M)


def _function(period):
    """By differences, in the circle's own unit."""
    w, circle = 2 * np.pi / period, mf.Torus(1, period=period)

    def loss(x, y):
        u, v = w * x[..., 0], w * y[..., 0]
        return np.cos(u - v) + 0.3 * np.cos(2 * u) - 0.4 * np.cos(2 * v + 0.3)

    return mf.games.function(loss, circle, circle)


EQUATIONS = {
    "circles": lambda: mf.games.oscillator(coupling=3.0),
    "spheres": lambda: mf.games.polynomial("a", dim=4, seed=0),
    "a short torus": lambda: mf.games.trigonometric(
        [((1, 0), (1, 1), 0.3, 1.0), ((2, 1), (0, 1), -0.5, 0.2), ((1, 1), (0, 0), 0.4, 0.0)],
        mf.Torus(2, period=0.3), mf.Torus(2, period=0.3),
    ),
    "many features": lambda: mf.games.trigonometric(
        [((k,), (-(k % 7),), 1 / k**2, 0.1 / k) for k in range(1, 300)]
    ),
    "a function": lambda: _function(2 * np.pi),
    "a function on a short circle": lambda: _function(1e-6),
    "a function on a long circle": lambda: _function(1e9),
    "high waves": lambda: mf.games.expression(
        "exp(0.3 * cos(10000 * (x - y))) + 0.3 * cos(10000 * x)"
    ),
    "a formula": lambda: mf.games.expression(
        "sin(x1) * cos(2 * y1 - x2) + 0.3 * y2**2 * cos(x1) + 0.2 * y1 * y3",
        mf.Torus(2), mf.Sphere(2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", EQUATIONS)
@pytest.mark.parametrize("away", [0.0, 0.1])
def test_derivatives_of_the_equations_are_their_difference_quotients(kind, away):
    """Slopes are along frames that stand still, as the turning of frames is left out."""
    game, rng = EQUATIONS[kind](), np.random.default_rng(0)
    # Gradients of functions are differences themselves.
    h, within = {"high waves": (1e-9, 1e-6)}.get(
        kind, (1e-4, 1e-5) if "function" in kind else (1e-6, 3e-8)
    )
    equations = Unknowns(game, drawn(game.X, 3, rng), drawn(game.Y, 2, rng))
    z = away * rng.normal(size=equations.size)
    frames = [unit(M) * M.basis(equations.atoms(z, p)[0]) for p, M in enumerate(game.manifolds)]

    def rows(z):
        x, y = (Signed(*equations.atoms(z, p), game.manifolds[p]) for p in (0, 1))
        found = []
        for p, (own, other) in enumerate(((x, y), (y, x))):
            slopes = np.einsum("nia,na->ni", frames[p], game.gradient(p, own.points, other))
            value = (1, -1)[p] * (equations.value + equations.losses * z[-1])
            costs = game.cost(p, own.points, other) - value
            found.append(np.column_stack([slopes, costs]).ravel() / equations.losses)
        return np.concatenate([*found, [x.masses.sum() - 1, y.masses.sum() - 1]])

    quotients = [(rows(z + h * e) - rows(z - h * e)) / (2 * h) for e in np.eye(equations.size)]
    found = equations.jacobian(z)
    assert np.abs(found - np.stack(quotients, 1)).max() < within * np.abs(found).max()
    np.testing.assert_allclose(equations.residual(z), rows(z), atol=1e-14)


@pytest.mark.parametrize("kind", EQUATIONS)
def test_mixed_derivatives_are_those_of_the_swapped_game(kind):
    game, rng = EQUATIONS[kind](), np.random.default_rng(1)
    x, y = drawn(game.X, 3, rng).points, drawn(game.Y, 2, rng).points
    found, other = game.mixed(x, y), -game.swapped().mixed(y, x).transpose(2, 3, 0, 1)
    rough, size = Game.mixed(game, x, y), np.abs(found).max()
    assert np.abs(found - other).max() < (1e-5 if "function" in kind else 1e-13) * size
    assert np.abs(found - rough).max() < (1e-2 if kind == "high waves" else 1e-7) * size


def test_newton_converges_on_circles_of_any_length():
    """A branch of a function's equilibria, by differences in the circle's own unit."""
    for period in (1e-6, 1e6):
        circle, w = mf.Torus(1, period=period), 2 * np.pi / period

        def family(p, circle=circle, w=w):
            def loss(x, y):
                u, v = w * x[..., 0], w * y[..., 0]
                moved = np.cos(u - v) + 0.3 * np.cos(2 * u) - 0.4 * np.cos(2 * v + 0.3)
                return moved + p * np.sin(u)

            return mf.games.function(loss, circle, circle)

        found = mf.branch(family, nash(family(0.1)), 0.1, (0.0, 0.3), step=0.05, progress=False)
        assert found.errors.max() < 1e-9
