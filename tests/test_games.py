"""Losses, costs, gradients, Laplacians and Hessians against derivatives that do not come from the
package.

The oracle is sympy on the same text (written by us, here): a function on a sphere is extended to
x -> f(x/|x|), whose plain gradient and Laplacian at |x| = 1 are the spherical ones.
"""

import math
import pickle

import numpy as np
import pytest

import meanfield as mf
from meanfield.describe import describe, same
from meanfield.games.bases import QuadraticBasis, TrigBasis
from meanfield.games.formulas.domain import resolve
from meanfield.games.formulas.expressions import Expression, numbered
from meanfield.games.formulas.grammar import parse
from meanfield.games.lowrank import LowRank
from validation.equilibria import matrices

T1, T2, S1, S2 = mf.Torus(1), mf.Torus(2), mf.Sphere(1), mf.Sphere(2)

LOWRANK = [
    ("cos(x - y) + 0.3*sin(2*x)*cos(y)", T1, T1),
    ("(sin(x) + 0.2*cos(3*y - x + 0.4))**3/7 - cos(y)*2 + 1.25", T1, T1),
    ("cos(x1 - y) + 0.7*cos(2*x2 - x1)*sin(y)**2", T2, T1),
    ("cos(2*pi*(x - 2*y)) - sin(4*pi*x)", mf.Torus(1, period=1.0), mf.Torus(1, period=0.5)),
    ("x1*y2 + x1**2*y3 - x1*x2 + 3*y1*y2 + cos(0.3)*x3 + 2 + x1**2*y1**2", S2, S2),
    ("(x1 + 2*x2)**2 - (y1 - y2)*(x2 - x1/3) + y3", S1, S2),
    ("x1*cos(y1 + 2*y2) + x2**2*sin(y1) - x1*x3", S2, T2),
    ("0.75", T1, S1),
]
PAIRWISE = [
    ("exp(cos(x - y)) + sqrt(2 + sin(x)*cos(y)) + tanh(sin(x + 2*y))**3", T1, T1),
    ("exp(cos(x1 - y)*sin(x2))/(2 + cos(x2 - y)) + 2**sin(x1)", T2, T1),
    (
        "log(2 + cos(2*pi*x - 4*pi*y)) + sinh(sin(2*pi*x))",
        mf.Torus(1, period=1.0),
        mf.Torus(1, period=0.5),
    ),
    (
        "exp(x1*y2) + x1*x2*y3 + sin(x3 - 2*y1) + x2**3 + atan(y3*x1) + 1/(3 + x2) + log(2 + y1)",
        S2,
        S2,
    ),
    ("exp(cos(x1 - 2*x3))*y1/(2 + y2) + sqrt(1.1 - sin(x2)*y3)", mf.Torus(3), S2),
    (
        "cosh(x1*sin(y)) + asin(0.5*x2) - acos(0.4*x1*cos(y)) + abs(2 + x1)*tan(0.5*x2) + (2 + "
        "x2)**1.5",
        S1,
        T1,
    ),
]
CASES = LOWRANK + PAIRWISE


def pairwise(text, X=None, Y=None, **constants):
    """The expression as a pairwise game, whatever it could be recognised as."""
    parsed = parse(text, constants)
    X, Y = resolve(parsed, X, Y)
    return Expression(*numbered(parsed, X), X, Y, text)


def oracle(text, X, Y, x, y):
    """l (n, m), for each player the gradient (n, m, a), Laplacian (n, m) and ambient Hessian (n, m,
    a, a) by sympy.
    """
    import sympy as sp

    symbols = [list(sp.symbols(f"{c}1:{m.ambient + 1}")) for c, m in (("x", X), ("y", Y))]
    names = {str(s): s for group in symbols for s in group}
    names |= {c: group[0] for c, group in zip("xy", symbols, strict=True)}
    names["abs"] = lambda u: sp.sqrt(u**2)  # sympy leaves derivatives of Abs undone
    loss = sp.sympify(text, locals=names)
    answers = []
    for group, manifold in zip(symbols, (X, Y), strict=True):
        extended = loss
        if isinstance(manifold, mf.Sphere):
            norm = sp.sqrt(sum(s**2 for s in group))
            extended = loss.subs({s: s / norm for s in group}, simultaneous=True)
        gradient = [sp.diff(extended, s) for s in group]
        answers += gradient + [sp.diff(g, s) for g in gradient for s in group]
    f = sp.lambdify([*symbols[0], *symbols[1]], [loss, *answers], "numpy", cse=True)
    values = f(*(c[:, None] for c in x.T), *(c[None, :] for c in y.T))
    values = np.stack([np.broadcast_to(v, (len(x), len(y))) for v in values], -1)
    found, at = [], 1
    for a in (X.ambient, Y.ambient):
        H = values[..., at + a : at + a + a * a].reshape(len(x), len(y), a, a)
        found.append((values[..., at : at + a], np.trace(H, axis1=2, axis2=3), H))
        at += a + a * a
    return values[..., 0], found


