"""Where engines of densities begin to warn, to choose and to refuse, at the edge."""

import warnings

import numpy as np
import pytest

import meanfield as mf
from meanfield.density.coupling import Coupling
from meanfield.density.finite_volumes import FiniteVolumes
from meanfield.density.solve import build
from meanfield.density.splitting import Splitting
from meanfield.density.uniformisation import Exponential
from meanfield.flows import Flow
from tests.langevin_runs import CIRCLE, WAVY

WAVE = mf.games.trigonometric([((1,), (0,), 1.0, 0.0), ((0,), (1,), -0.2, 0.0)])
SOLID = mf.games.trigonometric([((1, 0, 0), (1, 0), 1.0, 0.0)])
STEEPEST = np.abs(np.diff(np.cos(2 * np.pi * np.arange(33) / 32))).max()  # of cos on 32 nodes


def volumes(beta, **options):
    laws = mf.Start().laws(WAVE.X, WAVE.Y)
    return FiniteVolumes(WAVE, mf.Langevin(beta), laws, (32, 32), **options)


@pytest.mark.parametrize(("steep", "said"), [(1.999, 0), (2.001, 1)])
def test_cells_are_said_to_be_wide_from_two_kt_over_a_face_on(steep, said, recwarn):
    moving = volumes((steep / STEEPEST, 0.1))
    assert moving.diagnostics()["largest_peclet"] == pytest.approx(steep, rel=1e-9)
    assert len(recwarn) == said
    recwarn.clear()
    split = Splitting(WAVE, mf.Langevin((steep / STEEPEST, 0.1)),
                      mf.Start().laws(WAVE.X, WAVE.Y), (32, 32), step=1e-3)  # fmt: skip
    split.advance(1e-3)
    assert split.diagnostics()["largest_peclet"] == pytest.approx(steep, rel=1e-9)
    assert len(recwarn) == said


def test_long_steps_are_told_once_and_before_they_are_taken(monkeypatch):
    mesh = mf.mesh(mf.Torus(1), 16)
    jump, masses = np.full((2, 16), 50.0), np.full(16, 1 / 16)  # 100 products of 16 cells
    for long, said in ((1601.0, False), (1599.0, True)):
        monkeypatch.setattr("meanfield.density.uniformisation.LONG", long)
        step = Exponential(mesh)
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            found = [step(jump, masses)[0] for _ in range(2)]
        assert np.array_equal(*found) and np.allclose(found, 1 / 16)
        assert [r"1.0e+02 products" in str(w.message) for w in heard] == [True] * said


def test_runs_of_ten_thousand_million_steps_are_refused():
    def asked(steps):
        return mf.solve(WAVE, mf.Langevin(1.0), WAVY, steps * 1e-10, cells=16, step=1e-10,
                        engine="finite-volume", stop=lambda *_: True)  # fmt: skip

    assert len(asked(0.999e10)) == 1
    with pytest.raises(ValueError, match=r"step = 1e-10 is 1e\+10 steps"):
        asked(1.0001e10)


@pytest.mark.parametrize("faces", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("stored", [1 << 26, 700, 1])
@pytest.mark.parametrize("low_rank", [True, False])
def test_costs_are_those_of_the_game_whether_stored_or_in_blocks(
    faces, stored, low_rank, monkeypatch
):
    monkeypatch.setattr("meanfield.density.coupling.STORED", stored)
    game = CIRCLE if low_rank else mf.games.expression("exp(cos(x - y))*sin(2*x)")
    on = mf.mesh(game.X, 19), mf.mesh(game.Y, 23)
    coupling, rng = Coupling(game, on, faces), np.random.default_rng(0)
    masses = [rng.dirichlet(np.ones(len(mesh))) for mesh in on]
    for p in (0, 1):
        other = mf.Density(masses[1 - p], on[1 - p])
        exact = game.cost(p, on[p].nodes, other)
        at_faces = game.cost(p, on[p].faces, other) if faces[p] else np.empty(0)
        z = coupling.moments(1 - p, masses[1 - p])
        found = coupling.costs(p, np.stack([z, 3 * z], 1))
        for rows, wanted in zip(found, (exact, at_faces), strict=True):
            shift = exact[0] - found[0][0, 0]  # costs are known up to a constant
            np.testing.assert_allclose(rows[0] + shift, wanted, atol=1e-13)
            assert rows.shape == (2, len(wanted))
            np.testing.assert_allclose(rows[1], 3 * rows[0], atol=1e-13)
        once = coupling.cost(p, masses[1 - p])
        np.testing.assert_allclose(once, found[0][0], atol=1e-13)
        z[:] = 0.0  # moments are nobody else's
        assert masses[1 - p].sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("game", "flow", "engine"),
    [
        (CIRCLE, mf.Langevin(1.0), "galerkin"),
        (mf.games.polynomial("a"), mf.Langevin(1.0), "harmonics"),
        (mf.games.polynomial("a", 4), mf.Langevin(1.0), "finite-volume"),
        (SOLID, mf.Langevin(1.0), "finite-volume"),
        (mf.games.trigonometric([((1, 0), (1,), 1.0, 0.0)]), mf.Langevin(1.0), "galerkin"),
        (CIRCLE, mf.Flow(1.0, 0.0, (0.1, 0.0)), "finite-volume"),
        (CIRCLE, mf.Wasserstein(), "characteristics"),
        (CIRCLE, mf.BestResponse(), "best-response"),
        (CIRCLE, mf.EntropicBestResponse(1.0), "splitting"),
        (CIRCLE, Flow(1.0, 0.5, 0.5), "splitting"),
        (CIRCLE, mf.AveragedLangevin(1.0), "splitting"),
    ],
)  # fmt: skip
def test_engines_are_chosen_by_the_flow_the_game_and_the_dimension(game, flow, engine):
    from meanfield.density.choice import default_engine

    assert default_engine(game, flow) == engine


def test_what_best_responses_are_worth_is_recorded():
    """NI of the nodes, and a step of tol over the faster rate."""
    moving = build(CIRCLE, mf.BestResponse((2.0, 0.5)), WAVY, (20, 24), tol=0.01)
    moving.advance(0.1)
    assert moving.step == 0.01 / 2 and moving.counts["steps"] == 20
    x, y = moving.measures()
    costs = [CIRCLE.cost(p, mu.points, nu) for p, (mu, nu) in enumerate(((x, y), (y, x)))]
    value = CIRCLE.value(x, y)
    gap = (value - costs[0].min()) + (-value - costs[1].min())
    assert moving.diagnostics()["ni"] == pytest.approx(gap, rel=1e-12)
    first, later = (build(CIRCLE, mf.BestResponse((2.0, 0.5)), WAVY, (20, 24), step=0.05)
                    for _ in range(2))  # fmt: skip
    later.advance(0.05)
    for p, rate in enumerate((2.0, 0.5)):
        best = first.costs(p).argmin()
        wanted = np.exp(-rate * 0.05) * first.masses[p]
        wanted[best] += 1 - np.exp(-rate * 0.05)
        np.testing.assert_allclose(later.masses[p], wanted, rtol=1e-14)
