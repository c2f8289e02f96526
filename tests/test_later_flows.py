"""Later flows of densities: their papers' statements, orders, stationarity, bits, files and
refusals.
"""

import numpy as np
import pytest
from scipy.special import ive

import meanfield as mf
from meanfield.density.solve import build
from meanfield.flows import Flow
from meanfield.metrics import free_energy, kl, regularised_nikaido_isoda
from tests.convergence import fitted_order
from tests.later_flows import BETA, GAME, LOG, MEAN_FIELD, START, masses, sines, solved
from tests.stored_runs import equal
from validation.linearised import Linear

# Few cells, on purpose: what is tested holds at any resolution.
pytestmark = pytest.mark.filterwarnings("ignore::meanfield.UnderResolved")

# -- mean field -----------------------------------------------------------------------------------


@pytest.mark.parametrize("flow", MEAN_FIELD.values(), ids=MEAN_FIELD)
def test_splitting_is_of_order_two(flow):
    steps = [0.05, 0.025, 0.0125]
    exact = masses(solved(flow, step=0.0125 / 8))
    errors = [np.abs(masses(solved(flow, step=h)) - exact).sum() for h in steps]
    assert 1.7 < fitted_order(steps, errors) < 2.3 and errors[-1] < 5e-3


@pytest.mark.parametrize("flow", MEAN_FIELD.values(), ids=MEAN_FIELD)
def test_step_control_keeps_the_error_near_the_tolerance(flow):
    exact = masses(solved(flow, step=1e-3))
    coarse, fine = (np.abs(masses(solved(flow, tol=tol)) - exact).sum() for tol in (1e-2, 1e-3))
    assert coarse < 2e-2 and fine < 2e-3


def test_splitting_agrees_with_other_engines_where_they_reach():
    plain = solved(mf.Langevin(BETA), engine="finite-volume", weights="sg", tol=1e-9)
    np.testing.assert_allclose(
        masses(solved(mf.Langevin(BETA), engine="splitting", step=2e-3)), masses(plain), atol=1e-6
    )
    # Mirror descent on atoms' weights: the cells of a mesh as atoms, by characteristics.
    flow = mf.MirrorDescent((1.0, 2.0))
    cells = solved(flow, engine="splitting", step=2e-3)
    labels = solved(
        flow,
        engine="characteristics",
        start=mf.Start(*solved(flow, engine="splitting", time=1e-9)[0]),
    )
    np.testing.assert_allclose(masses(cells), masses(labels), atol=1e-5)


@pytest.mark.parametrize(
    "name", ["best response", "discounted", "averaged, r = 2", "entropic WFR", "quasistatic"]
)
def test_the_gibbs_point_stands_still(name):
    fixed = mf.gibbs(GAME, BETA, cells=64)
    run = solved(MEAN_FIELD[name], 0.4, start=mf.Start(x=fixed.x, y=fixed.y), step=0.2)
    assert np.abs(masses(run) - masses([(fixed.x, fixed.y)])).sum() < 1e-13


@pytest.mark.parametrize("flow", MEAN_FIELD.values(), ids=MEAN_FIELD)
def test_mass_and_sign_are_kept_at_any_step(flow):
    run = solved(flow, 20.0, step=2.0, save_every=2.0)
    assert all(
        abs(m.masses.sum() - 1) < 1e-14 and m.masses.min() >= 0 for pair in run for m in pair
    )


def test_entropic_best_response_beats_the_rate_of_its_paper():
    """Lascu et al.: NI_beta decays at least as exp(-rate t), from any start and for every beta."""
    for beta, rate in ((5.0, 1.0), (25.0, 2.0)):
        run = solved(
            mf.EntropicBestResponse(beta, rate),
            4.0 / rate,
            step=2e-3 / rate,
            save_every=0.25 / rate,
        )
        ni = np.array([regularised_nikaido_isoda(GAME, beta, *pair) for pair in run])
        scaled = ni * np.exp(rate * run.times)
        assert (np.diff(scaled) < 1e-4 * scaled[0]).all() and scaled[-1] < scaled[0]