def draw(X, Y, n=6, m=5, seed=0):
    rng = np.random.default_rng(seed)
    masses = [rng.random(k) for k in (n, m)]
    mu, nu = (
        mf.Measure(M.sample(k, rng), w / w.sum(), M)
        for M, k, w in zip((X, Y), (n, m), masses, strict=True)
    )
    return mu, nu


@pytest.mark.parametrize(("text", "X", "Y"), CASES, ids=range(len(CASES)))
def test_every_derivative_equals_sympy(text, X, Y):
    game = mf.games.expression(text, X, Y)
    assert isinstance(game, LowRank) == ((text, X, Y) in LOWRANK)
    mu, nu = draw(X, Y)
    loss, ((gx, lx, hx), (gy, ly, hy)) = oracle(text, X, Y, mu.points, nu.points)
    np.testing.assert_allclose(game.loss(mu.points, nu.points), loss, atol=1e-13)
    assert game.value(mu, nu) == pytest.approx(mu.masses @ loss @ nu.masses, abs=1e-13)
    scale = 1e-12 * (1 + max(np.abs(hx).max(), np.abs(hy).max()))
    for p, own, other, cost, g, lap, H in (
        (0, mu, nu, loss, gx, lx, hx),
        (1, nu, mu, -loss.T, -gy.swapaxes(0, 1), -ly.T, -hy.swapaxes(0, 1)),
    ):
        frame = game.manifolds[p].basis(own.points)
        bent = frame @ np.einsum("nmab,m->nab", H, other.masses) @ frame.transpose(0, 2, 1)
        for have, want in (
            (
                game.cost(p, own.points, other),
                cost @ other.masses - (1, -1)[p] * game.constant,
            ),
            (game.gradient(p, own.points, other), np.einsum("nma,m->na", g, other.masses)),
            (game.laplacian(p, own.points, other), lap @ other.masses),
            (game.hessian(p, own.points, other), bent),
            (
                game.cost_matrix(p, own.points, other.points) @ moments(game, 1 - p, other),
                cost @ other.masses - (1, -1)[p] * game.constant,
            ),
        ):
            np.testing.assert_allclose(have, want, atol=scale)


def moments(game, p, mu):
    matrix = game.moment_matrix(p, mu.points)
    return mu.masses if matrix is None else matrix @ mu.masses


@pytest.mark.parametrize(("text", "X", "Y"), CASES, ids=range(len(CASES)))
def test_swapping_the_players_turns_the_sign(text, X, Y):
    game = mf.games.expression(text, X, Y)
    other, (mu, nu) = game.swapped(), draw(X, Y)
    assert (other.X, other.Y) == (Y, X)
    np.testing.assert_allclose(
        other.loss(nu.points, mu.points), -game.loss(mu.points, nu.points).T, atol=1e-13
    )
    for p, own, opponent in ((0, mu, nu), (1, nu, mu)):
        for what in ("cost", "gradient", "laplacian", "hessian"):
            have = getattr(other, what)(1 - p, own.points, opponent)
            np.testing.assert_allclose(
                have, getattr(game, what)(p, own.points, opponent), atol=1e-11
            )
    np.testing.assert_allclose(
        other.swapped().loss(mu.points, nu.points), game.loss(mu.points, nu.points), atol=1e-13
    )


