"""SIGKILL at a random instant: the file loads, and the run is finished to the same bits (the full
list is a claim).
"""

from __future__ import annotations

import numpy as np

from validation import kills


def test_a_killed_sweep_is_finished_to_the_same_bits(tmp_path):
    """Single runs are left to the claim `kills`."""
    what, source = kills.CASES["sweep of whole results"]
    file = tmp_path / "case.toml"
    file.write_text(source + kills.KEEP)
    # Kernels compiled by this very process may differ in the last bit from those kept on disk:
    # compile first.
    kills.done(kills.command(what, file, kills.target_of(what, file, "compile")))
    whole, seconds = kills.uninterrupted(what, file)
    rng = np.random.default_rng(1)
    n, bare, unreadable, result = kills.until_killed(what, file, seconds, 1, rng)
    assert n > bare and unreadable == 0
    assert kills.equal(result, whole)
    assert not list(tmp_path.rglob(".*.partial"))


def test_the_comparison_of_bits_can_fail():
    assert not kills.equal(np.array([0.1]), np.array([np.nextafter(0.1, 1)]))
    assert kills.equal({"a": 1, "wall_time": 1.0}, {"a": 1, "wall_time": 2.0})
