"""Fields from atoms whose bases are left free: resolved at the first time that is saved."""

import warnings

import numpy as np
import pytest
from scipy.special import eval_legendre

import meanfield as mf
from meanfield.density import slow_decay, sums_of_waves
from meanfield.density.choice import build
from meanfield.density.fourier import FourierModes
from meanfield.density.harmonics import Degrees
from meanfield.flows import Langevin
from meanfield.games.lowrank import polynomial, trigonometric
from meanfield.manifolds import Sphere, Torus
from meanfield.measures import Density, Measure
from meanfield.start import Start, law
from meanfield.studies.theorems import one
from meanfield.studies.theorems.problem import Problem

T, T2, S2 = Torus(1), Torus(2), Sphere(2)
CIRCLE, BENCH = mf.games.benchmark("circle"), mf.games.benchmark("torus")
ONE = Start(Measure([[1.0]], None, T), Measure([[0.0], [2.0]], [0.3, 0.7], T))
PLANE = Start(Measure([[1.0, 2.0]], None, T2), Measure([[0.0, 2.0], [1.0, 1.0]], [0.3, 0.7], T2))
BALL = Start(Measure([[0.0, 0.0, 1.0]], None, S2), Measure([[0.0, 1.0, 0.0]], None, S2))

CELLS = Start(law(mf.concentrated((0.0, 0.0, 1.0), 0.5), S2).on(mf.mesh(S2, 642)))


@pytest.fixture(autouse=True)
def silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_brownian_motion_from_an_atom_is_the_wrapped_normal():
    still = trigonometric([((1,), (1,), 0.0, 0.0)])
    run = mf.solve(still, Langevin(1.0), ONE, time=4e-4, save_every=1e-4)
    for t, x in zip(run.times[1:], run.x[1:], strict=True):
        gaps = (x.points[:, 0] - 1.0 + np.pi) % (2 * np.pi) - np.pi
        exact = np.exp(-(gaps**2) / (4 * t)) / np.sqrt(4 * np.pi * t)
        assert np.abs(x.values - exact).max() < 1e-6 * exact.max()


def test_brownian_motion_from_a_pole_is_the_heat_kernel():
    still = mf.games.polynomial_from(0, np.zeros((3, 3)), 0, 0, 0, 0)
    run = mf.solve(still, Langevin(1.0), BALL, time=0.02, save_every=0.01)
    l = np.arange(250)
    for t, x in zip(run.times[1:], run.x[1:], strict=True):
        parts = (2 * l + 1) / (4 * np.pi) * np.exp(-l * (l + 1) * t)
        exact = eval_legendre(l, x.points[:, 2:]) @ parts
        assert np.abs(x.values - exact).max() < 1e-6 * exact.max()


@pytest.mark.parametrize(
    ("game", "flow", "start", "time", "every", "cells"),
    [
        (CIRCLE, Langevin(50.0), ONE, 0.05, 0.005, 2048),
        (BENCH, Langevin(10.0), PLANE, 0.3, 0.1, 192),
        (polynomial("a"), Langevin(20.0), BALL, 0.3, 0.1, 128),
    ],
)
def test_every_save_is_that_of_a_fine_basis(game, flow, start, time, every, cells):
    free = mf.solve(game, flow, start, time, save_every=every, tol=1e-10)
    fine = mf.solve(game, flow, start, time, save_every=every, tol=1e-10, cells=cells)
    worst = np.abs(free.diagnostics["value"] - fine.diagnostics["value"]).max()
    assert worst < 1e-9
    unit = "degree_x" if game.X == S2 else "cells_x"
    used = free.diagnostics[unit][1:]
    assert used[0] > used[-1]  # and in the end fewer are kept


