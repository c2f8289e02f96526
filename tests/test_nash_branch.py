"""Nash equilibria followed in a parameter: closed forms, and the double oracle at every point."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.cli.show import draw
from meanfield.describe import same_result
from meanfield.equilibria.nash_branch import NashWalk
from meanfield.equilibria.nash_curve import NashCurve, Point

QUARTER = np.pi / 2


def tilted(sine=0.0, cosine=0.0):
    """cos 2x - cos 2y + 2 sin x sin y + sine sin x + cosine cos x.

    Its equilibria are known. While |sine| <= 2 and cosine = 0, x has half its weight at each of
    pi/2 and -pi/2, and y there, too, with E sin y = -sine/2; for sine >= 2 both are at -pi/2. With
    sine = 0, x is at the angles whose cosine is -cosine/4, which are one from cosine = 4 on.
    """
    coupled = [((1,), (-1,), 1, 0), ((1,), (1,), -1, 0)]
    own = [((2,), (0,), 1, 0), ((0,), (2,), -1, 0), ((1,), (0,), cosine, -sine)]
    return mf.games.trigonometric([*coupled, *own])


def follow(family, at, step, between=(0.0, 3.0), **options):
    how = {"name": "p", "progress": False, "near": None, **options}
    near = how.pop("near") or mf.nash(family(at))
    return mf.branch(family, near, at, between, step=step, **how)


def sine(mu):
    return float(mu.masses @ np.sin(mu.points[:, 0]))


@pytest.fixture(scope="module")
def rising():
    return follow(tilted, 0.5, 0.25)


def test_the_legend_stands_beside_the_panels(rising):
    """Its markers are those of atoms and weights, for which they would be taken among them."""
    figure = rising.plot()
    figure.canvas.draw()
    (legend,) = (ax.get_legend() for ax in figure.axes if ax.get_legend())
    left = legend.get_window_extent().x0
    assert left > max(ax.get_window_extent().x1 for ax in figure.axes)
    assert [text.get_text() for text in legend.get_texts()] == ["$x$", "$y$"]


def test_a_weight_reaches_zero_where_it_is_known_to(rising):
    """At p = 2 y's second atom goes; the equilibria of that game are a segment, at whose other end
    x has a single atom.
    """
    assert rising.what == ["an atom of y leaves", "an atom of x leaves"]
    assert rising.changes == pytest.approx([2, 2], abs=1e-12)
    assert rising.end == "leaves the range at p = 3" and rising.values[-1] == 3
    assert rising.certified and rising.errors.max() < 1e-9
    before = rising.values < 2 - 1e-9
    for k, (p, x, y) in enumerate(zip(rising.values, rising.x, rising.y, strict=True)):
        away = np.abs(np.sin(np.concatenate([x.points, y.points]))) - 1
        assert np.abs(away).max() < 1e-12  # all atoms are at +- pi/2
        if before[k]:
            assert sine(x) == pytest.approx(0, abs=1e-9)
            assert sine(y) == pytest.approx(-p / 2, abs=1e-9)
        else:
            assert len(y) == 1 and sine(y) == pytest.approx(-1, abs=1e-12)
    assert before.sum() == 4 and (np.diff(rising.values) >= 0).all()
    after = rising.values > 2 + 1e-9
    assert after.any()
    assert all(len(x) == 1 and sine(x) < 0 for x in np.array(rising.x, dtype=object)[after])
    known = np.where(before, 0.0, 2 - rising.values)
    assert rising.game_values == pytest.approx(known, abs=1e-12)


def test_new_responses_join_where_weights_left(rising):
    falling = follow(tilted, 2.5, -0.25)
    assert falling.what == ["an atom of x joins", "an atom of y joins"]
    assert falling.changes == pytest.approx([2, 2], abs=1e-12)
    assert sine(falling.y[-1]) == pytest.approx(-falling.values[-1] / 2, abs=1e-9)
    assert (np.diff(falling.values) <= 1e-12).all()


@pytest.mark.parametrize(("at", "step", "end"), [(1.0, 0.3, "two atoms of x meet"),
                                                (5.0, -0.3, "an atom of x splits")])  # fmt: skip
def test_atoms_meet_and_split_where_they_are_known_to(at, step, end):
    found = follow(lambda p: tilted(cosine=p), at, step, (0.0, 6.0))
    assert found.end == f"{end} at p = 4" and found.values[-1] == pytest.approx(4, abs=1e-9)
    for p, x in zip(found.values, found.x, strict=True):
        assert np.abs(np.cos(x.points) + min(p / 4, 1)).max() < 1e-12


@pytest.mark.parametrize("kind", ["circles", "spheres"])
def test_a_branch_is_what_the_double_oracle_finds_at_each_parameter(kind):
    """From one random game to another; on circles a cost is nearly flat where an atom joins."""
    if kind == "circles":
        one, two = (mf.games.random_fourier(3, seed) for seed in (9, 109))
    else:
        one, two = (mf.games.polynomial("b", 4, seed) for seed in (0, 10))
    found = follow(
        lambda s: mf.games.LowRank(*one.bases, (1 - s) * one.C + s * two.C), 0.0, 0.05, (0.0, 1.0)
    )
    assert found.end.startswith("leaves the range") and len(found.changes) >= 4
    assert found.certified and found.errors.max() < 1e-9
    for k in range(0, len(found.values), 16):
        s = found.values[k]
        exact = mf.nash(mf.games.LowRank(*one.bases, (1 - s) * one.C + s * two.C))
        assert found.game_values[k] == pytest.approx(exact.value, abs=1e-9)
        for p, mu, other in ((0, found.x[k], exact.x), (1, found.y[k], exact.y)):
            if exact.unique:
                gap = one.moments(p, mu.points, mu.masses) - one.moments(
                    p, other.points, other.masses
                )
                assert np.abs(gap).max() < 1e-6


def walk(family, at, between):
    """A walk along a family's equilibria, with the first point as it begins."""
    made = NashWalk(family, mf.nash(family(at)), between, 100, "p")
    made.begin(at, 0.1)
    return made


