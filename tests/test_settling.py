"""How far a run still goes, from how it slows down within a window."""

import numpy as np
import pytest

from meanfield.studies.theorems.settling import TARGET, Window


def window(path, first, last):
    """Two cells a player; x moves by path(t)."""
    t = np.linspace(first, last, 401)
    x, y = np.stack([0.5 + path(t), 0.5 - path(t)], 1), np.full((len(t), 2), 0.5)
    return Window(t, np.concatenate([x, y], 1), 2)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.4])
def test_a_decay_goes_as_far_as_a_geometric_series(rate):
    seen = window(lambda t: 0.3 * np.exp(-rate * t), 0.0, 40.0)
    assert seen.ahead == pytest.approx(0.3 * np.exp(-rate * 40.0), rel=1e-6, abs=TARGET)


def test_a_decay_that_turns_is_seen_to_come_to_rest():
    seen = window(lambda t: 0.3 * np.exp(-0.2 * t) * np.cos(3 * t), 0.0, 40.0)
    assert 1e-5 < seen.ahead < 1e-3  # 0.3 exp(-8) is 1e-4


@pytest.mark.parametrize(
    "path", [lambda t: 1e-3 * t, lambda t: 0.05 * np.log(t), lambda t: 0.3 * np.exp(-1e-3 * t)]
)
def test_who_creeps_has_not_settled(path):
    """As far in twice the time: a quarter of a window is 0.8 of the one before."""
    assert window(path, 20.0, 40.0).ahead == np.inf


def test_who_rests_has_settled():
    assert window(lambda t: 1e-8 * np.cos(t), 0.0, 40.0).ahead < 2e-8