def test_entropic_best_response_in_closed_form_without_coupling():
    """Against nobody the potential stands: m(t) = e^{-rate t} m(0) + (1 - e^{-rate t}) G."""
    game, beta, rate = mf.games.oscillator(coupling=0.0), 3.0, 1.5
    begin, fixed = solved(mf.Langevin(beta), 1.0, game=game)[0], mf.gibbs(game, beta, cells=64)
    run = solved(mf.EntropicBestResponse(beta, rate), 2.0, game=game, step=0.5)
    for k, G in enumerate((fixed.x, fixed.y)):
        exact = np.exp(-rate * 2.0) * begin[k].masses + (1 - np.exp(-rate * 2.0)) * G.masses
        np.testing.assert_allclose(run[-1][k].masses, exact, atol=1e-12)


def test_the_reaction_with_log_mu_decays_by_its_lyapunov_identity():
    """With gamma = 0: d/dt sum KL(mu* | mu) = -(alpha/beta) sum [KL(mu | mu*) + KL(mu* | mu)], mu*
    the Gibbs point.
    """
    alpha, fixed = 2.0, mf.gibbs(GAME, BETA, cells=64)
    run = solved(mf.EntropicWassersteinFisherRao(BETA, 0.0, alpha), 2.0, step=1e-3, save_every=0.01)
    star = (fixed.x, fixed.y)
    behind = np.array([sum(kl(s, m) for s, m in zip(star, pair, strict=True)) for pair in run])
    both = behind + np.array(
        [sum(kl(m, s) for s, m in zip(star, pair, strict=True)) for pair in run]
    )
    lost = (
        np.concatenate([[0.0], np.cumsum((both[1:] + both[:-1]) / 2 * np.diff(run.times))])
        * alpha
        / BETA
    )
    np.testing.assert_allclose(behind + lost, behind[0], rtol=1e-4)
    assert behind[-1] < behind[0] * np.exp(-alpha / BETA * 2.0)


def test_entropic_wfr_descends_the_free_energy_when_the_opponent_rests():
    run = solved(
        mf.EntropicWassersteinFisherRao(BETA),
        3.0,
        game=mf.games.oscillator(coupling=0.0),
        save_every=0.1,
    )
    fixed = mf.gibbs(mf.games.oscillator(coupling=0.0), BETA, cells=64)
    distance = [kl(x, fixed.x) for x in run.x]
    assert (np.diff(distance) < 0).all() and distance[-1] < 0.5 * distance[0]


@pytest.mark.parametrize(("beta", "rate"), [(1.0, 0.1), (1.0, 0.5), (5.0, 0.3)])
def test_discounted_gradients_follow_their_leading_eigenvalue(beta, rate):
    """Lu & Monmarche: exponentially to (9) where the discount is slow enough, and only there.

    Over one period of the leading pair of eigenvalues the distance changes by exp(Re 2 pi / |Im|).
    """
    leading = Linear(GAME, beta, 64).leading(rate)
    assert (leading.real < 0) == (beta == 1.0)
    fixed = mf.gibbs(GAME, beta, cells=64)
    x = fixed.x.masses * (1 + 1e-4 * np.sin(fixed.x.points[:, 0]))
    start = mf.Start(x=mf.Density(x / x.sum(), fixed.x.mesh), y=fixed.y)
    period = 2 * np.pi / abs(leading.imag)
    # A look after the faster modes have gone, and one period later.
    run = solved(
        mf.DiscountedLangevin(beta, rate),
        2 * period,
        start=start,
        step=period / 1000,
        save_every=period,
    )
    away = [np.abs(run.x[k].masses - fixed.x.masses).sum() for k in (1, 2)]
    assert np.log(away[1] / away[0]) / period == pytest.approx(leading.real, rel=0.05)


def test_a_fast_discount_is_no_discount():
    plain = masses(solved(mf.Langevin(BETA), engine="finite-volume", weights="sg", tol=1e-8))
    gaps = [
        np.abs(masses(solved(mf.DiscountedLangevin(BETA, a), step=1e-3)) - plain).sum()
        for a in (50.0, 100.0)
    ]
    assert gaps[1] < 0.03 and 1.6 < gaps[0] / gaps[1] < 2.4  # of order 1/rate


