"""Comparisons without a mesh: particles stand for the mean field, and what they add is known."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.metrics.sliced import sliced_w2_squared
from meanfield.studies import distances
from meanfield.studies.reference import nearer
from tests.test_merge import equal

SPACE = mf.Sphere(4)
GAME = mf.games.free(SPACE, SPACE)


def compared(replicas=8, **options):
    """Free motion: every particle is uniform at all times."""
    how = {"time": 0.2, "step": 0.1, "save_every": 0.1, "particles": (6, 12), "progress": False}
    how |= {"replicas": replicas, "reference": 48}
    return mf.compare(GAME, mf.Langevin(2.0), mf.Start(), **{**how, **options})


@pytest.fixture(scope="module")
def whole():
    return compared()


def uniform(n, seed):
    return mf.Measure(SPACE.sample(n, np.random.default_rng(seed)), None, SPACE)


def test_what_the_reference_adds_is_removed(whole):
    """Against 1200 points, which add less than 1%; 48 add about 5% to 12."""
    far = [mf.metrics.w2_squared(uniform(12, k), uniform(1200, 100 + k)) for k in range(40)]
    found = whole.samples["w2_squared"][1].reshape(-1)
    error = np.std(found) / np.sqrt(len(found) / 3) + np.std(far) / np.sqrt(len(far))
    assert abs(found.mean() - np.mean(far)) < 3 * error
    raw = whole.samples["w2_squared_to_reference"][1].mean()
    assert raw - found.mean() > 0.03 * found.mean()
    assert nearer(np.array(1 + 0.5 / 96), np.array(1 + 0.5 / 48)) == pytest.approx(1, abs=1e-15)


def test_bounds_hold_the_estimate_and_sliced_distances_lie_below(whole):
    low, high = np.moveaxis(whole.bounds, 1, 0)
    assert np.all(low > 0) and np.all(low < whole.w2_squared) and np.all(whole.w2_squared < high)
    apart = whole.samples["apart"][0]
    assert apart.shape == (6, 3, 2)  # the pairs of four references
    assert np.all(whole.sliced < whole.w2_squared) and np.all(whole.sliced_low < whole.sliced)
    assert whole.provenance["control"].startswith("none: particles stand for the mean field")
    assert whole.exponent.value > -0.8  # -1/2 on S^4


def test_it_extends_and_is_kept_like_any_comparison(whole, tmp_path, monkeypatch):
    assert equal(compared(resume=compared(4)), whole)
    assert equal(compared(resume=compared(time=0.1)), whole)
    assert equal(mf.merge(compared(5), compared(3, first_replica=5)), whole)
    held = mf.load(whole.save(tmp_path / "whole.h5"))
    assert equal(held, whole) and np.array_equal(held.bounds, whole.bounds)
    assert "reference: 48 particles; sup E W2^2 at n = 12 lies in" in repr(held)
    labels = [line.get_label() for line in held.plot().axes[1].lines]
    assert "slope $-2/4$" in labels
    calls, real = [0], distances.w2_squared

    def interrupted(*args):
        calls[0] += 1
        if calls[0] == 200:
            raise ArithmeticError("the power is gone")
        return real(*args)

    monkeypatch.setattr(distances, "w2_squared", interrupted)
    how = {"checkpoint": tmp_path / "run.h5", "checkpoint_every": 0, "threads": 1}
    with pytest.raises(ArithmeticError, match="the power is gone"):
        compared(**how)
    assert equal(mf.resume(tmp_path / "run.h5"), whole)
    assert calls[0] < 24 * 3 * 4 + 200  # the rest, not all anew


def test_the_paper_s_games_are_compared_in_high_dimension():
    game = mf.games.polynomial("b", dim=6, seed=1)
    found = mf.compare(
        game, mf.WassersteinFisherRao(0.1, 1.0), None, 0.1, particles=(10, 20), replicas=3,
        step=0.05, save_every=0.05,
    )  # fmt: skip
    assert found.provenance["reference"] == 160
    assert found.field_ni_average is not None and len(found.ni_average_sup) == 2
    assert len(found.field.x[-1]) == 160


def test_the_command_compares_without_a_mesh(tmp_path, capsys):
    from meanfield.cli import main

    text = """
    game = {name = "polynomial", kind = "b", dim = 6, seed = 1}
    flow = {name = "Langevin", beta = 5.0}
    compare = {time = 0.02, particles = [4, 8], replicas = 2, step = 0.02, reference = 32}
    """
    (tmp_path / "high.toml").write_text(text)
    out = tmp_path / "high.h5"
    assert main(["compare", str(tmp_path / "high.toml"), "--out", str(out)]) == 0
    assert "4 runs of 32 particles and 4 of half as many" in capsys.readouterr().out
    assert main(["show", str(out)]) == 0
    assert "reference: 32 particles" in capsys.readouterr().out


def test_references_that_cannot_be_are_refused():
    for wrong, why in (
        ({"reference": 49}, "even and at least 4 times the largest n, 48, got 49"),
        ({"reference": 32}, "at least 4 times"),
        ({"cells": 8}, "leave out them or reference"),
        ({"control": True}, "particles stand for the mean field"),
    ):
        with pytest.raises(ValueError, match=why):
            compared(**wrong)


def test_slices_are_lower_bounds_on_every_torus_and_sphere():
    rng = np.random.default_rng(0)
    for M in (mf.Torus(1), mf.Torus(3, 2.0), mf.Sphere(1), mf.Sphere(4)):
        a, b = (mf.Measure(M.sample(30, rng), rng.dirichlet(np.ones(30)), M) for _ in range(2))
        assert 0 < sliced_w2_squared(a, b) <= mf.metrics.w2_squared(a, b) * (1 + 1e-12)
        assert sliced_w2_squared(a, a) == pytest.approx(0, abs=1e-20)
    with pytest.raises(ValueError, match="one manifold"):
        sliced_w2_squared(a, mf.Measure(mf.Torus(1).sample(3, rng), None, mf.Torus(1)))
