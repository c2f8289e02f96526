"""Gibbs points followed in a parameter, their Hopf points and the cycles born there: in closed form
for c cos(x - y), whose Gibbs measures are uniform.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, fsolve
from scipy.special import iv

import meanfield as mf
from meanfield.cli import main
from meanfield.cli.show import draw
from meanfield.describe import same_result
from meanfield.flows import Flow
from tests.later_flows import WITHOUT_SPECTRUM
from validation.linearised import Linear

OSCILLATOR, coupled = mf.games.oscillator(), mf.games.uniform_equilibrium


def follow(family, at, between, step, cells=64, **options):
    """From the Gibbs point at `at`, on 64 cells, where differences err by 1e-12."""
    game, flow = family(at)
    near = mf.gibbs(game, tuple(1 / T for T in flow.temperature), cells)
    how = {"step": step, "name": "p", "progress": False, **options}
    return mf.branch(family, near, at, between, **how)


# -- Hopf points ----------------------------------------------------------------------------------

# Mode 1 under discounted gradients, with a = gamma_x T_x and b = gamma_y T_y:
# (l + r)^2 (l + a) (l + b) + gamma_x gamma_y (c r / 2)^2 = 0.


def squared(a, b, r):
    """The frequency's square, and gamma_x gamma_y (c r / 2)^2, where l = i omega: both parts of the
    polynomial vanish.
    """
    w2 = (r**2 * (a + b) + 2 * r * a * b) / (2 * r + a + b)
    return w2, (r**2 + 2 * r * (a + b) + a * b) * w2 - w2**2 - r**2 * a * b


def beyond(c, beta, r, ratio):
    """Positive where the uniform pair is unstable."""
    return ratio * (c * r / 2) ** 2 - squared(1 / beta, ratio / beta, r)[1]


@pytest.mark.parametrize(
    ("varied", "between", "crossings"),
    [
        ("c", (4.1, 6.0), 1), ("beta", (0.3, 2.0), 1), ("r", (0.05, 12.0), 2),
        ("ratio", (0.2, 1.5), 1),
    ],
)  # fmt: skip
def test_hopf_points_are_where_the_closed_form_has_them(varied, between, crossings):
    numbers = {"c": 6.0, "beta": 1.0, "r": 4.0, "ratio": 1.0}

    def at(p):
        return {**numbers, varied: p}

    def family(p):
        now = at(p)
        gamma = (1.0, now["ratio"])
        return coupled(now["c"]), mf.DiscountedLangevin(now["beta"], now["r"], gamma)

    found = follow(family, between[0], between, (between[1] - between[0]) / 12)
    looked = np.linspace(*between, 400)
    signs = np.array([beyond(**at(p)) for p in looked]) > 0
    known = [
        brentq(lambda p: beyond(**at(p)), looked[k], looked[k + 1], xtol=1e-14)
        for k in np.flatnonzero(signs[1:] != signs[:-1])
    ]
    assert len(known) == crossings
    assert found.hopf[:, 0] == pytest.approx(known, abs=1e-9)
    for p, turns in found.hopf:
        now = at(p)
        w2 = squared(1 / now["beta"], now["ratio"] / now["beta"], now["r"])[0]
        assert turns == pytest.approx(np.sqrt(w2), abs=1e-9)
    assert (found.stable == [beyond(**at(p)) < 0 for p in found.values]).all()
    assert found.end == f"leaves the range at p = {between[1]:g}"


def test_for_one_rate_of_both_players_the_crossing_is_simple():
    """2 (r + T) sqrt(T / r), with the frequency sqrt(r T)."""
    found = follow(lambda c: (coupled(c), mf.DiscountedLangevin(2.0, 0.5)), 2.5, (1.5, 2.5), -0.3)
    assert found.hopf == pytest.approx(np.array([[2.0, 0.5]]), abs=1e-9)
    assert (np.diff(found.values) < 0).all() and found.values[-1] == 1.5


@pytest.mark.parametrize("step", [0.5, 0.25, -0.5])
def test_a_hopf_point_at_the_end_of_a_step_is_found_once(step):
    def family(c):
        return coupled(c), mf.DiscountedLangevin(1.0, 4.0)

    ((exact, _),) = follow(family, 4.3, (4.0, 6.0), 0.9, 16).hopf
    found = follow(family, exact - 2 * step, (3.5, 6.5), step, 16)
    assert exact in found.values and found.hopf == pytest.approx(np.array([[exact, 2.0]]), abs=1e-4)
    assert found.hopf[0, 0] == pytest.approx(exact, abs=1e-12)


def test_hopf_points_of_wells_are_those_of_another_discretisation():
    """The oscillator from slow discounts to fast ones, by finite volumes of order two, extrapolated
    from 64 and 96 cells, and as docs/explanation/cycle.md has them.
    """
    found = follow(
        lambda s: (OSCILLATOR, mf.DiscountedLangevin(5.0, 10.0**s)), -4.0, (-4.0, 1.0), 1.0
    )
    linear, n = [Linear(OSCILLATOR, 5.0, cells) for cells in (64, 96)], (96 / 64) ** 2
    for s, stated in zip(found.hopf[:, 0], (8.01228e-4, 4.91876), strict=True):
        assert 10.0**s == pytest.approx(stated, rel=2e-6)
        coarse, fine = (
            brentq(lambda s, one=one: one.leading(10.0**s).real, s - 0.1, s + 0.1, xtol=1e-8)
            for one in linear
        )
        assert (n * fine - coarse) / (n - 1) == pytest.approx(s, abs=5e-5)


def test_on_spheres_hopf_points_are_met_at_second_order():
    """c x.y on S^2: degree 1 has (l + 2 T) (l + r) = +- 2 i r c / 3. From a quadrature the branch
    goes to as many cells of one size.
    """
    T, r = 1.0, 4.0
    exact = 1.5 * (r + 2 * T) * np.sqrt(2 * T / r)

    def family(c):
        A = {f"A{k}": (c if k == 1 else 0) * np.eye(3) for k in range(4)}
        return mf.games.polynomial_from(**A, a0=0, a1=0), mf.DiscountedLangevin(1 / T, r)

    errors = []
    for n in (162, 642):
        cells = 2 * (n if n == 642 else mf.mesh(mf.Sphere(2), n),)
        found = follow(family, exact - 1, (exact - 1, exact + 1), 0.75, cells)
        assert not found.x[0].mesh.by_parallels and len(found.x[0]) == n
        assert len(found.hopf) == 1  # three pairs cross at once
        errors.append(np.abs(found.hopf[0] - (exact, np.sqrt(2 * T * r))))
    assert errors[0] / errors[1] == pytest.approx(4, abs=0.1)


def test_games_of_no_rank_have_their_hopf_points():
    """c exp(cos(x - y) / 2), of first coefficient 2 c I_1(1/2)."""
    exact = 5 / (2 * iv(1, 0.5))

    def family(c):
        game = mf.games.expression("c*exp(0.5*cos(x - y))", c=c)
        return game, mf.DiscountedLangevin(1.0, 4.0)

    found = follow(family, exact - 1, (exact - 1, exact + 1), 0.7, (64, 72))
    assert family(1.0)[0].bases is None and (len(found.x[-1]), len(found.y[-1])) == (64, 72)
    assert found.hopf == pytest.approx(np.array([[exact, 2.0]]), abs=1e-9)


def test_two_pairs_cross_within_one_step():
    """Mode 2 of c (cos(x - y) + 3/4 cos(2x - 2y)) has a Hopf point at 4 / (3/4), mode 1 at 5."""

    def family(c):
        terms = [((1,), (-1,), c, 0.0), ((2,), (-2,), 0.75 * c, 0.0)]
        return mf.games.trigonometric(terms), mf.DiscountedLangevin(1.0, 4.0)

    found = follow(family, 6.0, (4.0, 6.0), -1.5)
    assert found.hopf == pytest.approx(np.array([[16 / 3, 4.0], [5.0, 2.0]]), abs=1e-7)
    assert list(found.stable) == [False, True, True]


def test_more_cells_are_taken_where_densities_ask_for_them():
    def family(beta):
        return OSCILLATOR, mf.DiscountedLangevin(beta, 0.3)

    coarse, fine = (follow(family, 0.5, (0.5, 6.0), 0.5, cells) for cells in (16, 64))
    assert len(coarse.x[0]) == 16 < len(coarse.x[-1]) and len(fine.x[-1]) == 64
    assert coarse.hopf == pytest.approx(fine.hopf, rel=1e-4) and len(fine.hopf) == 1


def test_without_memory_nothing_crosses():
    """g' G^{-1} g falls: stable at any coupling, temperatures and rates; cycles there may be."""

    def family(p):
        gamma, alpha = (1.0, p), (0.0, 0.3)
        return mf.games.oscillator(3 * p), Flow(gamma, alpha, (1 / (5 * p), 0.2), name="mixed")

    found = follow(family, 0.1, (0.1, 4.0), 0.5)
    assert found.stable.all() and not len(found.hopf) and "Hopf points at none" in repr(found)


