"""Steps along a curve, on a circle whose points are known: lengths, folds, and why a walk ends."""

from types import SimpleNamespace

import numpy as np
import pytest

import meanfield as mf
from meanfield.checks import NotConverged
from meanfield.equilibria.curve import Curve, Point, Walk
from meanfield.equilibria.nash_branch import NashWalk


class Circle:
    """Points (0, 50 + r sin s, r cos s) for (state, period, parameter over 2)."""

    unit, fold = 2.0, Curve.fold

    def __init__(self, radius=1.0, begin=np.pi / 2, period=50.0):
        self.r, self.begin, self.near, self.steps = radius, begin, SimpleNamespace(period=period), 8
        self.lengths, self.sizes, self.reach = [], iter(()), 1.0

    def at(self, s, turn=-1.0):
        u = np.array([0.0, 50 + self.r * np.sin(s), self.r * np.cos(s)])
        return Point(u, np.eye(3)[0], turn * np.array([0.0, np.cos(s), -np.sin(s)]))

    def first(self, at):
        assert at == pytest.approx(self.unit * self.r * np.cos(self.begin))
        return self.at(self.begin).u, np.eye(3)[0]

    def tangent(self, u, row, along):
        found = self.at(np.arctan2(u[1] - 50, u[2])).tangent
        return found * np.sign(found @ along)

    def after(self, here, length):
        """Where the plane a length ahead meets the circle."""
        self.lengths.append(length)
        if length > self.reach * self.r:
            raise NotConverged("none")
        t = here.tangent
        s = np.arctan2(here.u[1] - 50, here.u[2])
        turn = np.sign(t @ np.array([0.0, np.cos(s), -np.sin(s)]))
        return self.at(s + turn * np.arcsin(length / self.r), turn)

    def at_parameter(self, near, p):
        return self.at(np.arccos(p / self.r))

    def size(self, u):
        return next(self.sizes, 1.0)

    def multipliers(self, u):
        return np.array([0.5, 0.1, 0.0])


def walk(curve, away=0.1, between=(-10.0, 10.0), points=100, most=None):
    made = Walk(curve, between, points, most, "p")
    made.begin(curve.unit * curve.r * np.cos(curve.begin), away)
    return made


def test_straight_steps_are_lengthened_by_two_fifths_and_bent_ones_halved():
    """From cosines between tangents of 0.98 on, and below 0.8."""
    curve = Circle()
    made = walk(curve)
    assert made.length == made.first == pytest.approx(0.1 / 2)
    for _ in range(7):
        made.step()
    lengths = 0.05 * 1.4 ** np.array([0, 1, 2, 3, 4, 5, 5])  # cos(arcsin 0.269) is 0.963
    assert curve.lengths == pytest.approx(lengths)
    values = [made.value(point.u) for point in made.found]
    turns = np.pi / 2 - np.concatenate([[0.0], np.cumsum(np.arcsin(lengths))])
    assert values == pytest.approx(2 * np.cos(turns), abs=1e-12)
    assert walk(Circle(begin=1.2)).first == pytest.approx(0.05 / np.sin(1.2))
    bent = Circle()
    made = walk(bent, away=1.3)  # 0.65: a cosine of 0.76
    made.step()
    made.step()
    assert bent.lengths == pytest.approx([0.65, 0.325]) and made.length == pytest.approx(0.325)
    slightly = Circle()
    made = walk(slightly, away=1.19)  # 0.595: a cosine of 0.804
    made.step()
    assert len(made.found) == 2 and made.length == pytest.approx(0.595)


def test_steps_are_at_most_twenty_times_the_first_and_end_below_a_thousandth_of_it():
    long = Circle(radius=1e6, period=1e6)
    made = walk(long, away=-0.1, between=(-1e9, 1e9))
    for _ in range(15):
        made.step()
    assert long.lengths[-1] == pytest.approx(20 * made.first) and made.value(made.found[1].u) < 0
    short = Circle()
    short.reach = 0.0
    made = walk(short)
    while not made.end:
        made.step()
    assert len(short.lengths) == 10 and "no orbit was found beyond p = " in made.end
    assert made.length == pytest.approx(0.05 / 2**10)


