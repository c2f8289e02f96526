"""What results say of where they were made, and that it does not make them differ."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

import meanfield as mf
from meanfield import machine
from tests.stored_runs import equal, swarm


def test_results_say_where_they_were_made_and_are_equal_wherever_that_was(tmp_path, monkeypatch):
    run = swarm()
    made = run.provenance["made"]
    assert set(made) >= {"date", "processor", "system", "python", "blas"}
    assert made["python"].endswith(sys.version.split()[0])
    assert made["date"] in repr(run) and made["processor"] in repr(run)
    monkeypatch.setattr(machine, "_here", lambda: {"processor": "abacus"})
    other = mf.load(swarm().save(tmp_path / "other.h5"))
    assert other.provenance["made"]["processor"] == "abacus"
    assert equal(run, other)
    other.x[-1].masses[0] = np.nextafter(other.x[-1].masses[0], 1)
    assert not equal(run, other)


def test_the_commit_is_that_of_the_packages_own_checkout():
    root = Path(mf.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        assert machine.commit() == ""
        return
    head = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert machine.commit().rstrip("+") == head.stdout.strip()
