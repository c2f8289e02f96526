"""Comparisons extend and merge: replicas run apart are, to the bit, those of a single run."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.describe import describe, same

GAME, FLOW, START = mf.games.benchmark("circle"), mf.Langevin(2.0), mf.Start()


def compared(replicas, **options):
    how = {"time": 0.2, "step": 0.05, "save_every": 0.1, "cells": 32, "progress": False}
    how |= {"particles": (20, 60), "replicas": replicas}
    return mf.compare(GAME, FLOW, START, **{**how, **options})


@pytest.fixture(scope="module")
def whole():
    return compared(20)


def equal(a, b):
    """All that is measured and judged, to the bit; but when and how long it was."""
    found = [describe(c).content for c in (a, b)]
    for content in found:
        content.pop("field")
        for name in ("field", "made"):
            content["provenance"].pop(name, None)
    return same(*found)


def test_parts_merge_to_the_bits_of_one_run(whole):
    parts = [compared(8), compared(12, first_replica=8)]
    assert equal(mf.merge(*parts), whole) and equal(mf.merge(*reversed(parts)), whole)
    assert not equal(parts[0], whole)
    assert np.array_equal(mf.merge(*parts).field.x[-1].masses, whole.field.x[-1].masses)


def test_merged_files_are_those_of_one_run(whole, tmp_path):
    from meanfield.cli import main

    compared(8).save(tmp_path / "A.h5")
    compared(12, first_replica=8).save(tmp_path / "B.h5")
    names = [str(tmp_path / name) for name in ("A.h5", "B.h5")]
    assert main(["merge", *names, "--out", str(tmp_path / "M.h5"), "--quiet"]) == 0
    assert equal(mf.load(tmp_path / "M.h5"), whole)


def test_what_does_not_fit_is_not_merged(whole):
    first = compared(8)
    for other, why in (
        (compared(8, first_replica=9), "give first_replica=8 to the second"),
        (first, "replicas 0 to 7 of n = 20 are followed by those from 0 on"),
        (compared(8, first_replica=8, seed=1), "differ in seed; merge like with like"),
        (compared(8, first_replica=8, cells=48), "differ in the mean field"),
        (compared(8, first_replica=8, control=False), "differ in what is measured"),
    ):
        with pytest.raises(ValueError, match=why):
            mf.merge(first, other)
    with pytest.raises(TypeError, match="argument 2 must be a meanfield.Comparison, got int"):
        mf.merge(first, 3)
    with pytest.raises(ValueError, match="two comparisons or more, got 1"):
        mf.merge(first)


def test_another_confidence_runs_nothing(whole):
    wide = whole.at_confidence(0.99)
    assert equal(wide.at_confidence(0.95), whole)
    assert (wide.w2_squared_high > whole.w2_squared_high).all()
    assert equal(compared(20, confidence=0.99), wide)
    with pytest.raises(ValueError, match="between 0 and 1"):
        whole.at_confidence(95)


def test_replicas_that_were_interrupted_go_on_where_they_began(tmp_path):
    part = compared(8, first_replica=8, checkpoint=tmp_path / "part.h5")
    assert equal(mf.resume(tmp_path / "part.h5"), part)
    with pytest.raises(ValueError, match="numbered below 2,147,483,648"):
        compared(8, first_replica=2**31 - 1)


def test_more_numbers_of_particles_merge_to_the_bits_of_one_run(whole):
    """Smaller, larger and between: a run does not depend on which n is the largest."""
    small, large = compared(20, particles=20), compared(20, particles=60)
    assert equal(mf.merge(small, large), whole) and equal(mf.merge(large, small), whole)
    with pytest.raises(ValueError, match="replicas of n = 60 begin with 3, others with 0"):
        mf.merge(small, compared(20, particles=60, first_replica=3))


@pytest.mark.parametrize(
    "earlier", [{"replicas": 8}, {"particles": 20}, {"particles": 60}, {"time": 0.1}]
)
def test_comparisons_extend_to_the_bits_of_one_run(whole, earlier, monkeypatch):
    from meanfield.studies import distances

    begun = compared(**{"replicas": 20, **earlier})
    count, real = [0], distances.w2_squared

    def counted(*args):
        count[0] += 1
        return real(*args)

    monkeypatch.setattr(distances, "w2_squared", counted)
    assert equal(compared(20, resume=begun, threads=1), whole)
    # Two players, three times, 40 runs at two n and 20 with half the step: what is left of them.
    runs = {"replicas": 36, "particles": 40 if earlier.get("particles") == 20 else 20}
    of = 60 if "time" in earlier else runs[next(iter(earlier))]
    assert count[0] == 2 * of * (1 if "time" in earlier else 3)


def test_what_does_not_begin_alike_does_not_extend(whole):
    for change, why in (
        ({"seed": 1}, "seed"),
        ({"save_every": 0.05}, "times"),
        ({"cells": 48}, "the mean field"),
        ({"control": False}, "what is measured"),
        ({"first_replica": 20}, "first_replica"),
    ):
        with pytest.raises(ValueError, match=f"resume differs from this comparison in .*{why}"):
            compared(20, resume=whole, **change)
