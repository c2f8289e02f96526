"""SIGKILL at a random instant: the file loads, and the run is finished to the same bits (the full
list is a claim).
"""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from validation import kills


@pytest.mark.parametrize("case", ["particles, mirror descent", "field, best response"])
def test_killed_runs_are_finished_to_the_same_bits(case, tmp_path):
    what, source = kills.CASES[case]
    file = tmp_path / "case.toml"
    file.write_text(source + kills.KEEP)
    # Kernels compiled by this very process may differ in the last bit from those kept on disk:
    # compile first.
    subprocess.run(
        kills._command(what, str(file), "--out", str(tmp_path / "compile.h5")), check=True
    )
    whole, seconds = kills._uninterrupted(what, file)
    n, bare, unreadable, result = kills._killed(what, file, seconds, 2, np.random.default_rng(1))
    assert n - bare == 2 and unreadable == 0
    assert kills._bits(result, whole)
    assert not list(tmp_path.glob(".*.partial"))


def test_the_comparison_of_bits_can_fail():
    assert not kills._bits(np.array([0.1]), np.array([np.nextafter(0.1, 1)]))
    assert kills._bits({"a": 1, "wall_time": 1.0}, {"a": 1, "wall_time": 2.0})