def test_memory_over_a_pairwise_game_averages_masses():
    game = mf.games.expression("cos(x - y) + 0.3*sin(2*x)*exp(cos(y))")
    run = solved(mf.DiscountedLangevin(BETA, 1.0), game=game, cells=32)
    flat = mf.games.trigonometric([((1,), (-1,), 1.0, 0.0)])
    assert game.bases is None and len(run.state["averaged"][0]) == 32
    assert (
        len(solved(mf.DiscountedLangevin(BETA, 1.0), game=flat, cells=32).state["averaged"][0]) == 2
    )


def test_two_time_scales_are_rates_per_player():
    flow = mf.TwoTimeScale(BETA, 10.0)
    assert flow.gamma == (1.0, 10.0) and flow.temperature == (0.2, 0.2)
    # Time in units of the other player: the same path.
    a = solved(flow, 1.0, engine="galerkin", tol=1e-10)
    b = solved(mf.Langevin(BETA, (0.1, 1.0)), 10.0, engine="galerkin", tol=1e-10)
    np.testing.assert_allclose(masses(a), masses(b), atol=1e-8)


def test_a_quasistatic_player_answers_in_closed_form():
    """For cos(x - y) y's response to m = E e^{ix} is von Mises, E e^{iy} = m I1/I0(beta |m|)/|m|,
    and m decays from near zero at the rate beta/4 + 1/beta, alone at 1/beta.
    """
    game = mf.games.trigonometric([((1,), (-1,), 1.0, 0.0)])
    start = mf.Start(x=lambda x: 1 + 2e-3 * np.cos(x[:, 0]))
    flow = mf.Quasistatic(BETA)
    run = solved(flow, 1.0, game=game, start=start, cells=128, step=5e-3, save_every=0.5)
    for x, y in sines(run):
        kappa = BETA * abs(x)
        assert abs(y - x / abs(x) * ive(1, kappa) / ive(0, kappa)) < 1e-14
    m = sines(run)[:, 0].real
    np.testing.assert_allclose(m, 1e-3 * np.exp(-(BETA / 4 + 1 / BETA) * run.times), rtol=2e-3)
    swapped = mf.games.trigonometric([((1,), (-1,), -1.0, 0.0)])  # y is slow, x answers
    other = solved(
        mf.Quasistatic(BETA, fast="x"), 1.0, game=swapped, start=mf.Start(y=start.x), cells=128,
        step=5e-3,
    )  # fmt: skip
    np.testing.assert_allclose(other.y[-1].masses, run.x[-1].masses, atol=1e-15)


def test_the_quasistatic_flow_descends_where_langevin_cycles():
    """Ma & Ying: max over nu of L_beta(mu_x, nu) falls along it."""
    run = solved(mf.Quasistatic(25.0), 6.0, save_every=0.25)
    assert (np.diff([free_energy(GAME, 25.0, *pair) for pair in run]) < 0).all()


def test_the_quasistatic_flow_decays_at_the_rate_of_its_linearisation():
    """d/dt dm_x = A dm_x + B dz_y, dm_y = -beta m_y (K dz_x - mean); the error at twice that."""
    fixed, linear = mf.gibbs(GAME, BETA, cells=64), Linear(GAME, BETA, 64)
    K, m = GAME.cost_matrix(1, fixed.y.points, fixed.x.points), fixed.y.masses
    answer = -BETA * m[:, None] * (K - m @ K)
    slow = linear.A[0] + linear.B[0] @ linear.F[1] @ answer @ linear.F[0]
    rate = np.sort(np.linalg.eigvals(slow).real)[-2]  # the largest keeps masses
    run = solved(mf.Quasistatic(BETA), 6.0, step=5e-3, save_every=1.0)
    before, after = (regularised_nikaido_isoda(GAME, BETA, *run[k]) for k in (4, 6))
    assert np.log(after / before) / 2 == pytest.approx(2 * rate, rel=0.05)


def test_slowing_down_is_a_change_of_time():
    """speed(t) = exp(-t): the state at t is that of the plain flow at 1 - exp(-t)."""
    slow = solved(mf.Annealed(mf.Langevin(BETA), speed=mf.Schedule("exp")), 2.0, step=2e-3)
    plain = solved(
        mf.Langevin(BETA), 1 - np.exp(-2.0), engine="finite-volume", weights="sg", tol=1e-9
    )
    np.testing.assert_allclose(masses(slow), masses(plain), atol=1e-6)


