"""Single precision: where it follows double precision, what it refuses and that it is right to."""

import numpy as np
import pytest
from numba import njit

import meanfield as mf
from meanfield import fastmath
from meanfield.games.bases import TrigBasis
from meanfield.games.formulas.loops import pair_kernel32
from meanfield.games.lowrank import LowRank
from meanfield.particles.looks import choose
from meanfield.particles.looks.single_modes import (
    add_means,
    check,
    set_slopes,
    single_modes,
    slope,
)
from meanfield.particles.plan import PRECISIONS
from meanfield.particles.players import LANES
from meanfield.particles.state import flat, place, player
from tests.vectors import arithmetic, needs_vectors

T1, S2 = mf.Torus(1), mf.Sphere(2)
SADDLE = "exp(sin(x)) - exp(sin(y)) + 0.3*exp(cos(x - y))"
FORMULAS = [
    (SADDLE, T1),
    ("log(2 + cos(x - y))*exp(sin(x)) + sqrt(3 - sin(2*x + y)) + tanh(cos(x - 2*y))**3", T1),
    ("1/(2.6 + cos(x - y) + 0.5*sin(2*x)) + abs(2 + sin(x - y)) + sin(x)", T1),
    ("sin(exp(sin(x))*cos(y)) + cos(3*sin(x)*sin(y))", T1),
    ("exp(x1*y2) + x1*x2*y3 + sin(x3 - 2*y1) + abs(2 + y1)**1.5 + x2**7 + log(2 + y1*x2)", S2),
]


@pytest.fixture(autouse=True)
def folder(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MEANFIELD_CACHE", str(tmp_path_factory.getbasetemp() / "single"))


def evaluated(function, x):
    """A function at single-precision numbers, compiled in a loop."""

    @njit(error_model="numpy", fastmath=False)
    def run(x, out):
        for i in range(len(x)):
            out[i] = function(x[i])

    out = np.empty(len(x), np.float32)
    run(x, out)
    return out


def test_functions_in_single_precision_keep_their_bounds():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-1e4, 1e4, 200_000), rng.uniform(-4, 4, 200_000)]).astype(
        np.float32
    )
    for ours, exact in ((fastmath.sin32, np.sin), (fastmath.cos32, np.cos)):
        assert np.abs(evaluated(ours, x) - exact(x.astype(float))).max() < 1e-7
    x = rng.uniform(-87.3, 88.7, 400_000).astype(np.float32)
    exact = np.exp(x.astype(float))
    assert (
        np.abs(evaluated(fastmath.exp32, x) - exact) / np.spacing(exact.astype(np.float32))
    ).max() < 1.5
    x = rng.uniform(-80, 80, 400_000).astype(np.float32)
    exact = np.exp(x.astype(float))
    assert (
        np.abs(evaluated(fastmath.exp_moderate32, x) - exact) / np.spacing(exact.astype(np.float32))
    ).max() < 1.5
    x = np.exp(
        np.concatenate([rng.uniform(-87, 88, 200_000), rng.uniform(-0.7, 0.7, 200_000)])
    ).astype(np.float32)
    exact = np.log(x.astype(float))
    assert (np.abs(evaluated(fastmath.log32, x) - exact) <= 2e-7 * np.abs(exact)).all()
    x = np.concatenate(
        [rng.uniform(-12, 12, 200_000), 10.0 ** rng.uniform(-30, 0, 100_000)]
    ).astype(np.float32)
    exact = np.tanh(x.astype(float))
    assert (np.abs(evaluated(fastmath.tanh32, x) - exact) <= 2e-7 * np.abs(exact)).all()
    edges = np.array([np.inf, -np.inf, np.nan, 0.0, -88.0, 89.0], np.float32)
    np.testing.assert_array_equal(evaluated(fastmath.tanh32, edges), [1, -1, np.nan, 0, -1, 1])
    np.testing.assert_array_equal(
        evaluated(fastmath.exp32, edges), np.array([np.inf, 0, np.nan, 1, 0, np.inf])
    )
    edges = np.array([0.0, -1.0, np.inf, np.nan, 1.0, 1e-40], np.float32)
    np.testing.assert_array_equal(
        evaluated(fastmath.log32, edges), [-np.inf, np.nan, np.inf, np.nan, 0, -np.inf]
    )