def test_bits_do_not_depend_on_how_a_run_goes_on(tmp_path):
    how = {"time": 0.06, "save_every": 0.005}
    once = mf.solve(CIRCLE, Langevin(50.0), ONE, **how)
    seen = mf.solve(CIRCLE, Langevin(50.0), ONE, callback=lambda t, x, y: None, **how)
    part = mf.solve(CIRCLE, Langevin(50.0), ONE, time=0.005, save_every=0.005)
    part.save(tmp_path / "part.h5")
    later = mf.solve(
        CIRCLE, Langevin(50.0), time=0.06, resume=mf.load(tmp_path / "part.h5", game=CIRCLE)
    )
    for other in (seen, later):
        for p in ("x", "y"):
            for mu, nu in zip(getattr(once, p), getattr(other, p), strict=True):
                assert mu.masses.tobytes() == nu.masses.tobytes()


def test_smooth_opponents_may_refine_theirs_on_the_way():
    sharp = Start(Measure([[1.0]], None, T), "uniform")
    free = mf.solve(CIRCLE, Langevin(2e4), sharp, 4.0, save_every=4.0, tol=1e-6)
    fine = mf.solve(CIRCLE, Langevin(2e4), sharp, 4.0, save_every=4.0, tol=1e-6, cells=4096)
    assert free.diagnostics["value"][-1] == pytest.approx(fine.diagnostics["value"][-1], abs=1e-5)


@pytest.mark.parametrize(("cells", "kind"), [(96, Degrees), (640, FourierModes)])
def test_coarser_bases_leave_out_what_is_small(cells, kind):
    game, start = (polynomial("a"), BALL) if kind is Degrees else (CIRCLE, ONE)
    basis = kind.given(game.bases[0], cells)
    z = basis.project(start.laws(game.X, game.Y)[0], True)
    held = basis, z * basis.diffused(Langevin(1.0).players[0], 0.05)
    fewer, few = slow_decay.coarsened(held, 1e-12, 1e-3)
    assert fewer.coarser() is None and fewer.resolution < basis.resolution
    np.testing.assert_allclose(basis.restricted(held[1], fewer), few, rtol=0, atol=0)
    assert np.abs(held[1]).sum() - np.abs(few).sum() < 1e-12 * np.abs(held[1]).sum()
    assert slow_decay.coarsened((basis, z), 1e-12, 1e-3)[0] is basis


def test_a_state_at_the_start_is_gone_on_from():
    engine = build(CIRCLE, Langevin(50.0), ONE)
    begun = engine.state()
    engine.advance(0.01)
    again = build(CIRCLE, Langevin(50.0), ONE)
    again.restore(begun)
    again.advance(0.01)
    assert engine.cells == again.cells
    assert engine.modes(0).tobytes() == again.modes(0).tobytes()
    assert engine.counts == again.counts


def test_a_basis_that_collapses_on_the_way_is_no_reason_to_give_up():
    game = mf.games.oscillator(coupling=3.0)
    start = mf.Start(Measure([[1.1], [1.3]], None, game.X), Measure([[0.0], [0.3]], None, game.Y))
    how = {"time": 1.0, "save_every": 1.0}
    free = mf.solve(game, Langevin(1000.0), start, **how)
    fine = mf.solve(game, Langevin(1000.0), start, cells=4096, **how)
    assert free.diagnostics["value"][-1] == pytest.approx(fine.diagnostics["value"][-1], abs=1e-7)


def test_starts_that_no_basis_resolves_are_said():
    jump = mf.Start(lambda x: np.where(x[:, 0] < np.pi, 1.0, 0.0))
    with pytest.warns(mf.UnderResolved, match="player x: not even cells = .* save later"):
        mf.solve(mf.games.free(), Langevin(1.0), jump, time=0.2, save_every=0.1)
    square = mf.Start(lambda x: np.where((x[:, 0] < 2) & (x[:, 1] < 1), 1.0, 0.0))
    with pytest.warns(mf.UnderResolved, match="not even"):
        run = mf.solve(BENCH, Langevin(5.0), square, 0.02, save_every=0.02)
    assert set(run.x[0].masses) == {0.0, run.x[0].masses.max()}  # the law itself, no waves