# -- the cycle beyond -----------------------------------------------------------------------------


def response(h, w, T):
    """E e^{i theta} at rest in the potential h cos(theta), in a frame that turns at w."""
    k = np.arange(1, 41)
    M = np.diag(-1j * w - T * k) + np.diag(np.full(39, h / 2), 1) - np.diag(np.full(39, h / 2), -1)
    return np.linalg.solve(M, np.eye(40)[0] * h / 2)[0]


def turning(c, r, T, guess):
    """Size rho of E e^{ix}, and frequency w, of the solution that turns like a wheel.

    y's phase is a quarter ahead; either one sees what the other was, smaller by |r / (r + iw)| and
    late by its angle.
    """

    def left(v):
        rho, w = v
        h, late = c * r * rho / np.hypot(r, w), np.exp(1j * np.arctan2(w, r))
        gap = response(h, w, T) / rho - 1j * late
        return gap.real, gap.imag

    return fsolve(left, guess, xtol=1e-13)


def test_a_cycle_is_born_at_the_hopf_point():
    """Its size squared grows like the distance, its frequency begins from the mode's; `solve` finds
    it beyond (c = 6), where the crossing is at c = 5.
    """
    near, far = (turning(5 + d, 4.0, 1.0, (0.5 * d**0.5, 2.0)) for d in (0.005, 0.01))
    assert (far[0] / near[0]) ** 2 == pytest.approx(2, abs=0.005)
    assert 2 * near[1] - far[1] == pytest.approx(2, abs=1e-5)
    rho, w = turning(6.0, 4.0, 1.0, (0.5, 2.5))
    start = mf.Start(
        x=lambda x: 1 + 2 * rho * np.cos(x[:, 0]), y=lambda y: 1 - 2 * rho * np.sin(y[:, 0])
    )
    flow = mf.DiscountedLangevin(1.0, 4.0)
    run = mf.solve(coupled(6.0), flow, start, 40.0, cells=128, step=0.02, save_every=0.1)
    late = np.array([x.integrate(np.exp(1j * x.points[:, 0])) for x in run.x[-100:]])
    assert np.abs(late) == pytest.approx(rho, rel=1e-3)
    assert abs(np.diff(np.unwrap(np.angle(late))).mean()) / 0.1 == pytest.approx(w, rel=1e-3)


