"""Steps of CF4 by dense matrices: masses, estimated errors, first steps, and what is watched."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.linalg import expm

import meanfield as mf
from meanfield.density.commutator_free import STAGES, hermite, probe
from meanfield.density.finite_volumes import FiniteVolumes
from meanfield.density.staggered import Staggered
from tests.langevin_runs import CIRCLE, TORUS, WAVY

FLOW = mf.Langevin((2.5, 4.5), (1.0, 0.6))


def made(kind=FiniteVolumes, cells=(11, 14), game=CIRCLE, **options):
    return kind(game, FLOW, WAVY.laws(game.X, game.Y), cells, **options)


@pytest.mark.parametrize("kind", [FiniteVolumes, Staggered])
def test_a_step_is_two_exponentials_and_errs_by_its_commutator(kind):
    """exp(dt/2 [c- A1 + c+ A2]) exp(dt/2 [c+ A1 + c- A2]) m, e = dt^2 sqrt(3)/12 |[A2, A1] m|."""
    moving, dt = made(kind), 0.03
    curve = hermite(moving.now, moving.now, 1.0, STAGES)  # moments that move there and back
    trial = moving._sweep(curve, dt)
    plus, minus = 0.5 + 3**-0.5, 0.5 - 3**-0.5
    commuted, missed, masses = [], [], []
    for p, rates in enumerate(moving.rates):
        found, _ = rates(*moving.coupling.costs(p, curve[1 - p]))
        A, B, C = (np.stack([rates.apply(part, e) for e in np.eye(len(moving.masses[p]))], 1)
                   for part in found)  # fmt: skip
        m = expm(dt / 2 * (plus * A + minus * B)) @ moving.masses[p]
        masses.append(expm(dt / 2 * (minus * A + plus * B)) @ m)
        commuted.append(np.abs((B @ A - A @ B) @ masses[p]).sum())
        missed.append(C @ masses[p])
    for p in (0, 1):
        np.testing.assert_allclose(trial.masses[p], masses[p], atol=1e-13)
        moments = moving.coupling.moments(1 - p, masses[1 - p])
        nodes, faces = moving.coupling.costs(p, moments[:, None])
        missed[p] = np.abs(missed[p] - moving.rates[p].flow(nodes, faces, masses[p])[0]).sum()
    wanted = (dt**2 * 3**0.5 / 12 * max(commuted)) ** (5 / 3)
    assert trial.error == pytest.approx(wanted, rel=1e-7) and wanted > 0
    assert trial.missed == pytest.approx(dt * max(missed), rel=1e-9)


def test_steps_take_the_larger_estimate_and_add_it_up(monkeypatch):
    """What extrapolation missed at the end, by the share of it that the Gauss points miss."""
    moving = made()
    for error, missed, share, wanted in ((1.0, 0.5, 0.3, 1.0), (0.1, 0.5, 0.3, 0.15)):
        moving.last = 0.1
        trial = moving._sweep(hermite(moving.now, moving.now, 1.0, STAGES), 0.02)
        trial = type(trial)(trial.masses, trial.knot, error, missed, 2e-16)
        monkeypatch.setattr(moving, "_sweep", lambda *_, trial=trial: trial)
        monkeypatch.setattr("meanfield.density.commutator_free.share", lambda r, s=share: s)
        assert moving.attempt(0.02).error == pytest.approx(wanted)
        assert moving._begin(0.02).error == max(error, missed)
        monkeypatch.undo()
    before = moving.now
    moving.accept(trial, 0.02)
    moving.accept(trial, 0.02)
    assert moving.watched["estimated_error"] == pytest.approx(2 * trial.error)
    assert moving.watched["mass_correction"] == 2e-16
    assert moving.before is trial.knot.tables is moving.now and before is not moving.now


def test_a_step_far_longer_than_the_last_begins_afresh(monkeypatch):
    """Beyond eight times as long."""
    moving, begun = made(), []
    monkeypatch.setattr(moving, "_begin", begun.append)
    moving.last = 0.01
    for times in (8.001, 7.999):
        moving.attempt(times * 0.01)
    assert begun == [8.001 * 0.01]


@pytest.mark.parametrize("tol", [1e-4, 1e-8])
def test_the_first_step_is_short_against_the_motion_of_the_costs(tol):
    """tol^(1/4) of the time in which costs change by kT."""
    moving = made(tol=tol)
    change = []
    for p, beta in enumerate((2.5, 4.5)):
        nodes = moving.meshes[p].nodes
        slope = CIRCLE.cost_matrix(p, nodes, moving.meshes[1 - p].nodes) @ moving.now[1 - p][:, 1]
        change.append(beta * np.ptp(slope))
    assert moving.first(1e9) == pytest.approx(tol**0.25 / max(change), rel=1e-12)
    assert moving.first(1e-9) == 1e-9


@pytest.mark.parametrize("game", [CIRCLE, TORUS, mf.games.expression("exp(cos(x - y))*sin(2*x)")])
def test_costs_are_probed_against_points_spread_by_the_golden_section(game):
    """Their range, five hundredths wider."""
    cells = 300 if game.X.dim == 1 else (9, 40)
    on = tuple(mf.mesh(M, cells) for M in game.manifolds)
    n = len(on[0])
    some = np.unique(np.floor((np.arange(128) * (5**0.5 - 1) / 2 % 1) * n).astype(int))
    loss = game.loss(*(mesh.nodes for mesh in on)) - game.constant
    for p, U in ((0, loss[:, some]), (1, -loss[some].T)):
        found, top = probe(game, on, p), np.abs(U).max()
        # What depends on the opponent alone is no part of a cost's range.
        values = game.cost_matrix(p, on[p].nodes, on[1 - p].nodes[some])
        features = game.moment_matrix(1 - p, on[1 - p].nodes[some])
        values = values if features is None else values @ features
        slack = 0.05 * np.ptp(values) + 1e-9 * (1 + np.abs(values).max())
        assert found.low == pytest.approx(values.min() - slack, rel=1e-12, abs=1e-12 * top)
        assert found.high == pytest.approx(values.max() + slack, rel=1e-12, abs=1e-12 * top)


@pytest.mark.parametrize(("lost", "said"), [(0.99e-6, ""), (1.01e-6, "says"), (0.51, "ends")])
def test_masses_below_zero_are_said_beyond_tol_and_end_the_run_beyond_a_half(lost, said, recwarn):
    moving = made(Staggered, tol=1e-6)
    moving.masses[1][[2, 5]] = -0.4 * lost, -0.6 * lost
    if said == "ends":
        moving.masses[1][:] = np.where(np.arange(14) == 2, -0.499, 0.1)
        moving.check_cells(1.0)
        moving.masses[1][2] = -0.501
        with pytest.raises(mf.NotConverged, match=r"add up to 0\.5"):
            moving.check_cells(1.0)
        return
    moving.check_cells(1.0)
    assert len(recwarn) == bool(said)


def test_the_error_in_space_is_looked_at_now_and_then_and_said_from_a_thousandth_on(recwarn):
    """Every 16 steps, and where a step is a tenth longer than at the last look."""
    moving = made(Staggered, cells=(32, 32))
    trial = SimpleNamespace(
        masses=moving.masses, knot=moving._knot(moving.masses), error=0.0, lost=0.0
    )
    rate = max(moving._missed(p, trial) for p in (0, 1))
    looks = []
    for steps, dt, longest in ((16, 0.1, 1.0), (17, 0.1, 1.0), (17, 1.11, 1.0), (17, 1.09, 1.0)):
        moving.counts["steps"], moving.looked = steps, (1e-5, longest)
        moving.watched["space_error"] = 0.0
        moving.accept(trial, dt)
        looks.append(moving.looked == (rate, dt))
        assert moving.watched["space_error"] == pytest.approx(dt * (rate if looks[-1] else 1e-5))
    assert looks == [True, False, True, False]
    for total, said in ((0.999e-3, 0), (1.001e-3, 1)):
        moving.warned = False
        recwarn.clear()
        moving.watched["space_error"], moving.looked = total, (0.0, 9.0)
        moving.accept(trial, 0.1)
        assert len(recwarn) == said