def test_cooling_of_free_motion_in_closed_form():
    """l = 0: mode k decays as exp(-k^2 int_0^t T), here T = T0 (1 + s)^-1."""
    circle = mf.Torus(1)
    game, T0, k, t = mf.games.free(circle, circle), 0.5, 2, 3.0
    flow = mf.Annealed(mf.Langevin(1 / T0), mf.Schedule("poly"))
    start = mf.Start(x=lambda x: 1 + np.cos(k * x[:, 0]))
    exact, h = 0.5 * np.exp(-(k**2) * T0 * np.log(1 + t)), 2 * np.pi / 128
    run = solved(flow, t, game=game, start=start, cells=128, step=0.02)
    assert run.x[-1].integrate(np.cos(k * run.x[-1].points[:, 0])) == pytest.approx(
        0.5 * np.exp(-(2 - 2 * np.cos(k * h)) / h**2 * T0 * np.log(1 + t)),
        rel=2e-4,  # k^2 as cells of width h see it
    )
    n = 20_000
    swarm = mf.simulate(game, flow, start, t, step=0.05, particles=n, scheme="strang")
    assert swarm.x[-1].integrate(np.cos(k * swarm.x[-1].points[:, 0])) == pytest.approx(
        exact, abs=4 / np.sqrt(2 * n)
    )


@pytest.mark.parametrize("flow", MEAN_FIELD.values(), ids=MEAN_FIELD)
def test_densities_resume_to_the_bit_through_a_file(flow, tmp_path):
    how = {"cells": 32, "save_every": 0.25}
    whole = mf.solve(GAME, flow, START, 1.0, **how)
    half = mf.load(mf.solve(GAME, flow, START, 0.5, **how).save(tmp_path / "half.h5"))
    assert half.flow == flow and half.provenance["engine"] == "splitting"
    rest = mf.solve(GAME, flow, START, 1.0, resume=half, **how)
    assert equal(rest, whole)


def test_a_checkpoint_knows_its_flow(tmp_path):
    path = tmp_path / "run.h5"
    mf.solve(GAME, mf.AveragedLangevin(BETA, 1.0), START, 0.5, cells=32, checkpoint=path)
    with pytest.raises(ValueError, match="another run"):
        mf.solve(GAME, mf.AveragedLangevin(BETA, 2.0), START, 0.5, cells=32, checkpoint=path)


# -- spheres, files -------------------------------------------------------------------------------


def test_all_parts_at_once_leave_the_gibbs_point_of_s2_alone():
    game, sphere = mf.games.polynomial("a", dim=3, seed=1), mf.mesh(mf.Sphere(2), 162)
    fixed = mf.gibbs(game, 2.0, cells=(sphere, sphere))
    flow = Flow(1.0, 1.0, 0.5, response=1.0, memory=mf.Memory(rate=1.0))
    run = mf.solve(
        game, flow, mf.Start(x=fixed.x, y=fixed.y), 0.2, cells=(sphere, sphere), step=0.1
    )
    assert np.abs(masses(run) - masses([(fixed.x, fixed.y)])).sum() < 1e-12


def test_files_give_memory_and_schedules_to_any_flow(tmp_path):
    from meanfield.cli.build import flow
    from meanfield.cli.schema import BadInput
    from meanfield.cli.spec import read

    def made(body):
        (tmp_path / "f.toml").write_text(f"[flow]\n{body}\n")
        return flow(read(str(tmp_path / "f.toml"), []))

    body = (
        'name = "Langevin"\nbeta = 5.0\ncooling = {kind = "log", scale = 2}\nmemory = {rate = 0.5}'
    )
    assert (made(body).cooling, made(body).memory) == (mf.Schedule("log", 2.0), mf.Memory(rate=0.5))
    assert made('name = "TwoTimeScale"\nbeta = 5.0\nratio = 3').gamma == (1.0, 3.0)
    assert made('name = "Quasistatic"\nbeta = 5.0\nfast = "x"') == mf.Quasistatic(5.0, fast="x")
    for bad, match in (
        (
            'name = "Langevin"\nbeta = 5.0\ncooling = {kind = "linear"}',
            "line 4: flow.cooling: kind must be",
        ),
        (
            'name = "Langevin"\nbeta = 5.0\nmemory = {power = -1.0}',
            "line 4: flow.memory: power must be at least 0",
        ),
        ('name = "Langevin"\nbeta = 5.0\nspeed = 0.5', "flow.speed: must be like"),
        ('name = "TwoTimeScale"\nbeta = 5.0', "needs ratio; write ratio = 10.0"),
    ):
        with pytest.raises(BadInput, match=match):
            made(bad)


