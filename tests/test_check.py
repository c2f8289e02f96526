"""`check`: theorems hold where they do, fail where something is wrong, are refused elsewhere."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from matplotlib.figure import Figure

import meanfield as mf
from meanfield.studies.theorems import averages, epsilon, one, settling, slowest, two
from meanfield.studies.theorems.pictures import draw_one
from meanfield.studies.theorems.problem import Problem, constants

comparing = import_module("meanfield.studies.compare")
OSCILLATOR = mf.games.oscillator()
START = OSCILLATOR.answers["start"]
FEW = {"particles": (300, 3000), "replicas": (64, 32)}


def named(result, words):
    """The one row whose claim holds these words."""
    rows = [row for rows in result.rows.values() for row in rows if words in row.claim]
    assert len(rows) == 1, [row.claim for row in rows]
    return rows[0]


@pytest.fixture(scope="module")
def cycling():
    return mf.check(OSCILLATOR, mf.Langevin(25.0), START, theorems=1)


def test_a_limit_cycle_is_told_and_fails_nothing(cycling):
    row = named(cycling, "from the given start")
    assert row.outcome == "limit cycle" and "does not converge" in row.claim
    assert abs(row.measured - OSCILLATOR.answers["period_by_crossings"]) < 1e-5
    assert row.error < 1e-4
    assert cycling.outcome("1") == "holds" and cycling.outcome("3") == "not applicable"
    rate = named(cycling, "rate of the slowest mode (stable")
    assert abs(rate.measured - 0.00489) < 5e-6


def test_where_the_flow_converges_it_does_to_the_gibbs_pair():
    result = mf.check(OSCILLATOR, mf.Langevin(3.0), theorems=[1])
    assert result.outcome("1") == "holds"
    for start in ("uniform", "bumps 1", "bumps 2"):
        row = named(result, f"(7) from {start} converges")
        assert row.measured < 1e-6 and row.error < 1e-5
    rate = named(result, "(7) from bumps 1: rate of approach")
    assert abs(rate.measured - 1) < 0.02
    assert abs(named(result, "rate of return").measured - 1) < 1e-4


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_an_eigenvalue_that_is_a_tenth_off_fails_either_way(monkeypatch, factor):
    game = mf.games.benchmark("circle")
    p = Problem(game, mf.Langevin(3.0), mf.Start())
    point = mf.gibbs(game, 3.0, cells=64)
    right = mf.stability(game, point, count=2)
    wrong = replace(right, eigenvalues=factor * right.eigenvalues)
    monkeypatch.setattr(slowest, "stability", lambda *a, **o: wrong)
    row = one.back(slowest.slowest(p), one._stable(p))[0]
    assert row.outcome == "fails" and abs(row.measured * factor - 1) < 1e-3


def test_a_slowest_mode_too_slow_to_follow_is_said_not_to_be_checked():
    p = Problem(mf.games.benchmark("circle"), mf.Langevin(100.0), mf.Start())
    row = one.back(slowest.slowest(p), {"rate": 1e-22})[0]
    assert row.outcome == "not followed" and "from below alone" in row.claim


@pytest.mark.parametrize("broken", ["a fixed point a tenth colder", "player y's sign turned"])
def test_a_wrong_gibbs_pair_fails(monkeypatch, broken):
    def wrong(game, beta, *args, **options):
        if broken.startswith("a fixed"):
            return mf.gibbs(game, tuple(1.1 * b for b in beta), *args, **options)
        turned = mf.games.trigonometric([((1,), (-1,), 1.0, 0.0), ((0,), (1,), -0.8, 0.0)])
        return mf.gibbs(turned, beta, *args, **options)

    game = mf.games.trigonometric([((1,), (-1,), 1.0, 0.0), ((0,), (1,), 0.8, 0.0)])
    right = mf.check(game, mf.Langevin(3.0), theorems=1)
    assert right.outcome("1") == "holds"
    monkeypatch.setattr(one, "gibbs", wrong)
    result = mf.check(game, mf.Langevin(3.0), theorems=1)
    assert named(result, "misses (9)").outcome == "fails"
    assert named(result, "(7) from uniform converges").outcome == "fails"


def test_a_mean_field_of_another_temperature_fails_theorem_1(monkeypatch):
    game = mf.games.benchmark("circle")
    build = one.build
    monkeypatch.setattr(one, "build", lambda g, flow, *a, **o: build(g, mf.Langevin(3.3), *a, **o))
    result = mf.check(game, mf.Langevin(3.0), theorems=1)
    assert named(result, "(7) from uniform converges").outcome == "fails"
    assert named(result, "misses (9)").outcome == "holds"


def test_theorem_2_holds_and_its_identity_sees_another_alpha(monkeypatch):
    game = mf.games.benchmark("circle")
    flow, start = mf.WassersteinFisherRao(1.0, 2.0), game.answers["start"]
    result = mf.check(game, flow, start, theorems=2)
    assert result.outcome("2") == "holds"
    assert abs(named(result, "gamma = 0").measured - 1) < 1e-4
    assert named(result, "slope of log NI").measured > 0.3
    build = averages.build
    wrong = mf.MirrorDescent(2.2)
    monkeypatch.setattr(averages, "build", lambda g, flow, *a, **o: build(g, wrong, *a, **o))
    data = {"mirror descent": two.parts(Problem(game, flow, start))["mirror descent"]()}
    rows = two.judge(Problem(game, flow, start), data)
    assert [row.outcome for row in rows] == ["fails"]


def test_a_start_at_equilibrium_has_no_error_and_fails_nothing():
    game, flow = mf.games.uniform_equilibrium(), mf.WassersteinFisherRao(1.0, 1.0)
    result = mf.check(game, flow, theorems=2)
    assert named(result, "the start is at equilibrium").measured < 1e-14
    assert named(result, "it has no slope").outcome == "measured"
    assert result.outcome("2") == "holds"


def test_the_slope_of_theorem_2_is_judged_at_small_ratios_alone():
    p = Problem(mf.games.benchmark("circle"), mf.WassersteinFisherRao(), mf.Start())
    K, ratio = p.constants.range, np.geomspace(1.0, 1e-4, 9)
    flat_where_large = np.where(ratio > 1e-2, 0.1, np.sqrt(ratio))
    moved = np.where(ratio > 1e-2, K, 0.1 * K)
    rows = {"ratio": ratio, "ni": flat_where_large, "moved": moved}
    assert two.of_slope(p, rows)[0].measured == pytest.approx(0.5)
    slow = two.of_slope(p, rows | {"ni": ratio**0.1})[0]
    assert slow.outcome == "fails" and "0.0001 to 0.01" in slow.claim
    shown = two.of_slope(p, rows | {"moved": np.full(9, K)})[0]
    assert shown.outcome == "not small" and "not judged" in shown.claim


def test_formulas_average_measures_as_low_rank_games_average_moments():
    low = mf.games.trigonometric([((1,), (-1,), 1.0, 0.0)])
    formula = mf.games.expression("cos(x - y)")
    start = mf.Start(x=mf.games.density("1 + 0.5*cos(x)"), y=mf.games.density("1 + 0.3*sin(y)"))
    flow = mf.WassersteinFisherRao(0.1, 1.0)
    found = [two.rows(Problem(g, flow, start), 0.1, (0.5, 2.0)) for g in (low, formula)]
    for name in ("ni", "entropic", "last"):
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-3, atol=1e-5)


def test_theorem_3_holds_and_a_mean_field_of_another_temperature_fails(monkeypatch):
    flow = mf.Langevin(25.0)
    right = mf.check(OSCILLATOR, flow, START, theorems=3, **FEW)
    assert named(right, "at T = 0.68: E [W2^2").outcome == "holds"
    solved = comparing.mean_field
    monkeypatch.setattr(
        comparing, "mean_field", lambda game, flow, *rest: solved(game, mf.Langevin(27.5), *rest)
    )
    wrong = mf.check(OSCILLATOR, flow, START, theorems=3, particles=(1000, 30_000), replicas=12)
    assert named(wrong, "at T = 0.68: E [W2^2").outcome == "fails"
    assert wrong.outcome("3") == "fails"


def test_without_a_mesh_theorem_3_is_against_many_more_particles():
    game = mf.games.polynomial("a", dim=6, seed=0)
    result = mf.check(
        game, mf.Langevin(20.0), particles=(6, 24), replicas=(32, 16), time=0.2, step=0.1
    )
    assert "Sphere(5) has no mesh" in result.refused["1"]
    row = named(result, "at T = 0.2: E [W2^2")
    assert "against 192 particles" in row.claim and "-0.4 expected" in row.claim
    assert row.outcome == "holds" and -0.7 < row.measured < -0.3
    assert "bounds" in result.plot("3").axes[1].get_legend_handles_labels()[1]


@pytest.mark.parametrize(
    ("flow", "start", "says"),
    [
        (mf.BestResponse(), None, "theorem 2: it is about (8)"),
        (mf.AveragedLangevin(5.0), None, "theorem 3: it is about (4) and (7)"),
        (mf.EntropicWassersteinFisherRao(5.0), None, "theorem 1: it is about (7)"),
    ],
)
def test_flows_that_no_theorem_speaks_of_are_refused_with_what_each_is_about(flow, start, says):
    with pytest.raises(ValueError, match="not what the theorems speak of") as error:
        mf.check(OSCILLATOR, flow, start)
    assert says in str(error.value)


def test_theorem_2_wants_a_density_bounded_below_and_one_pace():
    atoms = mf.Start(x=mf.Measure([[1.0]], None, mf.Torus(1)))
    flow = mf.WassersteinFisherRao()
    assert "density bounded below" in two.refusal(OSCILLATOR, flow, atoms)
    assert "one gamma" in two.refusal(OSCILLATOR, mf.WassersteinFisherRao((1.0, 2.0)), mf.Start())
    assert "needs transport" in two.refusal(OSCILLATOR, mf.MirrorDescent(), mf.Start())
    assert two.refusal(OSCILLATOR, flow, mf.Start()) == ""


def test_input_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="theorems must be of 1, 2 and 3, got 4"):
        mf.check(OSCILLATOR, mf.Langevin(3.0), theorems=[1, 4])
    with pytest.raises(TypeError, match="flow must be"):
        mf.check(OSCILLATOR, "Langevin")
    with pytest.raises(TypeError, match="start must be"):
        mf.check(OSCILLATOR, mf.Langevin(3.0), 3)


def test_results_are_saved_drawn_and_written_as_one_page(cycling, tmp_path):
    back = mf.load(cycling.save(tmp_path / "check.h5"))
    assert repr(back) == repr(cycling)
    assert len(back.plot().subfigs) == 1
    page = back.page(tmp_path / "check.html").read_text()
    assert "limit cycle" in page and "data:image/png;base64," in page
    assert "http" not in page and "not applicable" not in page.split("Theorem 2")[0]
    assert "&plusmn;" in page and "+-" not in page.split("<details>")[0]
    assert "&epsilon;, &beta;/8 to &beta;" in page
    assert '<span class="number">at most 1e-08</span>' in page  # not broken at its minus
    assert "limit cycle" in back._repr_html_()
    lines = back.to_csv(tmp_path / "check.csv").read_text().splitlines()
    assert len(lines) == 1 + sum(map(len, cycling.rows.values()))
    with pytest.raises(ValueError, match=r"must end in \.html"):
        back.page(tmp_path / "check.txt")


def test_pictures_have_one_plane_for_all_orbits_and_no_axes_around_a_single_value():
    t, one = np.geomspace(0.1, 10, 20), Figure().subfigures(1, 1)
    orbit = 1e-6 * np.stack([np.cos(t), np.sin(t)], axis=1) - 0.2
    held = {"times": t, "tv": np.exp(-t), "orbit": orbit}
    draw_one(one, {"(7) from uniform": held})
    assert np.ptp(one.axes[1].get_xlim()) == pytest.approx(0.1) == np.ptp(one.axes[1].get_ylim())
    # All orbits in the plane of the means that vary most in any; here of two of x and three of y.
    varied, still = np.tile(np.sin(t)[:, None], 5) * [1, 2, 3, 1, 1], np.full((20, 5), 0.1)
    runs = {
        f"(7) from {k}": {**held, "orbit": o, "orbit_x": 2} for k, o in enumerate((still, varied))
    }
    draw_one(one, runs)
    ends = [line.get_xydata()[-1] for line in one.axes[4].lines[::2]]
    assert np.allclose(ends, [still[-1, [1, 2]], varied[-1, [1, 2]]])


def test_ctrl_c_gives_what_is_done_and_the_same_call_goes_on(monkeypatch, tmp_path):
    game, flow = mf.games.uniform_equilibrium(), mf.Langevin(3.0)
    calls = []

    def settled(p, start):
        calls.append(start)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(p, start)

    whole = one.settled
    monkeypatch.setattr(one, "settled", settled)
    with pytest.warns(UserWarning, match="stopped"):
        half = mf.check(game, flow, theorems=1, out=tmp_path)
    assert len(half.missing) == 2 and half.outcome("1") == "inconclusive"
    assert "not computed" in repr(half)
    done = mf.check(game, flow, theorems=1, out=tmp_path)
    assert not done.missing and len(calls) == 4
    again = mf.check(game, flow, theorems=1, out=tmp_path)
    assert len(calls) == 4 and str(again.rows) == str(done.rows)
    other = mf.check(game, mf.Langevin(3.1), theorems=1, out=tmp_path)
    assert len(calls) == 7 and str(other.rows) != str(done.rows)


def test_a_part_that_cannot_be_computed_leaves_the_theorem_open(monkeypatch):
    def failing(p):
        raise mf.NotConverged("no fixed point today")

    monkeypatch.setattr(one, "pair", failing)
    result = mf.check(mf.games.uniform_equilibrium(), mf.Langevin(3.0), theorems=1)
    assert "no fixed point today" in result.failed["theorem 1, Gibbs pair"]
    assert result.outcome("1") == "inconclusive" and not result.holds


def test_the_bound_is_that_of_theorem_1_by_hand():
    """l = cos x - cos y: K = 4, Lip 1, balls of share delta/pi."""
    eps, K = 0.1, 4.0
    V = eps / 2 / np.pi
    beta = 4 / eps * np.log(2 * (1 - V) / V * (2 * K / eps - 1))
    assert epsilon.epsilon(beta, mf.Torus(1), K, 1.0) == pytest.approx(eps, rel=1e-10)
    assert epsilon.epsilon(0.1, mf.Torus(1), K, 1.0) == np.inf


def test_constants_are_those_of_the_loss():
    found = constants(mf.games.trigonometric([((1,), (0,), 1.0, 0.0), ((0,), (2,), -1.0, 0.0)]))
    assert found.range == pytest.approx(4.0) and found.curvature == pytest.approx(4.0)
    assert found.slopes == pytest.approx((1.01, 2.02), rel=1e-4)


def test_cycles_and_spirals_are_told_apart():
    """A spiral that decays by a hundredth a turn is no cycle, a circle is; a line settles."""

    class Circle:
        def __init__(self, decay):
            self.decay, self.time = decay, 0.0

        def advance(self, until):
            self.time = until

        def measures(self):
            size = 0.4 * np.exp(-self.decay * self.time)
            at = 0.5 + size * np.cos(self.time), 0.5 + size * np.sin(self.time)
            return [mf.Measure([[0.0], [1.0]], [a, 1 - a], mf.Torus(1)) for a in at]

    middle = np.full(4, 0.5)
    circle = settling.follow(Circle(0.0), middle, 1.0, 4000)
    assert circle["fate"] == settling.CYCLES
    assert circle["cycle"][0] == pytest.approx(2 * np.pi, rel=1e-6)
    spiral = settling.follow(Circle(0.0016), middle, 1.0, 600)
    assert spiral["fate"] == settling.OPEN
    late = settling.follow(Circle(0.05), middle, 1.0, 4000)
    assert late["fate"] == settling.SETTLED and late["tv"][-1] < 1e-5


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"time": -1}, "time must be above 0"),
        ({"time": 0}, "time must be above 0"),
        ({"time": np.nan}, "time must be finite"),
        ({"step": -0.1}, "step must be above 0"),
        ({"time": 1.0, "step": 0.3}, "time must be a whole number of steps"),
        ({"replicas": 1}, "replicas must be at least 2"),
        ({"replicas": (3, 4)}, "replicas must be one number or 3"),
        ({"particles": (0, 10)}, "particles must be at least 1"),
        ({"particles": ()}, "got none"),
        ({"cells": 1}, "cells must be at least"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_sizes_that_cannot_be_run_are_refused_before_anything_runs(monkeypatch, given, words):
    monkeypatch.setattr("meanfield.studies.check.Done", None)
    with pytest.raises(ValueError, match=words):
        mf.check(OSCILLATOR, mf.Langevin(3.0), START, **given)