@pytest.mark.parametrize(("far", "ends"), [(True, (0.38, 0.39)), (False, (0.0, 1e-3))])
def test_beyond_a_subcritical_hopf_point_the_start_decides(far, ends):
    """The oscillator at a discount of 6, where the Gibbs point has become stable again."""
    flow, fixed = mf.DiscountedLangevin(5.0, 6.0), mf.gibbs(OSCILLATOR, 5.0, cells=96)
    found = mf.stability(OSCILLATOR, flow, near=fixed)
    assert found.stable
    start = OSCILLATOR.answers["start"] if far else mf.Start(*found.perturbed(0.02))
    run = mf.solve(OSCILLATOR, flow, start, 80.0, cells=96, step=0.02, save_every=0.5)
    pairs = zip((*run.x[-20:], *run.y[-20:]), [fixed.x] * 20 + [fixed.y] * 20, strict=True)
    assert ends[0] < max(0.5 * np.abs(m.masses - f.masses).sum() for m, f in pairs) < ends[1]


@pytest.mark.parametrize("c", [4.5, 5.5])
def test_what_is_perturbed_there_grows_and_turns_as_the_spectrum_says(c):
    flow, span = mf.DiscountedLangevin(1.0, 4.0), 6.0
    found = follow(lambda c: (coupled(c), flow), 4.0, (4.0, 5.25), 0.5, 128)
    start = mf.Start(*found.perturbed(1e-4))
    run = mf.solve(coupled(c), flow, start, 2 * span, cells=128, step=0.02, save_every=0.02)
    z = np.array([[m.integrate(np.exp(1j * m.points[:, 0])) for m in both] for both in run])
    lead = mf.stability(coupled(c), flow, cells=128).eigenvalues[0]
    # After the faster modes have gone: z_x + i z_y and z_x - i z_y turn in opposite senses.
    late = run.times > span / 2
    for sign in (1, -1):
        one = (z[:, 0] + sign * 1j * z[:, 1])[late]
        slope = np.polyfit(run.times[late], np.log(np.abs(one)), 1)[0]
        turns = np.polyfit(run.times[late], np.unwrap(np.angle(one)), 1)[0]
        assert slope == pytest.approx(lead.real, abs=1e-3)
        assert abs(turns) == pytest.approx(lead.imag, rel=1e-3)