def test_slack_is_what_a_response_loses_against_the_atoms():
    one, two = (mf.games.random_fourier(3, seed) for seed in (9, 109))
    made = walk(lambda s: mf.games.LowRank(*one.bases, one.C + s * two.C), 0.0, (-1.0, 1.0))
    here, game = made.found[0], one
    pair = made.curve.pair(here)
    for p, angle in ((0, 0.4), (1, 2.9)):
        for atom in here.atoms[p]:
            assert abs(made.curve.slack(here, p, atom)) < 1e-12
        cost = game.cost(p, np.array([[angle]]), pair[1 - p])[0]
        own = pair[p].masses @ game.cost(p, pair[p].points, pair[1 - p])
        assert made.curve.slack(here, p, np.array([angle])) == pytest.approx(cost - own, abs=1e-12)
        assert cost - own > 1e-3


def test_lengths_along_the_tangent_are_those_of_all_that_changes():
    one, two = (mf.games.random_fourier(3, seed) for seed in (9, 109))
    made = walk(lambda s: mf.games.LowRank(*one.bases, one.C + s * two.C), 0.0, (-1.0, 1.0))
    here = made.found[0]
    assert abs(here.tangent[-2]) > 0.01 and np.linalg.norm(here.tangent) == pytest.approx(1)
    ahead = made.curve.predicted(here, 1e-3)
    assert made.curve.along(here, ahead) == pytest.approx(1e-3, rel=1e-9)


@pytest.mark.parametrize("rising", [True, False])
def test_two_atoms_meet_where_their_distance_says(rising):
    """Its square goes like the parameter: from 0.004 before to 0.003 it falls by a quarter."""
    family = (lambda p: tilted(cosine=p)) if rising else (lambda p: tilted(cosine=8 - p))
    sign = 1 if rising else -1
    made = walk(family, 4 - 0.004 * sign, (0.0, 6.0))
    here = made.found[0] if rising else made.curve.directed(made.found[0], lambda t: -t[-1])
    length = 0.001 / 6 / abs(here.tangent[-1])
    there = made.curve.after(here, length)
    assert made.value(there) == pytest.approx(4 - 0.003 * sign, abs=2e-4)
    ((far, at, told, goes_on),) = made.ends(here, there, length)
    assert (told, goes_on, far) == ("two atoms of x meet", None, length)
    assert made.value(at) == pytest.approx(4, abs=1e-9)


def test_what_lies_beyond_a_step_is_not_met_on_it(monkeypatch):
    made = walk(tilted, 0.5, (0.0, 3.0))
    here = made.found[0]
    there = made.curve.after(here, 0.1)
    event = (0.12, there, "an atom of y leaves", None)
    monkeypatch.setattr(made, "changed", lambda *_: ([event], False))
    with pytest.raises(mf.NotConverged, match="not found on it"):
        made.met(here, there, 0.1, made.curve.responses(there))
    monkeypatch.setattr(made, "changed", lambda *_: ([(0.1, *event[1:])], False))
    assert made.met(here, there, 0.1, made.curve.responses(there))
    assert made.end.startswith("an atom of y leaves at p =")


def test_of_three_atoms_the_two_that_are_near_are_made_one():
    """Between them, by their weights; the third stays."""
    M = mf.Torus(1)
    game = mf.games.trigonometric([((1,), (-1,), 1.0, 0.0), ((2,), (0,), 1.0, 0.0)])
    curve, asked = NashCurve(lambda p: game, 1.0), []
    curve.manifolds = (M, M)
    x = np.array([[1.0], [1.02], [4.0]])
    here = Point((x, np.array([[0.5]])), (np.array([0.25, 0.5, 0.25]), np.ones(1)), 0.0, 0.0,
                 np.zeros(10))  # fmt: skip

    class Asked(Exception):
        pass

    def bases(curve, base):
        asked.append(base)
        raise Asked

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Asked):
        patch.setattr("meanfield.equilibria.nash_curve.System", bases)
        curve.meeting(here, here, 0, (0, 1))
    (one,) = asked
    np.testing.assert_allclose(one.atoms[0], [[1 + 0.02 * 2 / 3], [4.0]], rtol=1e-14)
    np.testing.assert_allclose(one.weights[0], [0.75, 0.25], rtol=1e-14)


