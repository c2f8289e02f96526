"""What is said of memory and disk before a run is what it takes, to 10%."""

from __future__ import annotations

import tracemalloc

import pytest

import meanfield as mf
from meanfield.density.choice import needs
from meanfield.density.coupling import STORED
from meanfield.meshes import cell_count
from meanfield.needs import FILE, PROCESS, of_densities
from meanfield.particles.plan import DEFAULTS, check_memory, make_plan
from meanfield.studies.plan import needs as of_comparison
from meanfield.studies.plan import plan

T2 = mf.Torus(2)
CIRCLE = mf.games.oscillator()
TORUS = mf.games.expression("cos(x1 - y1) + 0.5*sin(x2 + y2)", T2, T2)
PAIRS = mf.games.expression("exp(cos(x - y)) + 0.2*cos(x)")
QUADRATIC = mf.games.polynomial("a", 10)
LANGEVIN, REACTING = mf.Langevin(5.0), mf.WassersteinFisherRao()


def taken(call, path=None, calls=1, **how):
    """Bytes that the arrays of a call took at most, and those of its file.

    All that the process takes meanwhile is counted, be it for what is loaded only once or in
    threads that other tests have left. Where nothing is kept for the next call, the least of
    several calls is a call's own.
    """
    more = {} if path is None else {"checkpoint": path}
    peaks = []
    for _ in range(calls):
        if path is not None:
            path.unlink(missing_ok=True)
        tracemalloc.start()
        try:
            call(**how, progress=False, **more)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return min(peaks), 0 if path is None else path.stat().st_size


def agree(said, memory, disk):
    """Beside what the process and the description of a small run take."""
    assert said.memory - PROCESS == pytest.approx(memory, rel=0.1)
    if disk:
        assert said.disk == pytest.approx(disk, rel=0.1, abs=2 * FILE)


@pytest.mark.parametrize(
    ("game", "flow", "n", "saves", "kept"),
    [(CIRCLE, LANGEVIN, 40_000, 9, False), (CIRCLE, LANGEVIN, 40_000, 2, True),
     (CIRCLE, REACTING, 40_000, 9, True), (QUADRATIC, LANGEVIN, 10_000, 5, True)],
    ids=["no file", "circle", "weights", "sphere"],
)  # fmt: skip
def test_runs_of_particles(game, flow, n, saves, kept, tmp_path):
    how = {"time": 0.01 * (saves - 1), "step": 0.01, "save_every": 0.01}
    run = lambda **more: mf.simulate(game, flow, mf.Start(), **how, **more)  # noqa: E731
    run(particles=10, checkpoint=tmp_path / "small.h5")  # libraries and kernels are loaded
    said = check_memory(game, make_plan(**{**DEFAULTS, **how, "particles": n}), flow, kept)
    agree(said, *taken(run, tmp_path / "run.h5" if kept else None, 3, particles=n))


@pytest.mark.parametrize(
    ("game", "flow", "engine", "cells"),
    [(CIRCLE, REACTING, "muscl", 20_000), (TORUS, LANGEVIN, "galerkin", 129),
     (TORUS, LANGEVIN, "finite-volume", 96), (PAIRS, LANGEVIN, "finite-volume", 800)],
)  # fmt: skip
def test_mean_fields(game, flow, engine, cells, tmp_path):
    how = {"time": 1e-7, "save_every": 0.5e-7, "engine": engine}
    run = lambda **more: mf.solve(game, flow, mf.Start(), **how, **more)  # noqa: E731
    run(cells=16, checkpoint=tmp_path / "small.h5")
    said = needs(game, flow, mf.Start(), cells, engine, 3, True)
    agree(said, *taken(run, tmp_path / "run.h5", cells=cells))


def test_what_is_too_large_is_refused_before_it_is_built(monkeypatch):
    monkeypatch.setattr("meanfield.checks.memory", lambda: 4e9)
    with pytest.raises(ValueError, match=r"need .* GB, this machine has 4 GB; raise save_every"):
        mf.simulate(CIRCLE, LANGEVIN, time=1.0, particles=10**8)
    for cells, game in ((10**5, TORUS), (10**8, CIRCLE)):
        with pytest.raises(ValueError, match=r"cells=10* need .* GB, this machine has 4 GB"):
            mf.solve(game, LANGEVIN, cells=cells)
    with pytest.raises(ValueError, match="10,?001 saved states of cells=100000 need"):
        mf.solve(CIRCLE, LANGEVIN, time=1.0, save_every=1e-4, cells=10**5)


@pytest.mark.parametrize(
    ("manifold", "cells"),
    [(mf.Torus(1), None), (T2, 7), (T2, (5, 8)), (mf.Torus(3), None), (mf.Sphere(1), 50),
     (mf.Sphere(2), None), (mf.Sphere(2), 600)],
)  # fmt: skip
def test_cells_are_counted_without_a_mesh(manifold, cells):
    assert cell_count(manifold, cells) == len(mf.mesh(manifold, cells))


def test_a_comparison_needs_its_mean_field_and_a_run_for_each_worker():
    given = {"time": 0.4, "particles": (10, 1000), "step": 0.01, "scheme": "euler"}
    given |= {"save_every": None, "cells": 64, "engine": None, "tol": None, "control": False}
    p = plan(CIRCLE, LANGEVIN, None, replicas=4, **given)
    one, two = (of_comparison(CIRCLE, LANGEVIN, p, 0.4, workers) for workers in (1, 2))
    field = of_densities(CIRCLE, "galerkin", (64, 64), 21, STORED, True)
    run = {"time": 0.4, "step": 0.01, "particles": 1000, "save_every": 0.02}
    run = check_memory(CIRCLE, make_plan(**{**DEFAULTS, **run}), LANGEVIN)
    assert two.memory - one.memory == pytest.approx(run.memory - PROCESS)
    assert field.memory < one.memory < field.memory + run.memory