def test_results_name_the_sources_of_their_flows():
    assert "Kim" in solved(mf.AveragedLangevin(BETA), 0.1).cite()
    assert "Lascu" in solved(mf.EntropicBestResponse(BETA), 0.1).cite()
    assert "Monmarche" in solved(mf.DiscountedLangevin(BETA, 1.0), 0.1).cite()


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: mf.Memory(), ValueError, "either power"),
        (lambda: mf.Memory(power=1.0, rate=1.0), ValueError, "either power"),
        (lambda: mf.Memory(rate=0.0), ValueError, "rate must be above 0"),
        (lambda: mf.Memory(power=-1.0), ValueError, "power must be at least 0"),
        (lambda: mf.Schedule("linear"), ValueError, "kind must be"),
        (lambda: mf.Schedule("log", scale=0.0), ValueError, "scale must be above 0"),
        (lambda: mf.Schedule("log", floor=2.0), ValueError, "floor must be at most 1"),
        (lambda: Flow(memory=0.5), TypeError, "memory must be a meanfield Memory"),
        (lambda: Flow(speed=lambda t: 1 / t), TypeError, "speed must be a meanfield Schedule"),
        (lambda: mf.Annealed(mf.Wasserstein(), LOG), ValueError, "zero for both players"),
        (lambda: mf.Annealed("x"), TypeError, "flow must be a meanfield flow"),
        (lambda: mf.Schedule("poly")(-1), ValueError, "t must be at least 0"),
        (lambda: mf.Schedule("log")(float("nan")), ValueError, "t must be at least 0"),
        (lambda: mf.Langevin((1.0, 2.0, 3.0)), ValueError, "beta must be one number or two"),
        (lambda: mf.Langevin("25"), TypeError, "beta must be a number"),
        (lambda: mf.TwoTimeScale(BETA, 0.0), ValueError, "ratio must be above 0"),
        (lambda: mf.Quasistatic(BETA, fast="z"), ValueError, 'fast must be "x" or "y"'),
        (lambda: mf.Quasistatic(BETA, np.inf), ValueError, "gamma must be finite"),
        (lambda: Flow(0.0, 0.0, 1.0, np.inf), ValueError, "would wait for each other"),
        (lambda: Flow(1.0, 0.0, 0.2, (0.0, np.inf)), ValueError, "gamma and alpha zero"),
        (lambda: solved(Flow(memory=mf.Memory(rate=1.0))), ValueError,
         "needs a temperature where it transports"),
        (lambda: solved(Flow(0.0, response=1.0, memory=mf.Memory(rate=1.0))), ValueError,
         "responds by Gibbs"),
        (lambda: solved(mf.DiscountedLangevin(BETA, 1.0), engine="galerkin"), ValueError,
         'use "splitting"'),
        (lambda: solved(mf.EntropicBestResponse(BETA), engine="best-response"), ValueError,
         'use "splitting"'),
        (lambda: solved(MEAN_FIELD["annealed"], engine="finite-volume"), ValueError,
         'use "splitting"'),
        (lambda: solved(mf.EntropicWassersteinFisherRao(BETA), engine="finite-volume"), ValueError,
         "reaction"),
    ],
)  # fmt: skip
def test_bad_flows_are_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_the_energy_of_an_annealed_flow_needs_a_temperature():
    run = solved(MEAN_FIELD["annealed"], 0.1)
    with pytest.raises(ValueError, match="changes with time"):
        regularised_nikaido_isoda(GAME, run.flow, *run[-1])


def test_heat_in_one_player_and_reaction_in_the_other_are_split():
    game, flow = (
        mf.games.oscillator(),
        Flow(gamma=(0.7, 0.0), alpha=(0.0, 1.0), temperature=(0.2, 0.0)),
    )
    assert build(game, flow, mf.Start()).name == "splitting"