# -- files, ends, refusals ------------------------------------------------------------------------


def test_a_stopped_branch_goes_on_to_the_same_bits(tmp_path, capsys):
    def family(c):
        if c > 5.5:
            raise KeyboardInterrupt
        return coupled(c), mf.DiscountedLangevin(1.0, 4.0)

    def go(family, **more):
        return follow(family, 4.75, (4.0, 6.0), 0.5, 16, **more)

    how = {"checkpoint": tmp_path / "branch.h5", "checkpoint_every": 0}

    def patient(c):
        return coupled(c), mf.DiscountedLangevin(1.0, 4.0)

    whole = go(patient)
    with pytest.raises(KeyboardInterrupt):
        go(family, **how)
    held = mf.load(how["checkpoint"])
    assert held.end == "not finished" and 1 < len(held.values) < len(whole.values)
    assert len(held.hopf) == 1
    assert main(["show", str(how["checkpoint"]), "--no-plot"]) == 0
    assert "unfinished; go on with: the call of meanfield.branch" in capsys.readouterr().out
    found = go(patient, **how)
    assert same_result(found, whole) and same_result(mf.load(how["checkpoint"]), whole)
    assert repr(found).startswith("GibbsBranch: 4 Gibbs points, p from 4.75 to 6, 1 stable, Hopf p")
    assert "Monmarche" in found.cite() and draw(found).axes
    rows = found.to_csv(tmp_path / "branch.csv").read_text().split()
    assert rows[0] == "p,value,residual,stable,real,imag" and len(rows) == 5
    assert go(patient, points=2).end == "ends after 2 Gibbs points"
    at_end = follow(patient, 6.0, (4.0, 6.0), 0.5, 16)
    assert at_end.end == "leaves the range at p = 6" and len(at_end.values) == 1


def test_a_branch_ends_where_nothing_is_found(monkeypatch):
    from meanfield.equilibria import gibbs_branch

    solve = gibbs_branch.gibbs

    def lost(game, beta, *rest):
        if beta[0] > 2.1:
            raise mf.NotConverged("it is too cold")
        return solve(game, beta, *rest)

    monkeypatch.setattr(gibbs_branch, "gibbs", lost)
    found = follow(lambda b: (coupled(1.0), mf.Langevin(b)), 1.0, (1.0, 9.0), 1.0, 16)
    assert found.end.endswith("it is too cold") and "no Gibbs point was found beyond" in found.end
    assert 2.09 < found.values[-1] <= 2.1


def test_steps_are_halved_where_nothing_is_found_and_grow_again(monkeypatch):
    from meanfield.equilibria import gibbs_branch

    solve, missed = gibbs_branch.gibbs, []

    def once(game, beta, *rest):
        if beta[0] > 2.1 and not missed:
            missed.append(beta)
            raise mf.NotConverged("once")
        return solve(game, beta, *rest)

    monkeypatch.setattr(gibbs_branch, "gibbs", once)
    found = follow(lambda b: (coupled(1.0), mf.Langevin(b)), 1.0, (1.0, 6.0), 1.0, 16)
    assert np.diff(found.values) == pytest.approx([1, 0.5, 0.7, 0.98, 1, 0.82])


@pytest.mark.parametrize(("flow", "says"), WITHOUT_SPECTRUM)
def test_flows_that_have_no_spectrum_are_told(flow, says):
    near = mf.gibbs(coupled(1.0), 1.0, cells=16)
    with pytest.raises(ValueError, match=says):
        mf.branch(lambda p: (coupled(1.0), flow), near, 1.0, (0.0, 2.0))


def test_what_does_not_belong_together_is_told():
    game, flow = coupled(1.0), mf.Langevin(1.0)
    near = mf.gibbs(game, 1.0, cells=16)
    torus = mf.games.benchmark("torus")
    for family, error, says in (
        (lambda p: game, TypeError, r"a pair \(game, flow\) where near is of type GibbsPoint"),
        (lambda p: (torus, flow), ValueError, r"near is on Torus\(1\) and Torus\(1\), but the g"),
    ):
        with pytest.raises(error, match=says):
            mf.branch(family, near, 1.0, (0.0, 2.0))
    with pytest.raises(TypeError, match=r"a game or a pair \(game, flow\) where near is of type E"):
        mf.branch(lambda p: (game, 3), mf.nash(OSCILLATOR), 1.0, (0.0, 2.0))
    with pytest.raises(ValueError, match="weights and without noise"):
        mf.branch(lambda p: (OSCILLATOR, flow), mf.nash(OSCILLATOR), 1.0, (0.0, 2.0))
    with pytest.raises(ValueError, match="folds counts those of orbits"):
        mf.branch(lambda p: (game, flow), near, 1.0, (0.0, 2.0), folds=1)