def test_folds_are_where_the_parameter_turns_back():
    """At s = 0: the parameter 2, off by the square of what the tangent is."""
    curve = Circle()
    made = walk(curve, most=2, between=(-3.0, 3.0))
    while not made.end:
        made.step()
    assert made.end == "ends at fold 2"
    assert [made.value(u) for u in made.folds] == pytest.approx([2.0, -2.0], abs=2e-10)
    assert [u[1] for u in made.folds] == pytest.approx([50, 50], abs=1e-5)
    for a, b in ((0.3, -0.2), (0.9, -0.05), (0.02, -1.2)):
        curve.lengths.clear()
        found = curve.fold(curve.at(a), np.sin(a - b), curve.at(b))
        assert abs(found.tangent[-1]) <= 1e-5 and len(curve.lengths) <= 7
        assert min(curve.lengths) > 0 and max(curve.lengths) < np.sin(a - b)


@pytest.mark.parametrize(
    ("sizes", "says"),
    [([3.0, 0.0301], ""), ([3.0, 0.0299], "shrinks to a fixed point at p = 0.1")],
)
def test_an_orbit_of_a_hundredth_of_the_first_size_has_shrunk(sizes, says):
    curve = Circle()
    curve.sizes = iter(sizes)
    made = walk(curve)
    made.step()
    assert made.end.startswith(says) and bool(made.end) == bool(says)


@pytest.mark.parametrize(("period", "ends"), [(2.551, False), (2.54, True)])
def test_a_period_twenty_times_the_first_grows_without_bound(period, ends):
    made = walk(Circle(period=period, begin=0.9 * np.pi / 2), away=-0.1)
    made.step()
    assert made.end.startswith("its period grows") == ends


def test_a_walk_ends_at_its_range_and_after_its_points():
    made = walk(Circle(), between=(-1.0, 0.5))
    while not made.end:
        made.step()
    assert made.end == "leaves the range at p = 0.5"
    assert made.value(made.found[-1].u) == pytest.approx(0.5)
    assert made.value(made.found[-2].u) < 0.5
    made = walk(Circle(), points=3)
    for _ in range(3):
        made.step()
    assert made.end == "ends after 3 orbits" and len(made.found) == 3
    again = Walk(made.curve, (-10.0, 10.0), 5, None, "p")
    again.restore(SimpleNamespace(state=made.state()))
    assert again.length == made.length and again.first == made.first
    np.testing.assert_array_equal(again.found[2].tangent, made.found[2].tangent)


@pytest.mark.parametrize(
    ("at", "away"),
    [(0.5, -0.5 / 50), (2.6, 0.4 / 50), (1.5, 1.5 / 50), (0.0, 3 / 50), (3.0, -3 / 50)],
)
def test_branches_begin_with_a_fiftieth_of_the_way_to_the_nearer_end(at, away, monkeypatch):
    """Unless a step is given; the range may be told from either end."""

    class Begun(Exception):
        pass

    def begin(self, at, away):
        begun.append((at, away, self.between))
        raise Begun

    begun = []
    monkeypatch.setattr(NashWalk, "begin", begin)
    game = mf.games.trigonometric([((1,), (1,), 1.0, 0.0)])
    near = mf.nash(game)
    for between, step in (((0.0, 3.0), None), ((3.0, 0.0), None), ((0.0, 3.0), -0.7)):
        with pytest.raises(Begun):
            mf.branch(lambda p: game, near, at, between, step=step)
        assert begun.pop() == (at, pytest.approx(away if step is None else step), (0.0, 3.0))
    with pytest.raises(ValueError, match="outside the range from 0 to 3"):
        mf.branch(lambda p: game, near, 3.0 + 1e-9, (0.0, 3.0))
