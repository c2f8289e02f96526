"""Steps of MUSCL, by the formulas: how long they are, what errs, and what is said of them."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.density.muscl import Muscl, Trial
from tests.flat_problems import CIRCLE, COSINES, TILTED, engine

BOTH = mf.Flow(gamma=(1.0, 0.5), alpha=(1.5, 0.7))


@pytest.mark.parametrize(
    ("error", "part", "good"),
    [(0.0, 0.5, True), (1e-3, 0.5, True), (1.001e-3, 0.5, False), (2e-4, 1.0, True),
     (2e-4, 1.001, False), (5e-6, 0.2, True), (1.0, 5.0, False)],
)  # fmt: skip
def test_steps_keep_masses_nonnegative_and_the_reactions_error_below_tol(error, part, good):
    moving, bound = engine(Muscl, CIRCLE, BOTH, cells=24, tol=1e-3), 0.2
    trial = Trial(moving.masses, bound, error)
    taken, following = moving.judge(trial, part * bound)
    assert taken is good
    dt = part * bound
    if good:  # the error falls with the third power of the step
        longer = np.inf if error == 0 else 0.9 * (1e-3 / error) ** (1 / 3)
        assert following == pytest.approx(dt * min(2.0, longer))
    else:
        assert following == pytest.approx(min(dt / 2, 0.8 * bound))
    plain = engine(Muscl, CIRCLE, mf.Wasserstein(), cells=24)
    assert plain.judge(trial._replace(error=0.0), 0.99 * bound) == (True, np.inf)
    moving.stable, moving.proposal = 0.3, 0.0
    assert moving.propose(1.0) == 0.8 * 0.3 and moving.propose(0.1) == 0.1
    moving.proposal = 0.2
    assert moving.propose(1.0) == 0.2


def test_given_steps_are_refused_beyond_the_bound_and_said_where_the_reaction_is_coarse(recwarn):
    moving = engine(Muscl, CIRCLE, BOTH, cells=24, step=0.1)
    assert moving.judge(Trial(moving.masses, 0.1, 9.0), 0.1) == (True, 0.1)
    with pytest.raises(ValueError, match=r"at t = 0; a step of 0\.072 would do"):
        moving.judge(Trial(moving.masses, 0.09, 0.0), 0.1)
    for error, said in ((0.0099, 0), (0.0101, 1)):
        moving.accept(Trial(moving.masses, 0.09, error), 0.1)
        assert len(recwarn) == said and moving.stable == 0.09
    assert "at t = 0.1 step = 0.1 errs by about 0.01" in str(recwarn[0].message)


@pytest.mark.parametrize("flow", [BOTH, mf.MirrorDescent((1.5, 0.7))], ids=["both", "weights"])
def test_a_step_is_half_the_reaction_transport_and_half_the_reaction(flow):
    """Reactions by the costs of their middle; the error c^(3/2) of what that changes, twice."""
    moving, h, alpha = engine(Muscl, CIRCLE, flow, cells=24), 0.02, (1.5, 0.7)
    grids = moving.meshes

    def costs(m):
        pair = [mf.Density(v / v.sum(), on) for v, on in zip(m, grids, strict=True)]
        return [CIRCLE.cost(p, grids[p].nodes, pair[1 - p]) for p in (0, 1)]

    def weighed(m, U, dt):
        found = [v * np.exp(-a * dt * u) for v, a, u in zip(m, alpha, U, strict=True)]
        return [v / v.sum() for v in found]

    def reacted(m, dt):
        now = costs(m)
        middle = costs(weighed(m, now, dt / 2))
        change = max(a * dt * np.abs(v - u).max()
                     for a, u, v in zip(alpha, now, middle, strict=True))  # fmt: skip
        return weighed(m, middle, dt), change**1.5

    m, first = reacted(moving.masses, h / 2)
    moved, bound = moving._shu_osher(tuple(m), h)
    if flow is BOTH:  # Shu and Osher's three stages
        one = [v + h * r for v, r in zip(m, moving._flow_rates(tuple(m))[0], strict=True)]
        second = [0.75 * v + 0.25 * (w + h * r) for v, w, r in
                  zip(m, one, moving._flow_rates(tuple(one))[0], strict=True)]  # fmt: skip
        third = [v / 3 + 2 / 3 * (w + h * r) for v, w, r in
                 zip(m, second, moving._flow_rates(tuple(second))[0], strict=True)]  # fmt: skip
        np.testing.assert_allclose(moved, third, rtol=1e-13)
        assert bound == min(moving._flow_rates(tuple(w))[1] for w in (m, one, second))
    end, last = reacted(moved, h / 2)
    trial = moving.attempt(h)
    np.testing.assert_allclose(trial.masses, end, rtol=1e-12)
    assert trial.error == pytest.approx(first + last, rel=1e-9)
    assert trial.bound == pytest.approx(bound, rel=1e-12)


@pytest.mark.parametrize(("cells", "most"), [((40,), 8), ((16, 16), 64)], ids=["circle", "torus"])
def test_densities_on_fewer_than_eight_cells_an_axis_are_said(cells, most, recwarn):
    torus = mf.Torus(len(cells))
    game = CIRCLE if len(cells) == 1 else mf.games.free(torus, torus)
    moving = engine(Muscl, game, mf.Wasserstein(), mf.Start(), cells=(cells, cells))
    for filled, said in ((most * 1.001, 0), (most * 0.999, 1)):
        # Half of the mass on one cell or on few, so that 1 / sum m^2 is what is wanted.
        light = np.zeros(len(moving.masses[1]))
        k = most
        share = np.roots([1 + 1 / k, -2 / k, 1 / k - 1 / filled]).real.max()
        light[0], light[1 : k + 1] = share, (1 - share) / k
        moving.masses = moving.masses[0], light
        assert moving.diagnostics()["held_cells_y"] == pytest.approx(filled)
        moving.watch()
        assert len(recwarn) == said


def test_the_longest_step_is_half_a_cell_over_its_outflow():
    """For cos x on n cells: 2 dt times what leaves a cell over its faces is its volume."""
    moving = engine(Muscl, COSINES, mf.Wasserstein(0.7), TILTED, cells=20)
    h, n = 2 * np.pi / 20, np.arange(20)
    U = np.cos(h * n)
    right, left = U[(n + 1) % 20] - U, U[n - 1] - U
    out = 0.7 / h * (np.maximum(-right, 0) + np.maximum(-left, 0))
    assert moving.stable == pytest.approx((0.5 * h / out.max()), rel=1e-12)