@pytest.mark.parametrize(("text", "X", "Y"), LOWRANK, ids=range(len(LOWRANK)))
def test_recognised_and_pairwise_forms_agree(text, X, Y):
    short, long = mf.games.expression(text, X, Y), pairwise(text, X, Y)
    mu, nu = draw(X, Y, 40, 30)
    np.testing.assert_allclose(
        short.loss(mu.points, nu.points), long.loss(mu.points, nu.points), atol=1e-13
    )
    for p, own, opponent in ((0, mu, nu), (1, nu, mu)):
        for what in ("cost", "gradient"):
            have = getattr(short, what)(p, own.points, opponent)
            np.testing.assert_allclose(
                have, getattr(long, what)(p, own.points, opponent), atol=1e-13
            )


def test_recognition_is_exact_and_knows_its_limits():
    circle = mf.games.expression("cos(x)**2 + sin(x)**2 + cos(x - y)*cos(x + y) - cos(2*x)/2")
    assert sorted(map(tuple, circle.bases[0].modes)) == [(0.0,)]
    assert sorted(map(tuple, circle.bases[1].modes)) == [(0.0,), (2.0,)]
    tiny = mf.games.expression("cos(x - y) + 1e-18*cos(3*x)")
    assert (3.0,) in set(map(tuple, tiny.bases[0].modes))
    for text in ("x1**3*y1", "x1*x2*y1", "x1*y1*y2", "exp(x1)*y1"):
        assert isinstance(mf.games.expression(text, S2, S2), Expression)
    many = "*".join(f"(1.5 + cos({k}*x1 + {k + 1}*x2 - y1))" for k in range(1, 17))
    assert isinstance(mf.games.expression(many), Expression)


def test_means_of_many_particles_are_right_to_rounding():
    game = mf.games.polynomial("a", 50, seed=0)
    points, masses = game.X.sample(20_000, np.random.default_rng(0)), np.full(20_000, 1 / 20_000)
    terms = masses[:, None] * game.bases[0].values(points)
    exact = [math.fsum(column) for column in terms.T]
    np.testing.assert_allclose(game.moments(0, points, masses), exact, rtol=0, atol=4e-15)


def test_trigonometric_is_the_sum_that_it_says():
    X, Y = mf.Torus(2, period=3.0), mf.Torus(1, period=1.0)
    terms = [
        ((1, -2), (3,), 0.5, -0.3),
        ((-1, 2), (1,), 0.2, 0.7),
        ((0, 0), (-1,), 1.1, 0.4),
        ((0, 3), (0,), 0.0, 2.0),
    ]
    game, (mu, nu) = mf.games.trigonometric(terms, X, Y), draw(X, Y)
    phases = [
        2 * np.pi * ((mu.points @ k / 3.0)[:, None] + (nu.points @ m)[None, :])
        for k, m, _, _ in terms
    ]
    want = sum(t[2] * np.cos(a) - t[3] * np.sin(a) for t, a in zip(terms, phases, strict=True))
    np.testing.assert_allclose(game.loss(mu.points, nu.points), want, atol=1e-13)
    slope = sum(
        (-t[2] * np.sin(a) - t[3] * np.cos(a))[..., None] * np.array(t[0]) * 2 * np.pi / 3
        for t, a in zip(terms, phases, strict=True)
    )
    np.testing.assert_allclose(
        game.gradient_x(mu.points, nu), np.einsum("nma,m->na", slope, nu.masses), atol=1e-12
    )


def paper_loss(x, y, A0, A1, A2, A3, a0, a1):
    """l_a or l_b at one pair, as printed in the paper; complex arguments allowed."""
    return x @ A0 @ x + x @ A1 @ y + y @ A2 @ y + y @ A3 @ x**2 + a0 @ x + a1 @ y


