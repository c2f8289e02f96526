"""Working arrays of particles begin at a line of the cache."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.aligned import LINE, copied, zeros


@pytest.mark.parametrize("shape", [0, 7, (3, 0), (3, 5, 2)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_zeros_are_zero_aligned_and_of_the_size_asked_for(shape, dtype):
    kept = [zeros(shape, dtype) for _ in range(20)]
    for a in kept:
        assert a.__array_interface__["data"][0] % LINE == 0 or not a.size
        assert a.dtype == dtype and a.shape == np.zeros(shape).shape and not a.any()
        assert a.flags.c_contiguous and a.flags.writeable
        a[...] = 1
    assert all((a == 1).all() for a in kept), "they share nothing"


def test_copies_are_in_c_order_and_their_own():
    a = np.arange(12.0).reshape(3, 4).T
    b = copied(a)
    assert np.array_equal(a, b) and b.flags.c_contiguous
    b[0, 0] = 5.0
    assert a[0, 0] == 0.0


@pytest.mark.parametrize("game", [mf.games.oscillator(), mf.games.polynomial("a", 5)])
def test_blocks_of_a_run_begin_at_lines(game, monkeypatch):
    from meanfield.particles.stepper import Stepper

    seen, check = [], Stepper.check_step
    monkeypatch.setattr(Stepper, "check_step", lambda self: (seen.append(self), check(self)))
    mf.simulate(game, mf.Langevin(5.0), time=0.02, step=0.01, particles=300, progress=False)
    crew = seen[0].hired()[0]
    held = [s.x for s in (*crew.states, *crew.others)] + [crew.looks[0].c]
    assert {a.__array_interface__["data"][0] % LINE for a in held} == {0}