@pytest.mark.parametrize(("text", "space"), FORMULAS, ids=[text[:12] for text, _ in FORMULAS])
@pytest.mark.parametrize("sizes", [(7, 130), (300, 65)])
def test_forces_are_those_of_double_precision_to_single_rounding(text, space, sizes):
    game = mf.games.expression(text, space, space)
    rng = np.random.default_rng(1)
    x, y = (space.sample(n, rng) for n in sizes)
    a, b = (w / w.sum() for w in map(rng.random, sizes))
    single = pair_kernel32(game)(x, y, a, b)
    for p, (own, other, w) in enumerate(((x, y, b), (y, x, a))):
        for have, want in zip(single[p], game._plain(p, game.jet(p), own, other, w), strict=True):
            error = np.abs(have - want).max() / np.abs(want).max()
            assert 1e-11 < error < 2e-6


@needs_vectors
def test_pairs_in_single_precision_fill_whole_vectors():
    forces = pair_kernel32(mf.games.expression(SADDLE))
    x, w = np.zeros((9, 1)), np.full(9, 1 / 9)
    forces(x, x, w, w)
    assert arithmetic(forces.__globals__["fill"])[0] > 20


def series(modes):
    """A trigonometric game on circles with these modes for x, and as many for y."""
    rng = np.random.default_rng(3)
    terms = [((k,), (j,), *(rng.standard_normal(2) / (1 + k))) for j, k in enumerate(modes, 1)]
    return mf.games.trigonometric(terms, mf.Torus(1, period=3.0), T1)


GAMES = {
    "formula": lambda: mf.games.expression(SADDLE),
    "series": lambda: series((0, 1, 3, 4, 5, 8, 9, 10, 11, 15)),
}


def run(seed=0, flow=None, text=SADDLE, time=1.0, game=None, **options):
    flow = flow or mf.Langevin(20.0)
    game = mf.games.expression(text) if game is None else GAMES[game]()
    return mf.simulate(
        game, flow, mf.Start(), time, step=0.01, particles=200, seed=seed, progress=False, **options
    )


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("scheme", ["euler", "strang"])
def test_a_langevin_run_follows_that_in_double_precision(scheme, game):
    how = dict(scheme=scheme, game=game)
    double, single, other = run(**how), run(**how, precision="float32"), run(seed=1, **how)
    assert single.provenance["precision"] == "float32" and "precision" not in double.provenance
    for p, space in enumerate(double.game.manifolds):
        moved = space.distance(double[-1][p].points, single[-1][p].points)
        assert 0 < moved.max() < 1e-5
    ni = [mf.nikaido_isoda(run.game, *run[-1]).value for run in (double, single, other)]
    assert abs(ni[1] - ni[0]) < 1e-6
    assert abs(ni[2] - ni[0]) > 1e-3


@pytest.mark.parametrize("game", GAMES)
def test_a_run_in_single_precision_repeats_and_resumes_to_the_bit(game):
    whole, again = (run(precision="float32", game=game) for _ in range(2))
    half = run(time=0.5, precision="float32", save_every=0.01, game=game)
    finished = mf.simulate(half.game, half.flow, None, 1.0, resume=half, progress=False)
    assert finished.provenance["precision"] == "float32"
    for p in range(2):
        np.testing.assert_array_equal(whole[-1][p].points, again[-1][p].points)
        np.testing.assert_array_equal(whole[-1][p].points, finished[-1][p].points)


@pytest.mark.parametrize("top", [8, 30, 101])
def test_sums_over_modes_are_those_of_double_precision(top):
    game = series(range(1, top + 1))
    start = mf.Start()
    states = place(game, start, (333, 50), "iid", 0, 0)
    for p, n in enumerate((333, 50)):
        me = player(game, p, mf.Langevin(20.0).players[p], 0.01, 0, 0, 1)
        look = single_modes(me, states[p])
        look.see(states[p])
        x, w = flat(states[p].x, n), states[p].w.ravel()[:n]
        means = look.parts[look.turn[0]].sum(axis=0)
        np.testing.assert_allclose(means, game.moments(p, x, w), rtol=0, atol=1e-7 * (top + 2))
        c = (
            np.random.default_rng(0).standard_normal(2 * top)
            / np.tile(np.arange(1, top + 1), 2) ** 2
        )
        look.c[:] = c
        set_slopes(look)
        slope(look, states[p].x[0, 0], look.r.UG[1])
        want = game.bases[p].gradient(states[p].x[0].T, c)[:, 0]
        np.testing.assert_allclose(
            look.r.UG[1], want, rtol=0, atol=1e-7 * (top + 2) * np.abs(want).max()
        )