@pytest.mark.parametrize("kind", ["a", "b"])
@pytest.mark.parametrize("dim", [2, 3, 7])
def test_paper_games_and_their_gradients_by_complex_steps(kind, dim):
    game, arrays = (
        mf.games.polynomial(kind, dim=dim, seed=3),
        matrices(kind, dim, 3, forgotten=False),
    )
    mu, nu = draw(game.X, game.Y, 3, 4)
    want = [[paper_loss(x, y, *arrays) for y in nu.points] for x in mu.points]
    np.testing.assert_allclose(game.loss(mu.points, nu.points), want, atol=1e-12)
    h = 1e-30
    for p, (own, other) in enumerate(((mu, nu), (nu, mu))):
        for i, z in enumerate(own.points):
            slope = np.zeros(dim)
            for k in range(dim):
                moved = z + 1j * h * np.eye(dim)[k]
                pairs = [(moved, o) if p == 0 else (o, moved) for o in other.points]
                slope[k] = sum(
                    w * paper_loss(*pair, *arrays).imag / h
                    for w, pair in zip(other.masses, pairs, strict=True)
                )
            slope -= z * (z @ slope)
            have = game.gradient(p, own.points, other)[i] * (1, -1)[p]
            np.testing.assert_allclose(have, slope, atol=1e-12)


def test_rotations_carry_polynomial_games_along():
    rng = np.random.default_rng(1)
    A0, A1, A2, _, a0, a1 = matrices("a", 4, 0, forgotten=False)
    R, Q = (np.linalg.qr(rng.standard_normal((4, 4)))[0] for _ in range(2))
    plain = mf.games.polynomial_from(A0, A1, A2, 0, a0, a1)
    turned = mf.games.polynomial_from(R @ A0 @ R.T, R @ A1 @ Q.T, Q @ A2 @ Q.T, 0, R @ a0, Q @ a1)
    mu, nu = draw(plain.X, plain.Y)
    far_mu, far_nu = (
        mf.Measure(m.points @ G.T, m.masses, m.manifold) for m, G in ((mu, R), (nu, Q))
    )
    for p, own, other, far, far_other, G in (
        (0, mu, nu, far_mu, far_nu, R),
        (1, nu, mu, far_nu, far_mu, Q),
    ):
        for what, turn in (("cost", np.eye(1)), ("gradient", G), ("laplacian", np.eye(1))):
            here = getattr(plain, what)(p, own.points, other)
            there = getattr(turned, what)(p, far.points, far_other)
            np.testing.assert_allclose(
                there, here @ turn.T if what == "gradient" else here, atol=1e-12
            )


def test_shifts_leave_games_of_differences_alone():
    mu, nu = draw(T1, T1)
    shifted = [mf.Measure(m.points + 1.234, m.masses, T1) for m in (mu, nu)]
    for text in ("cos(x - y) + sin(2*x - 2*y)", "exp(cos(x - y))"):
        game = mf.games.expression(text)
        np.testing.assert_allclose(
            game.gradient(0, shifted[0].points, shifted[1]),
            game.gradient(0, mu.points, nu),
            atol=1e-12,
        )


def test_expressions_survive_pickling():
    game, (mu, nu) = mf.games.expression(*PAIRWISE[3]), draw(S2, S2)
    again = pickle.loads(pickle.dumps(game))
    assert repr(again) == repr(game)
    np.testing.assert_array_equal(again.gradient(0, mu.points, nu), game.gradient(0, mu.points, nu))


def test_constants_enter_by_name():
    game = mf.games.expression("a*cos(x - y) + b_1*sin(x)", a=2.0, b_1=-0.5)
    x = np.array([[0.3]])
    assert game.loss(x, x)[0, 0] == pytest.approx(2 - 0.5 * np.sin(0.3), abs=1e-15)
    assert "a = 2" in game.statement and game.name == "a*cos(x - y) + b_1*sin(x), a=2, b_1=-0.5"
    turned = mf.games.expression("a*cos(x - y) + b_1*sin(x)", b_1=-0.5, a=2)
    assert same(
        describe(turned), describe(mf.games.expression("a*cos(x - y) + b_1*sin(x)", a=2, b_1=-0.5))
    )


