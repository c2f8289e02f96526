"""Games with known answers: every statement checked by numbers that the games do not supply."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

import meanfield as mf
from benchmarks.problems import PROBLEMS
from meanfield.games.lowrank import LowRank

games = mf.games
T1, S2 = mf.Torus(1), mf.Sphere(2)


def grid(n, period=2 * np.pi):
    return np.arange(n)[:, None] * (period / n)


def random_pairs(game, n=50, m=40, seed=0):
    rng = np.random.default_rng(seed)
    return game.X.sample(n, rng), game.Y.sample(m, rng)


BUILDERS = [
    games.oscillator, games.uniform_equilibrium, games.free, games.double_well, games.wang_chizat,
    games.bilinear,
    games.benchmark, lambda: games.benchmark("torus"), lambda: games.benchmark("sphere"),
    lambda: games.free(S2, mf.Torus(2)), lambda: games.oscillator(1.5),
]  # fmt: skip


@pytest.mark.parametrize("build", BUILDERS, ids=range(len(BUILDERS)))
def test_every_known_game_is_low_rank_and_states_its_facts(build):
    game = build()
    assert (
        isinstance(game, LowRank) and len(game.statement) > 40 and game.statement.startswith("l = ")
    )
    x, y = random_pairs(game)
    assert np.isfinite(game.loss(x, y)).all() and game.name in repr(game)


LOSSES = [
    (
        games.oscillator,
        "-2/3*cos(x) + 5/12*cos(2*x) + 2/3*cos(y) - 5/12*cos(2*y) + 3*sin(x)*sin(y)",
    ),
    (games.double_well, "cos(2*x) + 0.3*sin(x) - cos(2*y) - 0.3*sin(y)"),
    (lambda: games.uniform_equilibrium(1.7, 3), "1.7*cos(3*(x - y))"),
    (lambda: games.uniform_equilibrium(2, (1, -2)), "2*cos(x1 - 2*x2 - y1 + 2*y2)"),
    (games.wang_chizat, "sin(4*pi*x) + sin(4*pi*y) + 2*cos(2*pi*(x + y))"),
    (games.benchmark, "cos(x - y) + 0.5*sin(2*x)*cos(y) + 0.3*cos(3*y)"),
    (
        lambda: games.benchmark("torus"),
        "cos(x1 - y1) + 0.7*cos(x2 - y2) + 0.5*sin(2*x1 + x2)*cos(y1) + 0.3*cos(3*y2) + "
        "0.4*cos(x1 - x2)*sin(y1 + y2)",
    ),
    (
        lambda: games.benchmark("sphere"),
        "0.8*x1*y1 - 0.5*x1*y2 + 0.2*x1*y3 + 0.3*x2*y1 + 0.6*x2*y2 - 0.7*x2*y3 - 0.2*x3*y1 + "
        "0.4*x3*y2 + 0.5*x3*y3"
        "+ 0.3*x1 + 0.2*x3 - 0.3*y2 + 0.1*y3 + 0.5*x1**2 + 0.4*x1*x2 - 0.3*x2**2 + 0.2*x2*x3 - "
        "0.2*x3**2",
    ),
    (games.bilinear, "x1*y1 + x2*y2 + x3*y3"),
]


@pytest.mark.parametrize(("build", "text"), LOSSES, ids=range(len(LOSSES)))
def test_losses_are_those_stated(build, text):
    game = build()
    x, y = random_pairs(game)
    np.testing.assert_allclose(
        game.loss(x, y), games.expression(text, *game.manifolds).loss(x, y), atol=1e-14
    )


def test_oscillator_carries_its_numbers_only_where_they_hold():
    assert games.oscillator().answers["period"] == 4.0343 and not games.oscillator(2.0).answers
    start = games.oscillator().answers["start"]
    x = np.linspace(0, 6, 50)[:, None]
    for law, c in zip(start.laws(T1, T1), (1.1, 0.0), strict=True):
        ratio = law.density(x) / np.exp((np.cos(x[:, 0] - c) - 1) / 0.04)
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-10)


def test_the_oscillators_numbers_are_those_of_its_statement():
    """They come from runs that the validation repeats; the eigenvalues are computed here."""
    game = games.oscillator()
    answers, told = game.answers, game.statement
    low, high = answers["norm"]
    assert f"norm in [{low}, {high}] and turns with period {answers['period']} by" in told
    assert f"{answers['period_by_crossings']} by the mean" in told and "over t in [20, 60]" in told
    assert answers["window"] == (20, 60) and f"beta = {answers['beta']:g}, from" in told
    first, second = answers["gibbs_eigenvalues"]
    assert f"{first.real} +- {first.imag} i" in told and second == first.conjugate()
    found = mf.stability(game, beta=answers["beta"], cells=96).eigenvalues[:2]
    wanted = sorted((first, second), key=lambda z: z.imag)
    np.testing.assert_allclose(sorted(found, key=lambda z: z.imag), wanted, atol=6e-6)


@pytest.mark.parametrize(("amplitude", "k"), [(1.0, 1), (-2.5, 3), (0.7, (2, -1))])
def test_uniform_equilibrium_is_linearised_as_stated(amplitude, k):
    """One cosine in mode k moves the opponent's cost by A/2 cos; (7) then has -+ |k|^2 A/2 off the
    diagonal.
    """
    game, beta = games.uniform_equilibrium(amplitude, k), 4.0
    mode = np.atleast_1d(k)
    axes = np.meshgrid(*[grid(16)[:, 0]] * len(mode), indexing="ij")
    nodes = np.stack([a.ravel() for a in axes], 1)
    flat = mf.Measure(nodes, None, game.X)
    for p in (0, 1):
        np.testing.assert_allclose(game.cost(p, nodes, flat), 0, atol=1e-14)
    wave, eps = np.cos(nodes @ mode), 0.5
    bumped = mf.Measure(nodes, (1 + eps * wave) / len(nodes), game.X)
    J = np.diag([-(mode @ mode) / beta] * 2)
    for p in (0, 1):
        response = game.laplacian(p, nodes, bumped)
        J[p, 1 - p] = response @ wave / (wave @ wave) / eps
        np.testing.assert_allclose(response, J[p, 1 - p] * eps * wave, atol=1e-12)
    have = np.sort_complex(np.linalg.eigvals(J))
    np.testing.assert_allclose(have, np.sort_complex(game.answers["eigenvalues"](beta)), atol=1e-12)


def test_free_motion_decays_by_the_eigenvalues_of_the_laplacian():
    """decay = exp(lambda t/beta), lambda read off Laplacians of games that have the eigenfunctions
    as costs.
    """
    cases = [
        (games.free(), games.expression("cos(3*x)*cos(y)"), 3, T1),
        (games.free(S2), games.expression("x3*y1", S2, S2), 1, S2),
        (games.free(S2), games.expression("x3*x1*y1", S2, S2), 2, S2),
        (
            games.free(mf.Sphere(4)),
            games.expression("x2*y1", mf.Sphere(4), mf.Sphere(4)),
            1,
            mf.Sphere(4),
        ),
    ]
    for free, probe, degree, manifold in cases:
        x, y = random_pairs(free)
        assert not free.loss(x, y).any()
        one = mf.Measure(y[:1], None, manifold)
        u, lap = probe.cost(0, x, one), probe.laplacian(0, x, one)
        rate = lap @ u / (u @ u)
        np.testing.assert_allclose(lap, rate * u, atol=1e-12)
        assert free.answers["decay"](0, degree, 5.0, 0.7) == pytest.approx(
            np.exp(rate * 0.7 / 5.0), rel=1e-12
        )
    assert games.free(mf.Sphere(4)).answers["decay"](0, 1, 1.0, 1.0) == pytest.approx(
        np.exp(-4.0), rel=1e-14
    )
    with pytest.raises(TypeError, match="tori and spheres"):
        games.free("circle")


WAVES = [(1, 0.3, -0.8), (2, 1.0, 0.2), (3, -0.4, 0.5), (5, 0.3, 0.0)]


def test_wells_hold_every_local_minimum():
    well = games.separable(WAVES).answers["f"]
    x = grid(200_000)[:, 0]
    f = sum(re * np.cos(k * x) - im * np.sin(k * x) for k, re, im in WAVES)
    low = np.flatnonzero((f < np.roll(f, 1)) & (f < np.roll(f, -1)))
    high = np.flatnonzero((f > np.roll(f, 1)) & (f > np.roll(f, -1)))
    assert len(low) == len(well.minima) > 2
    np.testing.assert_allclose(np.sort(well.minima), x[low], atol=1e-4)
    np.testing.assert_allclose(well.maxima, x[high], atol=1e-4)
    np.testing.assert_allclose(well.values, np.sort(f[low]), atol=1e-8)
    np.testing.assert_allclose(well(well.minima, order=1), 0, atol=1e-13)
    assert (np.diff(well.values) >= 0).all()


def test_wells_know_where_descent_ends():
    well = games.separable(WAVES).answers["f"]
    slope = lambda t, x: -well(x, order=1)  # noqa: E731
    for start in np.linspace(0.05, 6.2, 12):
        end = solve_ivp(slope, (0, 60), [start], rtol=1e-8, atol=1e-10).y[0, -1]
        assert well(end) == pytest.approx(well.reached(start), abs=1e-6)


def test_double_well_is_exact():
    for tilt in (0.3, 2.0, 3.9):
        a = games.double_well(tilt).answers
        np.testing.assert_allclose(a["f"].values, [a["f_min"], a["f_loc"]], atol=1e-14)
        np.testing.assert_allclose(a["f"].minima, [a["x_min"], a["x_loc"]], atol=1e-13)
        np.testing.assert_allclose(a["f"].maxima, a["basin"], atol=1e-13)
        assert a["plain_ni"](1.6, 1.5) == pytest.approx(a["trapped_ni"], abs=1e-14)
        assert a["plain_ni"](4.0, 5.0) == 0
    for tilt in (0.0, 4.0, -1.0):
        with pytest.raises(ValueError, match="tilt"):
            games.double_well(tilt)


def test_trapped_plain_flow_has_the_stated_nikaido_isoda_error():
    game = games.double_well()
    a = game.answers
    trap = mf.Measure([[a["x_loc"]]], None, T1)
    for p in (0, 1):
        np.testing.assert_allclose(game.gradient(p, trap.points, trap), 0, atol=1e-14)
    x = grid(4096)
    ni = game.potential_y(x, trap).max() - game.potential_x(x, trap).min()
    assert ni == pytest.approx(4 * 0.3, abs=1e-12)


def test_gibbs_laws_and_spectral_gaps_of_separable_games():
    well, beta = games.separable(WAVES).answers["f"], 3.0
    Z = quad(lambda t: np.exp(-beta * float(well(t))), 0, 2 * np.pi, epsabs=1e-13)[0]
    x = np.linspace(0, 6, 7)
    np.testing.assert_allclose(well.gibbs(x, beta), np.exp(-beta * well(x)) / Z, rtol=1e-11)
    gaps = []
    for n in (160, 320):
        # Two-point fluxes with square-root weights, symmetric in the Gibbs weight.
        nodes, h = grid(n)[:, 0], 2 * np.pi / n
        f = well(nodes)
        up = np.exp(-beta * (np.roll(f, -1) - f) / 2) / (beta * h * h)
        down = np.exp(-beta * (np.roll(f, 1) - f) / 2) / (beta * h * h)
        i = np.arange(n)
        A = np.zeros((n, n))
        A[(i + 1) % n, i], A[(i - 1) % n, i] = (
            np.sqrt(up * np.roll(down, -1)),
            np.sqrt(down * np.roll(up, 1)),
        )
        A[i, i] = -up - down
        gaps.append(-np.linalg.eigvalsh(A)[-2])
    assert well.spectral_gap(beta) == pytest.approx((4 * gaps[1] - gaps[0]) / 3, rel=2e-5)
    flat = games.separable([(1, 1e-9, 0.0)]).answers["f"]
    assert flat.spectral_gap(2.0) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize(
    ("waves", "message"),
    [([], "constant"), ([(0, 1.0, 0.0)], "constant"), ([(1, 1.0)], r"f\[0\] must be"),
     ([(1.5, 1.0, 0.0)], "whole"),
     ([(-1, 1.0, 0.0)], "at least 0"), ([(1, np.inf, 0.0)], "finite")],
)  # fmt: skip
def test_bad_waves_are_refused(waves, message):
    with pytest.raises(ValueError, match=message):
        games.separable(waves)


def test_wang_chizat_equilibrium_has_no_gradient_and_no_regret():
    game = games.wang_chizat()
    mu, nu = game.answers["equilibrium"]
    np.testing.assert_allclose(game.gradient_x(mu.points, nu), 0, atol=1e-13)
    np.testing.assert_allclose(game.gradient_y(nu.points, mu), 0, atol=1e-13)
    x = grid(10_000, 1.0)
    assert game.potential_y(x, mu).max() == pytest.approx(0, abs=1e-14)
    assert game.potential_x(x, nu).min() == pytest.approx(0, abs=1e-14)
    assert game.value(mu, nu) == pytest.approx(0, abs=1e-15)
    assert (game.hessian(0, mu.points, nu) > 1).all() and (game.hessian(1, nu.points, mu) > 1).all()


@pytest.mark.parametrize(("a", "b"), [(0.1, -0.2), (0.45, 0.3), (0.0, 0.01)])
def test_wang_chizat_weights_move_as_stated(a, b):
    """The statement's velocity against equation (8) read off the game; positions stay, the
    invariant too.
    """
    game, alpha = games.wang_chizat(), 1.7
    answers = game.answers
    mu, nu = answers["measures"](a, b)
    rates = []
    for p, own, other in ((0, mu, nu), (1, nu, mu)):
        np.testing.assert_allclose(game.gradient(p, own.points, other), 0, atol=1e-13)
        U = game.cost(p, own.points, other)
        rates.append((-alpha * own.masses * (U - own.masses @ U))[0])
    np.testing.assert_allclose(rates, answers["velocity"](a, b, alpha), atol=1e-14)
    gradient = [-2 * a * (0.25 - b * b), -2 * b * (0.25 - a * a)]
    assert np.dot(gradient, rates) == pytest.approx(0, abs=1e-15)
    run = solve_ivp(
        lambda t, s: answers["velocity"](*s, alpha), (0, 10), [a, b], rtol=1e-11, atol=1e-13
    )
    np.testing.assert_allclose(answers["conserved"](*run.y), answers["conserved"](a, b), rtol=1e-8)


def test_wang_chizat_small_orbits_have_the_stated_period():
    answers, alpha = games.wang_chizat().answers, 2.5
    period = answers["period"](alpha)
    run = solve_ivp(
        lambda t, s: answers["velocity"](*s, alpha),
        (0, period),
        [1e-4, 0.0],
        rtol=1e-12,
        atol=1e-18,
    )
    np.testing.assert_allclose(run.y[:, -1], [1e-4, 0.0], atol=1e-11)


def test_bilinear_nikaido_isoda_is_exact():
    rng = np.random.default_rng(0)
    game = games.bilinear(rng.standard_normal((2, 3)))
    S1 = mf.Sphere(1)
    mu, nu = (mf.Measure(M.sample(4, rng), None, M) for M in (S1, S2))
    angle = grid(20_000)
    best_x = game.potential_x(np.concatenate([np.cos(angle), np.sin(angle)], 1), nu).min()
    best_y = game.potential_y(S2.sample(400_000, rng), mu).max()
    assert best_y - best_x == pytest.approx(game.answers["ni"](mu, nu), abs=1e-4)
    assert best_y - best_x <= game.answers["ni"](mu, nu) + 1e-12
    flat = mf.Measure(np.concatenate([np.eye(3), -np.eye(3)]), None, S2)
    assert games.bilinear().answers["ni"](flat, flat) == 0


def test_benchmarks_are_named_and_start_from_positive_densities():
    for which in ("circle", "torus", "sphere"):
        game = games.benchmark(which)
        assert (game.answers["beta"], game.answers["time"]) == (10, 5)
        x, y = random_pairs(game)
        for law, points in zip(game.answers["start"].laws(*game.manifolds), (x, y), strict=True):
            assert (law.density(points) > 0).all()
    with pytest.raises(ValueError, match="circle, torus, sphere"):
        games.benchmark("plane")


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_the_problems_that_are_timed_are_these(problem):
    game = games.benchmark(problem.name)
    x, y = random_pairs(game)
    np.testing.assert_allclose(problem.game.loss(x, y), game.loss(x, y), atol=1e-13)


def test_numbers_at_the_edge_of_what_is_taken():
    limit = 10**9
    assert games.uniform_equilibrium(1.0, -limit).answers["value"] == 0
    assert mf.Sphere(1) == games.bilinear(dim=2).X and games.bilinear().X == S2
    assert games.bilinear().answers["best_response_rate"](2) == 2.0
    assert games.double_well(3.999).answers["f_loc"] == pytest.approx(2.999)
    for make in (
        lambda: games.uniform_equilibrium(1.0, -limit - 1), lambda: games.bilinear(dim=1),
        lambda: games.uniform_equilibrium(1.0, (0, 0)), lambda: games.bilinear([1.0, 2.0]),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            make()
    for game in (games.uniform_equilibrium(), games.free(), games.wang_chizat(), games.bilinear()):
        assert game.answers["value"] == 0


def test_a_gap_lost_in_rounding_is_not_given():
    well = mf.games.double_well().answers["f"]
    assert well.spectral_gap(8.0) > 0
    with pytest.raises(ValueError, match="rounding hides it"):
        well.spectral_gap(20.0)


SEPARABLE = lambda: games.separable([(1, 0.5, 0.2), (2, 1.0, 0.0)])  # noqa: E731


@pytest.mark.parametrize("build", [*BUILDERS, SEPARABLE], ids=range(len(BUILDERS) + 1))
def test_known_games_pickle_with_their_answers(build):
    game = build()
    again = pickle.loads(pickle.dumps(game))
    assert (again.name, again.statement) == (game.name, game.statement)
    assert again.answers.keys() == game.answers.keys()
    rng = np.random.default_rng(0)
    x, y = game.X.sample(5, rng), game.Y.sample(4, rng)
    assert (again.loss(x, y) == game.loss(x, y)).all()


def test_loaded_games_answer_as_before():
    game = pickle.loads(pickle.dumps(SEPARABLE()))
    assert game.answers["plain_ni"](1.5, 1.4) >= 0 and game.swapped().name.endswith("swapped")
    x, y = (mf.Measure(np.eye(3)[:2], None, mf.Sphere(2)) for _ in range(2))
    ni = pickle.loads(pickle.dumps(mf.games.bilinear())).answers["ni"]
    assert ni(x, y) == mf.games.bilinear().answers["ni"](x, y) == pytest.approx(2**0.5)


def test_no_module_takes_the_place_of_a_game_of_its_name():
    """Importing it would: names load on first use, and a package holds its modules by name."""
    from meanfield.games.catalogue import HOMES

    assert not set(HOMES) & {path.stem for path in Path(games.__file__).parent.iterdir()}


def test_every_constructor_of_the_catalogue_has_its_keys():
    from meanfield.cli.build import arguments
    from meanfield.games.catalogue import CONSTRUCTORS

    keys = {name: set(arguments(name)) for name in CONSTRUCTORS}
    assert keys["oscillator"] == {"coupling"} and keys["polynomial"] == {"kind", "dim", "seed"}
    assert keys["wang_chizat"] == set() and keys["separable"] == {"f", "g"}
    assert keys["expression"] == {"expression", "constants", "X", "Y", "truncate"}