@pytest.mark.parametrize(("game", "place", "std"), [(CIRCLE, 1.0, 0.02), (BENCH, [1.0, 1.0], 0.08)])
def test_narrow_bumps_begin_in_as_many_modes_as_they_ask(game, place, std):
    run = mf.solve(game, Langevin(5.0), mf.Start(mf.concentrated(place, std)), 0.1, save_every=0.1)
    assert run.diagnostics["cells_x"][0] > (256 if game is CIRCLE else 64)
    assert run.diagnostics["tail_x"][0] < 1e-8 ** (2 / 3)


def test_a_state_that_is_put_in_place_is_gone_on_from():
    """Not the law, which is projected anew in finer bases."""
    engine = build(CIRCLE, Langevin(50.0), ONE)
    flat = engine.coefficients(0) * 0
    flat[0] = 1.0
    engine.place(flat, engine.coefficients(1))
    engine.advance(1e-3)
    assert abs(engine.coefficients(0)[1]) < 1e-2


@pytest.mark.parametrize("d", [1, 2, 3])
def test_sums_of_waves_are_those_of_the_atoms(d, monkeypatch):
    monkeypatch.setattr(sums_of_waves, "ENTRIES", 1000)  # a few atoms at a time
    rng = np.random.default_rng(d)
    angles, masses = rng.uniform(0, 2 * np.pi, (50, d)), rng.dirichlet(np.ones(50))
    first, rest = 11, [3, 2][: d - 1]
    axes = [np.arange(first + 1), *(np.arange(-r, r + 1) for r in rest)]
    k = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    wanted = np.exp(-1j * k @ angles.T) @ masses
    found = sums_of_waves.sums_of_waves(angles, masses, first, rest)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-14)


@pytest.mark.parametrize("start", [ONE, Start(x=ONE.x)], ids=["both", "one"])
@pytest.mark.parametrize("cells", [None, 64])
def test_theorem_1_is_looked_at_from_atoms(start, cells):
    """Densities are followed from a natural time on, to the limit that smooth starts have."""
    p = Problem(CIRCLE, Langevin(3.0), start, cells=cells)
    held = one.settled(p, start)
    row = one.limit("(7)", held)
    assert row.outcome == "holds" and row.measured < 1e-8
    assert held["times"][0] > p.natural_time and held["tv"][0] > 0.5
    run = mf.solve(CIRCLE, Langevin(3.0), start, time=held["times"][9], save_every=held["times"][9])
    point = mf.gibbs(CIRCLE, 3.0, (run.x[-1].mesh, run.y[-1].mesh))
    off = max(abs(a.masses - b.masses).sum() / 2
              for a, b in ((run.x[-1], point.x), (run.y[-1], point.y)))  # fmt: skip
    assert abs(held["tv"][9] - off) < 1e-3 * off


@pytest.mark.parametrize(
    ("game", "start"),
    [(CIRCLE, ONE), (BENCH, PLANE), (polynomial("a"), BALL), (polynomial("a"), CELLS)],
    ids=["T1", "T2", "S2", "Voronoi cells"],
)
def test_the_engine_of_theorem_1_holds_cells_for_its_whole_run(game, start):
    p = Problem(game, Langevin(10.0), start)
    moving = one.engine(p, start)
    assert moving.time == p.natural_time
    assert all(isinstance(mu, Density) for mu in moving.measures())
    sizes = [len(mu) for mu in moving.measures()]
    moving.advance(2 * p.natural_time)
    assert [len(mu) for mu in moving.measures()] == sizes
    free = mf.solve(game, p.flow, start, time=p.natural_time, save_every=p.natural_time)
    again = one.engine(p, start).measures()
    for now, exact in zip(again, (free.x[-1], free.y[-1]), strict=True):
        gap = abs(now.on(exact.mesh).values - exact.values)
        assert gap.max() < 1e-4 * exact.values.max()
