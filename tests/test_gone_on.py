"""Functions that a run is gone on with, or read with, are those that it was made with."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from tests.stored_runs import (
    BUMPS,
    CIRCLE,
    LANGEVIN,
    carried,
    equal,
    field,
    finite_volumes,
    killed,
    swarm,
)

pytestmark = pytest.mark.filterwarnings("ignore::meanfield.UnderResolved")


def loss(x, y):
    return np.cos(x[..., 0] - y[..., 0])


def constant(c):
    return {"mine": lambda mu_x, mu_y: c}


@pytest.mark.parametrize("run", [swarm, field, carried])
@pytest.mark.parametrize("other", [2.0, [1.0], np.nan])
def test_another_diagnostic_of_the_same_name_is_refused(run, other, tmp_path, monkeypatch):
    whole, path = tmp_path / "whole.h5", tmp_path / "half.h5"
    done = run(diagnostics=constant(1.0), checkpoint=whole)
    with killed(monkeypatch, lambda result: len(result) == 3):
        run(diagnostics=constant(1.0), checkpoint=path, checkpoint_every=0)
    for call in (
        lambda: run(diagnostics=constant(other), checkpoint=whole),
        lambda: run(diagnostics=constant(other), checkpoint=path),
        lambda: run(diagnostics=constant(other), time=1.0, resume=done),
        lambda: mf.resume(whole, diagnostics=constant(other)),
        lambda: mf.resume(path, diagnostics=constant(other)),
    ):
        with pytest.raises(ValueError, match=r"diagnostics\['mine'\] is .* recorded 1.0; give the"):
            call()
    with pytest.raises(ValueError, match="no 'yours'; leave"):
        mf.resume(whole, diagnostics={"yours": lambda mu_x, mu_y: 1.0})
    assert equal(mf.resume(path, diagnostics=constant(1.0)), mf.load(whole))


def moments(mu_x, mu_y):
    return [mu.integrate(lambda z: np.cos(z)) for mu in (mu_x, mu_y)]


def drawn(rng):
    return lambda mu_x, mu_y: mu_x.draw(10, rng).mean()


def moved():
    seen = []

    def since_last(mu_x, mu_y):
        seen.append(np.cos(mu_x.points[:, 0]) @ mu_x.masses)
        return seen[-1] - seen[-2] if len(seen) > 1 else np.nan

    return since_last


@pytest.mark.parametrize("run", [swarm, field, finite_volumes, carried])
def test_the_same_diagnostics_go_on(run, tmp_path, monkeypatch):
    """Of files and of runs in memory; what draws or remembers something is let through."""

    def asked():
        return {
            "moments": moments,
            "none": lambda mu_x, mu_y: np.nan,
            "drawn": drawn(np.random.default_rng(len(list(tmp_path.iterdir())))),
            "moved": moved(),
        }

    path = tmp_path / "run.h5"
    with killed(monkeypatch, lambda result: len(result) == 3):
        run(diagnostics=asked(), checkpoint=path, checkpoint_every=0)
    done = run(diagnostics=asked(), checkpoint=path)
    assert equal(run(diagnostics=asked(), checkpoint=path), done)
    assert len(run(diagnostics=asked(), time=0.7, resume=done)) == len(done) + 2


@pytest.mark.parametrize("run", [swarm, field])
def test_a_run_gone_on_with_began_from_the_start_given(run):
    done, other = run(), mf.Start(mf.concentrated(2.0, std=0.2), "uniform")
    with pytest.raises(ValueError, match="resume began from another start"):
        run(other, time=0.7, resume=done)
    assert equal(run(time=0.7, resume=done), run(None, time=0.7, resume=done))


def test_a_changed_function_is_not_put_in_a_files_place(tmp_path):
    def game(c):
        return mf.games.function(lambda x, y: c * loss(x, y), mf.Torus(1), mf.Torus(1))

    path, done = tmp_path / "run.h5", tmp_path / "compared.h5"
    how = {"time": 0.1, "particles": 10, "step": 0.05}
    run = mf.simulate(game(1.0), LANGEVIN, BUMPS, checkpoint=path, **how)
    mf.compare(game(1.0), LANGEVIN, BUMPS, replicas=2, cells=32, control=False, **how).save(done)
    for read in (mf.load, mf.resume):
        for file in (path, done):
            with pytest.raises(ValueError, match=r"h5 plays .* as it is now: its value at t=0.1"):
                read(file, game=game(3.0))
    assert equal(mf.load(path, game=game(1.0)), run)


@pytest.mark.parametrize("size", [1.0, 1e-7])
def test_games_that_agree_at_the_last_state_alone_are_told_apart(size, tmp_path):
    """At uniform laws cos(x - y) and its double are both zero."""
    once, twice = (
        mf.games.function(lambda x, y, c=c: c * size * loss(x, y), mf.Torus(1), mf.Torus(1))
        for c in (1.0, 2.0)
    )
    path = tmp_path / "run.h5"
    run = mf.solve(once, mf.Langevin(1.0), BUMPS, time=40.0, save_every=4.0, cells=32)
    assert abs(twice.value(*run[-1])) < 1e-10
    run.save(path)
    with pytest.raises(ValueError, match=r"as it is now: its value at t=\d+ was"):
        mf.load(path, game=twice)
    assert equal(mf.load(path, game=once), run)


@pytest.mark.parametrize("call", [mf.simulate, mf.solve, mf.compare])
def test_seconds_between_checkpoints_are_checked_without_a_file(call):
    with pytest.raises(TypeError, match="checkpoint_every must be a number, got 'abc'"):
        call(CIRCLE, LANGEVIN, BUMPS, time=0.1, checkpoint_every="abc")


def tilted(a):
    def loss(x, y):
        return a * np.cos(x[..., 0] - y[..., 0]) + 0.5 * np.sin(x[..., 0])

    return mf.games.function(loss, mf.Torus(1), mf.Torus(1))


def test_gibbs_points_are_read_with_the_loss_that_they_were_found_for(tmp_path):
    path = tmp_path / "point.h5"
    point = mf.gibbs(tilted(1.0), 2.0, cells=32)
    point.save(path)
    same = tilted(1.0)
    read = mf.load(path, game=same)
    assert read.game is same and np.array_equal(read.x.masses, point.x.masses)
    with pytest.raises(ValueError, match="holds no Gibbs measures of .* give the game"):
        mf.load(path, game=tilted(2.0))