def test_flows_along_a_branch_have_their_closed_rate():
    """p (1 - cos x) - q (1 - cos y) + c sin x sin y, at rest at (0, 0): the linear pair
    dx = -a (p x + c y), dy = -b (q y - c x), q the parameter.
    """
    a, b, p, c = 1.0, 2.0, 0.5, 0.4

    def family(q):
        own = [((1,), (0,), -p, 0), ((0,), (1,), q, 0), ((1,), (-1,), c / 2, 0)]
        game = mf.games.trigonometric([*own, ((1,), (1,), -c / 2, 0)])
        return game, mf.WassersteinFisherRao((a, b), 1.0)

    found = mf.branch(family, mf.nash(family(0.5)[0]), 0.5, (0.5, 1.5), step=0.25, progress=False)
    assert not len(found.changes) and len(found.leading) == len(found.values) > 3
    for q, lead in zip(found.values, found.leading, strict=True):
        exact = np.linalg.eigvals([[-a * p, -a * c], [b * c, -b * q]])
        assert lead == pytest.approx(exact[np.lexsort((-exact.imag, -exact.real))[0]], abs=1e-8)


def test_rates_along_a_flows_parameter_are_those_of_the_table(tmp_path):
    """l_b in d = 2 at alpha = 0.1, 1 and 10, as docs/explanation/equilibria.md has them."""
    game = mf.games.polynomial("b", dim=2, seed=0)

    def family(log):
        return game, mf.WassersteinFisherRao(1.0, 10.0**log)

    found = follow(family, -1.0, 1.0, (-1.0, 1.0), near=mf.nash(game))
    assert found.end == "leaves the range at p = 1"
    assert all(np.abs(x.points - found.x[0].points).max() < 1e-9 for x in found.x)
    for log, rate in ((-1.0, 0.054), (0.0, 0.207), (1.0, 0.082)):
        k = int(np.abs(found.values - log).argmin())
        assert found.values[k] == pytest.approx(log, abs=1e-9)
        assert -found.leading[k].real == pytest.approx(rate, abs=5e-4)
    rows = found.to_csv(tmp_path / "rates.csv").read_text().split()
    assert rows[0] == "p,value,error,real,imag" and draw(found).axes


def test_a_stopped_branch_goes_on_to_the_same_bits(rising, tmp_path):
    asked = []

    def family(p):
        asked.append(p)
        if len(asked) == 60:
            raise KeyboardInterrupt
        return tilted(p)

    how = {"checkpoint": tmp_path / "branch.h5", "checkpoint_every": 0}
    near = mf.nash(tilted(0.5))

    def go(family, **more):
        options = {"name": "p", "step": 0.25, "progress": False, **how, **more}
        return mf.branch(family, near, 0.5, (0.0, 3.0), **options)

    with pytest.raises(KeyboardInterrupt):
        go(family)
    held = mf.load(how["checkpoint"])
    assert held.end == "not finished" and 2 < len(held.values) < len(rising.values)
    with pytest.raises(ValueError, match=r"the call of meanfield\.branch that made it goes on"):
        mf.resume(how["checkpoint"])
    found = go(family)
    assert same_result(found, rising) and same_result(mf.load(how["checkpoint"]), rising)
    assert "Keller" in found.cite() and "McMahan" in found.cite()
    assert draw(found).axes and "an atom of y leaves at 2" in repr(found)
    rows = found.to_csv(tmp_path / "branch.csv").read_text().split()
    assert rows[0] == "p,value,error" and rows[1].startswith("0.5,0.0,") and len(rows) == 13
    with pytest.raises(ValueError, match="holds another run"):
        go(family, points=3)
    assert go(tilted, checkpoint=None, points=3).end == "ends after 3 equilibria"


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ({"step": 0}, ValueError, "step must not be 0"),
        ({"step": np.nan}, ValueError, "step must be finite"),
        ({"between": (0.0, 1.0, 3.0)}, TypeError, "between must be two numbers"),
        ({"between": 4.0}, TypeError, "between must be two numbers"),
        ({"folds": 1}, ValueError, "equilibria have none"),
        ({"family": tilted(0.5)}, TypeError, "family must be a function"),
        ({"at": 4.0}, ValueError, "outside the range"),
    ],
)
def test_arguments_that_cannot_be_are_refused(changed, error, says):
    how = {"family": tilted, "near": mf.nash(tilted(0.5)), "at": 0.5, "between": (0.0, 3.0)}
    with pytest.raises(error, match=says):
        mf.branch(**{**how, **changed})


def test_what_is_no_equilibrium_to_begin_from_is_told():
    near = mf.nash(tilted(2.5))
    with pytest.raises(ValueError, match=r"no equilibrium of the game at p = 0.5"):
        mf.branch(tilted, near, 0.5, (0.0, 3.0), name="p")
    turning = mf.games.expression("cos(x - y)")
    with pytest.raises(mf.NotConverged, match="continuum"):
        mf.branch(lambda p: turning, mf.nash(turning), 0.5, (0.0, 1.0))