BAD = [
    (lambda g: g.trigonometric([]), "terms are empty"),
    (lambda g: g.trigonometric([((1,), (1,), 1.0)]), r"terms\[0\] must be"),
    (lambda g: g.trigonometric([((1.5,), (1,), 1.0, 0.0)]), "whole number"),
    (lambda g: g.trigonometric([((1,), (1,), np.nan, 0.0)]), r"terms\[0\] re must be finite"),
    (lambda g: g.trigonometric([((1,), (1,), 1.0, 0.0), ((1, 2), (1,), 1.0, 0.0)]),
     r"terms\[1\] has modes"),
    (lambda g: g.trigonometric([((1,), (1,), 1.0, 0.0)], X=T2, Y=T2), r"terms\[0\] has modes"),
    (lambda g: g.polynomial("c"), 'kind must be "a" or "b"'),
    (lambda g: g.polynomial("a", dim=1), "dim must be at least 2"),
    (lambda g: g.polynomial("a", seed=-1), "seed must be at least 0"),
    (lambda g: g.polynomial_from(0, np.eye(1), 0, 0, 0, 0), "dimension 2 or more"),
    (lambda g: g.polynomial_from(np.eye(2), np.eye(3), 0, 0, 0, 0), "A0 must have shape"),
    (lambda g: g.polynomial_from(0, np.eye(3), 0, np.full((3, 3), np.inf), 0, 0),
     r"A3\[0, 0\] is inf"),
    (lambda g: g.polynomial_from(0, np.eye(3), 0, 0, np.zeros(2), 0), "a0 must have shape"),
    (lambda g: g.LowRank(TrigBasis(T1, np.ones((1, 1))), QuadraticBasis(S2, np.eye(3)), np.eye(2)),
     "C must have"),
    (lambda g: QuadraticBasis(S2, np.eye(2)), "S must have shape"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "message"), BAD, ids=range(len(BAD)))
def test_bad_coefficients_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build(mf.games)


def test_trigonometric_games_live_on_tori():
    for name in ("X", "Y"):
        for manifold in (0, S2):
            spaces = {"X": T2, "Y": T2, name: manifold}
            with pytest.raises(TypeError, match=f"{name} must be a Torus"):
                mf.games.trigonometric([((1, 0), (1, 0), 1.0, 0.0)], **spaces)


@pytest.mark.parametrize(
    "make",
    [
        lambda: mf.games.polynomial("a", 3),
        lambda: mf.games.expression("exp(x1*y1)", S2, S2),
        lambda: mf.games.function(lambda x, y: np.sum(x * y, axis=-1), S2, S2),
    ],
)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([0.0, 0.0, 1.0], "must have shape"),
        ([[1.0, 0.0]], "must have shape"),
        ([[0.0, 0.0, 1.0, 0.0]], "must have shape"),
        ([[np.nan, 0.0, 1.0]], "is nan"),
        ([[5.0, 0.0, 0.0]], "has norm 5"),
    ],
)
def test_losses_are_asked_at_points(make, bad, message):
    game, good = make(), [[0.0, 0.0, 1.0]]
    assert game.loss(good, good).shape == (1, 1)
    with pytest.raises(ValueError, match=f"^x.*{message}"):
        game.loss(np.array(bad), np.array(good))
    with pytest.raises(ValueError, match=f"^y.*{message}"):
        game.loss(np.array(good), np.array(bad))


def test_measures_must_live_where_the_game_does():
    game, (mu, _) = mf.games.oscillator(), draw(S2, S2)
    with pytest.raises(ValueError, match="mu_y lives on"):
        game.potential_x(np.zeros((1, 1)), mu)
    with pytest.raises(TypeError, match="mu_x must be a meanfield.Measure"):
        game.potential_y(np.zeros((1, 1)), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="norm 2"):
        mf.games.polynomial().gradient_x(2 * np.eye(3), mu)