@needs_vectors
def test_turning_modes_fills_whole_vectors():
    game = series(range(1, 9))
    states = place(game, mf.Start(), (LANES, LANES), "iid", 0, 0)
    look = single_modes(player(game, 0, mf.Langevin(20.0).x, 0.01, 0, 0, 1), states[0])

    @njit(fastmath=False, error_model="numpy")
    def fresh(look, x):
        add_means(look, x, x)
        slope(look, x, x)

    fresh(look, np.ones(LANES))
    # At least the multiplications that turn eight modes.
    assert arithmetic(fresh)[0] > 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "single"}, 'precision must be "float64" or "float32"'),
        (
            {"flow": mf.WassersteinFisherRao()},
            r"player x has a reaction \(alpha = 1\).* 80% too large",
        ),
        (
            {"flow": mf.Flow(alpha=(0.0, 0.5), temperature=(0.1, 0.0))},
            r"player y has a reaction \(alpha = 0.5\)",
        ),
        ({"flow": mf.MirrorDescent()}, "player x has a reaction"),
        ({"flow": mf.Wasserstein()}, "player x has no noise"),
        (
            {"flow": mf.Annealed(mf.Langevin(9.0), mf.Schedule("log"))},
            'takes "euler" and "strang" steps',
        ),
        ({"text": "sin(x - y)"}, "gains nothing .* 2 modes up to 1 on a circle"),
        ({"text": "sin(x1 - y1)*cos(x2)"}, "games on circles"),
        ({"text": "atan(cos(x - y))"}, "gains nothing .* atan of both players"),
        ({"text": "(2 + cos(x - y))**1.3"}, "gains nothing .* broken power"),
    ],
    ids=["name", "both", "one", "mirror", "quiet", "annealed", "few modes", "T^2", "atan", "power"],
)
def test_single_precision_is_refused_where_it_is_unsafe_or_useless(options, message):
    with pytest.raises(ValueError, match=message):
        run(**{"precision": "float32", **options})


@pytest.mark.parametrize(("changed", "message"), [(-2, "mode -2 1 times"), (3, "mode 3 2 times")])
@pytest.mark.parametrize("p", [0, 1])
def test_modes_below_zero_or_twice_are_refused(changed, message, p):
    """The kernels take modes 1, 2, ... in turn, and would leave such a one out."""
    bases, C = [TrigBasis(T1, np.arange(1.0, 11.0)[:, None]) for _ in range(2)], 0.1 * np.eye(20)
    check(LowRank(*bases, C))
    bases[p] = TrigBasis(T1, np.array([*range(1, 10), changed], float)[:, None])
    game = LowRank(*bases, C)
    options = dict(step=0.01, particles=9, progress=False)
    with pytest.raises(ValueError, match=message):
        mf.simulate(game, mf.Langevin(9.0), mf.Start(), 0.02, **options, precision="float32")
    assert mf.simulate(game, mf.Langevin(9.0), mf.Start(), 0.02, **options).times[-1] == 0.02


def test_functions_are_refused():
    game = mf.games.function(lambda x, y: np.cos(x[..., 0] - y[..., 0]), T1, T1)
    with pytest.raises(ValueError, match="given by a formula"):
        mf.simulate(
            game, mf.Langevin(9.0), mf.Start(), 0.1, step=0.01, particles=9, precision="float32"
        )


def test_algorithm_2_would_stall_where_double_precision_goes_on(monkeypatch):
    """The reason given for the refusal, measured."""
    monkeypatch.setattr(choose, "_check_noise", lambda flow: None)
    game, flow = mf.games.expression(SADDLE), mf.WassersteinFisherRao()
    options = dict(step=0.02, particles=50, save_every=20.0, progress=False)
    ends = [
        mf.simulate(game, flow, mf.Start(), 120.0, **options, precision=name)[-1]
        for name in PRECISIONS
    ]
    double, single = (mf.nikaido_isoda(game, *end).value for end in ends)
    assert double < 1e-10 and single > 5e-9


@pytest.mark.parametrize(
    ("modes", "fits"),
    [(range(1, 9), True), (range(8), True), (range(1, 8), False), ([*range(1, 8), 16], True),
     ([*range(1, 8), 17], False)],
)  # fmt: skip
@pytest.mark.parametrize("p", [0, 1])
def test_eight_modes_and_half_of_those_up_to_the_highest_are_worth_it(modes, fits, p):
    sides = [list(range(1, 13)), list(range(1, 13))]
    sides[p] = list(modes)
    bases = [TrigBasis(T1, np.array(side, float)[:, None]) for side in sides]
    game = LowRank(*bases, np.ones([basis.size for basis in bases]))
    if fits:
        check(game)
    else:
        with pytest.raises(ValueError, match=f"has {len(sides[p])} modes up to {max(modes)}"):
            check(game)