def discounted(c):
    return mf.games.uniform_equilibrium(c), mf.DiscountedLangevin(beta=1.0, rate=4.0)


def test_a_branch_begins_away_from_the_end_of_its_range_where_it_stands():
    """A fiftieth of the range; elsewhere one of the way to the nearer end."""
    near = mf.gibbs(discounted(3.0)[0], 1.0, cells=16)
    for at, ahead in ((3.0, 3.02), (4.0, 3.98), (3.4, 3.392), (3.6, 3.608)):
        found = mf.branch(discounted, near, at, (3.0, 4.0), points=2)
        assert found.values == pytest.approx([at, ahead], abs=1e-12)

    def tilted(p):
        return mf.games.expression(f"cos(2*x) - cos(2*y) + 2*sin(x)*sin(y) + {float(p)!r}*sin(x)")

    found = mf.branch(tilted, mf.nash(tilted(0.5)), 0.5, (0.5, 1.0), points=3)
    assert found.values[0] == 0.5 and (np.diff(found.values) > 1e-3).all()


def test_a_family_that_jumps_has_no_hopf_point():
    near = mf.gibbs(discounted(4.0)[0], 1.0, cells=16)
    with pytest.raises(ValueError, match=r"family jumps at parameter = 5\.3.*: a growth rate"):
        mf.branch(lambda c: discounted(4.9 if c < 5.3 else 5.2), near, 4.0, (4.0, 6.0), step=0.5)


def test_families_stay_with_what_they_begin_with():
    near = mf.gibbs(discounted(4.0)[0], 1.0, cells=16)
    plane = mf.games.benchmark("torus")
    given = {"near": near, "at": 4.0, "between": (4.0, 6.0), "step": 0.5}
    with pytest.raises(TypeError, match=r"family gives a pair \(game, flow\) where .* at 4\.5"):
        mf.branch(lambda c: discounted(c) if c < 4.5 else discounted(c)[0], **given)
    with pytest.raises(ValueError, match=r"family gives a game on Torus\(2\).* at 4\.5"):
        mf.branch(lambda c: (discounted(c)[0] if c < 4.5 else plane, discounted(c)[1]), **given)


def test_where_there_is_no_such_hopf_point_or_amplitude_it_is_told():
    found = mf.branch(discounted, mf.gibbs(discounted(4.8)[0], 1.0, cells=16), 4.8, (4.8, 5.2),
                      step=0.2)  # fmt: skip
    with pytest.raises(ValueError, match="which counts 1 Hopf points from 0, got 1"):
        found.perturbed(0.1, which=1)
    with pytest.raises(ValueError, match="amplitude"):
        found.perturbed(np.nan)


def test_the_gibbs_point_of_another_game_has_no_spectrum_here():
    own, other = mf.games.expression("4*cos(x - y) + 0.3*sin(2*x)"), mf.games.oscillator()
    flow, point = mf.Langevin(2.0), mf.gibbs(other, 2.0, cells=64)
    for ask in (lambda: mf.stability(own, flow, near=point), lambda: mf.stability(own, point)):
        with pytest.raises(ValueError, match=r"near is the Gibbs point of .*oscillator.*, not of"):
            ask()
    again = mf.stability(mf.games.oscillator(), flow, near=point)
    assert again.rate == mf.stability(other, flow, near=point).rate


def test_where_nothing_moves_there_is_no_eigenvalue():
    """Weights of single atoms, beyond the tilt where a player's last but one has left."""

    def tilted(p):
        text = f"cos(2*x) - cos(2*y) + 2*sin(x)*sin(y) + {float(p)!r}*sin(x)"
        return mf.games.expression(text), mf.MirrorDescent()

    game, flow = tilted(5.0)
    there = mf.stability(game, flow)
    assert len(there.x) == len(there.y) == 1
    assert len(there.eigenvalues) == 0 and there.rate == np.inf and there.frequency == 0
    assert "none, nothing moves" in repr(there)
    assert there.plot().axes[0].get_legend().get_texts()[0].get_text() == "nothing moves"
    found = mf.branch(tilted, mf.nash(tilted(1.5)[0]), 1.5, (1.5, 3.0), step=0.5)
    single = [len(x) == len(y) == 1 for x, y in zip(found.x, found.y, strict=True)]
    assert any(single) and not all(single)
    assert np.isnan(found.leading).tolist() == single