def formula(rng, depth):
    """A random formula in x1, x2, y1 on tori: its text and the same as a numpy function."""
    if depth == 0:
        angles = {
            "x1": lambda x, y: x[0], "2*x1 - y1": lambda x, y: 2 * x[0] - y, "-(y1 - x2)": lambda x,
            y: x[1] - y,
            "0.5*(2*x1 + 4*y1) + 0.3": lambda x, y: x[0] + 2 * y + 0.3,
        }  # fmt: skip
        text, angle = list(angles.items())[rng.integers(4)]
        if rng.random() < 0.2:
            return "1.25", lambda x, y: 1.25
        name, f = (("cos", np.cos), ("sin", np.sin))[rng.integers(2)]
        return f"{name}({text})", lambda x, y: f(angle(x, y))
    (s, f), (t, g) = formula(rng, depth - 1), formula(rng, depth - 1)
    n = int(rng.integers(0, 4))
    choices = [
        (f"({s} + {t})", lambda x, y: f(x, y) + g(x, y)),
        (f"({s} - {t})", lambda x, y: f(x, y) - g(x, y)),
        (f"{s}*{t}", lambda x, y: f(x, y) * g(x, y)),
        (f"(-{s})", lambda x, y: -f(x, y)),
        (f"({s})**{n}", lambda x, y: f(x, y) ** n),
        (f"{s}/(-4)", lambda x, y: -f(x, y) / 4),
        (f"({s}/(5 + sin(x1)) - {t})", lambda x, y: f(x, y) / (5 + np.sin(x[0])) - g(x, y)),
        (f"exp(0.1*({s}))", lambda x, y: np.exp(0.1 * f(x, y))),
    ]
    return choices[rng.choice(8, p=[0.2, 0.15, 0.3, 0.05, 0.1, 0.1, 0.05, 0.05])]


def test_random_formulas_mean_what_they_say():
    rng = np.random.default_rng(5)
    mu, nu = draw(T2, T1)
    x, y = (mu.points[:, :1], mu.points[:, 1:]), nu.points.T
    kinds = {True: 0, False: 0}
    for _ in range(100):
        text, f = formula(rng, int(rng.integers(2, 5)))
        want = np.broadcast_to(f(x, y), (len(mu), len(nu)))
        game, long = mf.games.expression(text, T2, T1), pairwise(text, T2, T1)
        kinds[isinstance(game, LowRank)] += 1
        scale = 1e-12 * (
            1 + np.abs(long.pair_gradient(0, mu.points, nu.points)).max() + np.abs(want).max()
        )
        np.testing.assert_allclose(game.loss(mu.points, nu.points), want, rtol=0, atol=scale)
        np.testing.assert_allclose(long.loss(mu.points, nu.points), want, rtol=0, atol=scale)
        np.testing.assert_allclose(
            game.gradient(0, mu.points, nu), long.gradient(0, mu.points, nu), rtol=0, atol=scale
        )
    assert min(kinds.values()) > 15


def test_functions_of_users_cannot_write_to_the_points():
    points = np.array([[0.1], [0.2]])

    def loss(x, y):
        x -= y[:, :1]
        return np.cos(x[..., 0] - y[..., 0])

    def gradient(x, y):
        y *= 2
        return -np.sin(x - y)

    def density(x):
        x *= 180 / np.pi
        return 1 + 0 * x[:, 0]

    with pytest.raises(ValueError, match="read-only"):
        mf.games.function(loss, T1, T1)
    with pytest.raises(ValueError, match="read-only"):
        mf.games.function(lambda x, y: np.cos(x - y)[..., 0], T1, T1, gradient_x=gradient)
    mu = mf.Measure(points, None, T1)
    with pytest.raises(ValueError, match="read-only"):
        mu.integrate(density)
    with pytest.raises(ValueError, match="read-only"):
        mf.solve(mf.games.oscillator(), mf.Langevin(25.0), mf.Start(density, density), time=0.1)
    assert (mu.points == [[0.1], [0.2]]).all() and (points == [[0.1], [0.2]]).all()


def test_a_low_rank_game_keeps_a_matrix_of_its_own():
    basis, C = TrigBasis(T1, np.ones((1, 1))), np.eye(2)
    game = LowRank(basis, basis, C)
    C[:] = 5
    assert (np.eye(2) == game.C).all()


def test_second_differences_of_functions_are_of_fourth_order():
    """Laplacian of a loss given as a function against its own, to what rounding leaves."""
    f = lambda x, y: np.sin(2 * x[..., 0]) * np.cos(y[..., 0]) + np.cos(x[..., 0])  # noqa: E731
    game = mf.games.function(f, X=mf.Torus(1), Y=mf.Torus(1))
    x, at = game.X.sample(20, np.random.default_rng(0)), mf.Measure([[0.7]], None, game.Y)
    exact = -4 * np.sin(2 * x[:, 0]) * np.cos(0.7) - np.cos(x[:, 0])
    assert np.abs(game.laplacian(0, x, at) - exact).max() < 1e-8
