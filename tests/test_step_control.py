"""How steps of densities are controlled: by the formulas, with an engine that errs as one says."""

from types import SimpleNamespace

import numpy as np
import pytest

import meanfield as mf
from meanfield.density.engine import Controlled, parts


class Erring(Controlled):
    """dt^3 `size` is the error of a step; a step above `far` is far too long. Nothing else."""

    name, order, size, far = "erring", 2, 1.0, np.inf
    saved = ("values",)

    def begin(self):
        self.tried, self.values = [], (np.zeros(3), {"a": 1.0})
        self.counts["halved"] = 0

    def attempt(self, dt):
        self.tried.append(dt)
        return None if dt > self.far else SimpleNamespace(error=self.size * dt**3)

    def accept(self, trial, dt):
        pass

    def measures(self):
        raise NotImplementedError

    def diagnostics(self):
        return {}


def erring(**options):
    game = mf.games.oscillator()
    return Erring(game, mf.Langevin(1.0), mf.Start().laws(game.X, game.Y), **options)


@pytest.mark.parametrize(
    ("time", "longest", "count"),
    [(1, 2, 1), (1, 1, 1), (1, 0.3, 4), (0.3, 0.1, 3), (3 * 0.1, 0.1, 3), (1 + 1e-8, 1, 2),
     (1 + 1e-10, 1, 1), (7, 1, 7), (7.1, 1, 8)],
)  # fmt: skip
def test_a_time_is_cut_into_as_few_equal_parts_as_do(time, longest, count):
    assert parts(time, longest) == count


@pytest.mark.parametrize("excess", [1e-12, 0.01, 0.3, 1.0, 1 + 1e-6, 2.0, 19.0, 1e4])
def test_the_next_step_is_nine_tenths_of_what_the_tolerance_allows(excess):
    """dt 0.9 (dt tol / error)^(1/order), from a fifth to three times; taken up to the tolerance."""
    moving, dt = erring(tol=1e-3), 0.1
    good, following = moving.judge(SimpleNamespace(error=excess * dt * 1e-3), dt)
    assert good == (excess <= 1) and moving.counts["rejected"] == (excess > 1)
    wanted = dt * min(max(0.9 * excess**-0.5, 0.2), 3.0)
    assert following == pytest.approx(wanted, rel=1e-9)
    assert moving.judge(None, dt) == (False, dt / 2) and moving.counts["halved"] == 1


def test_controlled_steps_are_as_long_as_the_tolerance_allows():
    moving = erring(tol=1e-4)
    moving.size, moving.far = 0.01, 0.7
    moving.advance(3.0)
    longest = 0.1  # where 0.01 dt^3 = 1e-4 dt
    assert moving.tried[:3] == pytest.approx([3.0, 1.5, 0.75]) and moving.counts["halved"] == 3
    assert max(moving.tried[6:]) <= longest * (1 + 1e-12) and moving.last > 0.8 * longest
    taken = len(moving.tried) - moving.counts["halved"] - moving.counts["rejected"]
    assert moving.time == 3.0 and moving.counts["steps"] == taken < 40


def test_a_step_cut_short_leaves_the_longer_one_proposed():
    moving = erring(tol=1e-4)
    moving.size, moving.proposal = 0.01, 0.09
    moving.advance(0.01)
    assert moving.tried == [0.01] and moving.proposal == 0.09  # three times 0.01 is less
    moving.advance(0.1)
    assert moving.tried[1:] == pytest.approx([0.09])
    assert moving.proposal == pytest.approx(0.09 * 0.9 * 0.1 / 0.09)


def test_given_steps_are_equal_parts_and_taken_whatever_they_err():
    moving = erring(step=0.3, tol=1e-12)
    moving.advance(1.0)
    assert moving.tried == pytest.approx([0.25] * 4) and moving.counts["rejected"] == 0
    assert moving.time == 1.0 and moving.last == pytest.approx(0.25)
    moving.advance(1.0)
    assert moving.counts["steps"] == 4
    with pytest.raises(ValueError, match="until is 0.9, before the present time 1"):
        moving.advance(0.9)


def test_a_step_that_never_is_short_enough_ends_the_run():
    moving = erring()
    moving.far = 0.0
    with pytest.raises(mf.NotConverged, match="is still too long"):
        moving.advance(1.0)


def test_states_are_copies_of_the_same_shapes():
    moving, other = erring(), erring()
    moving.values[0][:], moving.warned = (1.0, 2.0, 3.0), True
    held = moving.state()
    moving.values[0][0], moving.values[1]["a"] = 9.0, 9.0
    other.restore(held)
    assert other.values[0].tolist() == [1.0, 2.0, 3.0] and other.values[1] == {"a": 1.0}
    assert other.warned is True and other.counts == moving.counts
    with pytest.raises(ValueError, match=r"values have shape \(2,\), this engine's \(3,\)"):
        other.restore({**held, "values": (np.zeros(2), {"a": 1.0})})
