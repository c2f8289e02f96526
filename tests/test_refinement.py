"""Labels that are refined where paths part, against closed solutions, and their agreement with
fixed cells.
"""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ive

import meanfield as mf
from meanfield.checks import UnderResolved
from meanfield.density import panels as panel_module
from meanfield.density.characteristics import Characteristics
from meanfield.density.muscl import Muscl
from meanfield.density.panels import Panels
from meanfield.games.lowrank import trigonometric
from tests.convergence import fitted_order
from tests.flat_problems import (
    CIRCLE,
    COSINES,
    HEIGHT,
    TILTED,
    cosine_density,
    cosine_flow,
    engine,
    modes,
    run,
    tilted,
)
from tests.stored_runs import equal

WFR, PLAIN = mf.WassersteinFisherRao(), mf.Wasserstein()
SPACES = [mf.Torus(1, period=3.0), mf.Torus(2), mf.Sphere(1), mf.Sphere(2)]


@pytest.mark.parametrize("manifold", SPACES, ids=str)
def test_panels_cover_the_manifold(manifold):
    coarse = Panels.roots(manifold)
    rng = np.random.default_rng(0)
    fine = coarse
    for axis in range(manifold.dim):
        fine = fine.halved(rng.random(len(fine)) < 0.4, axis)
    for panels in (coarse, fine):
        points, volumes = panels.quadrature
        assert np.allclose(manifold.check("points", points), points, rtol=0, atol=1e-12)
        assert (volumes > 0).all() and volumes.sum() == pytest.approx(manifold.volume, rel=1e-10)
    # x_3^8 on S^2 has the mean 1/9; on the circle cos^8 has 35/128.
    points, volumes = fine.quadrature
    if manifold == mf.Sphere(2):
        for k in range(3):
            assert points[:, k] ** 8 @ volumes / (4 * np.pi) == pytest.approx(1 / 9, rel=1e-8)
    if manifold == mf.Sphere(1):
        assert points[:, 1] ** 8 @ volumes / (2 * np.pi) == pytest.approx(35 / 128, rel=1e-12)


@pytest.mark.parametrize("manifold", SPACES, ids=str)
def test_halving_interpolates_smooth_functions_to_the_order_of_the_nodes(manifold):
    def f(x):
        return (
            np.exp(np.sin(2 * np.pi / manifold.period * x).sum(axis=1))
            if len(x[0]) == manifold.dim
            else np.exp(x[:, -1])
        )

    panels, errors = Panels.roots(manifold), []
    for _ in range(2):
        children, values = panels, f(panels.quadrature[0])
        for axis in range(manifold.dim):
            everywhere = np.ones(len(children), dtype=bool)
            values = children.carried(values, everywhere, axis)
            children = children.halved(everywhere, axis)
        errors.append(np.abs(values - f(children.quadrature[0])).max())
        panels = children
    some = np.arange(len(panels)) % 2 == 0
    once = panels.carried(values, some, 0)
    two = panels.carried(np.stack([values, 2 * values], 1), some, 0)
    np.testing.assert_allclose(two, np.stack([once, 2 * once], 1), rtol=1e-14)
    if errors[1] > 1e-14:
        assert fitted_order([1, 0.5], errors) > panels.q - 1
    assert errors[0] < 1e-4


def cosine_moment(t, alpha):
    """E cos x at t under the cost cos x: an integral over the start, where paths part at 0."""

    def integral(f):
        return quad(
            lambda a: f(a) * (1 + 0.5 * np.cos(a)) * (np.cosh(t) - np.sinh(t) * np.cos(a)) ** alpha,
            0, np.pi, epsabs=1e-13, limit=400, points=[np.exp(-t), 0.3],
        )[0]  # fmt: skip

    return integral(lambda a: np.cos(cosine_flow(a, t))) / integral(lambda a: 1.0)


@pytest.mark.parametrize("alpha", [0, 1])
def test_moments_follow_the_closed_ones_long_after_paths_have_parted(alpha):
    flow, exact = mf.Flow(gamma=1, alpha=alpha), cosine_moment(6.0, alpha)
    limits, errors, counts = [1e-3, 1e-4, 1e-5, 1e-6, 1e-7], [], []
    for limit in limits:
        moved = run(Characteristics, COSINES, flow, 6.0, refine=limit)
        x = moved.measures()[0]
        errors.append(abs(np.cos(x.points[:, 0]) @ x.masses - exact))
        counts.append(len(x))
    assert (np.array(errors) < np.array(limits)).all()
    # 256 fixed nodes, equally spaced, are far worse than fewer than twice as many that are refined.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnderResolved)
        fixed = run(Characteristics, COSINES, flow, 6.0, cells=256).measures()[0]
    assert (
        counts[2] < 512
        and errors[2] < 0.1 * abs(np.cos(fixed.points[:, 0]) @ fixed.masses - exact) + 1e-7
    )


def test_the_circle_problem_converges_with_the_limit():
    reference = modes(run(Characteristics, CIRCLE, WFR, 3.0, refine=1e-9, tol=1e-12).measures())
    limits = [1e-3, 1e-4, 1e-5, 1e-6, 1e-7]
    errors = [np.abs(modes(run(Characteristics, CIRCLE, WFR, 3.0,
                               refine=r).measures()) - reference).max()
              for r in limits]  # fmt: skip
    assert fitted_order(limits, errors) > 0.8 and (np.array(errors) < 5 * np.array(limits)).all()


def test_new_labels_stand_where_paths_part():
    """Cost cos x: paths part at 0 alone."""
    nodes = run(Characteristics, COSINES, PLAIN, 6.0).nodes[0]
    small = nodes.panels.size[:, 0] < 1 / 64
    middle = nodes.panels.low[:, 0] + nodes.panels.size[:, 0] / 2
    assert small.sum() > 5 and np.minimum(middle, 1 - middle)[small].max() < 0.1
    assert len(nodes.panels) < 80


def test_log_densities_of_new_labels_are_the_closed_ones():
    moved = run(Characteristics, COSINES, PLAIN, 5.0, refine=1e-7)
    x, p = moved.measures()[0], np.exp(moved.log_densities()[0])
    off = np.abs(p / cosine_density(x.points[:, 0], 5.0, 0) - 1)
    # What interpolation lost is weighed by mass.
    assert len(x) > 256 and x.masses @ off < 1e-5


def test_products_on_the_torus_factor():
    game = trigonometric([((1, 0), (0, 0), 1, 0), ((0, 1), (0, 0), 1, 0)])
    start = mf.Start(x=lambda q: tilted(q[:, :1]) * tilted(q[:, 1:]))
    exact = cosine_moment(2.5, 0)
    errors = []
    for limit in (1e-3, 1e-4, 1e-5):
        x = run(Characteristics, game, PLAIN, 2.5, start, refine=limit, tol=1e-8).measures()[0]
        errors.append(max(abs(np.cos(x.points[:, k]) @ x.masses - exact) for k in (0, 1)))
    assert errors[1] < 0.5 * errors[0] and errors[2] < 0.5 * errors[1] and errors[2] < 2e-5


@pytest.mark.parametrize("alpha", [0, 1])
def test_heights_on_the_sphere_are_the_closed_ones(alpha):
    """Cost x_3: the height h = tanh(a) becomes tanh(a - t), its weight cosh(a - t)/cosh(a)."""
    t = 3.0

    def mean(f):
        return quad(
            lambda a: (
                f(a)
                * (1 + 0.5 * np.tanh(a))
                / np.cosh(a) ** 2
                * (np.cosh(a - t) / np.cosh(a)) ** alpha
            ),
            -12, 12, epsabs=1e-13, limit=300,
        )[0]  # fmt: skip

    exact = mean(lambda a: np.tanh(a - t)) / mean(lambda a: 1.0)
    x = run(Characteristics, HEIGHT, mf.Flow(gamma=1, alpha=alpha), t, refine=1e-5).measures()[0]
    assert x.points[:, 2] @ x.masses == pytest.approx(exact, abs=1e-6)
    assert np.abs(x.masses @ x.points[:, :2]).max() < 1e-9


@pytest.mark.parametrize("std", [0.1, 0.01])
def test_narrow_starts_are_resolved(std):
    start = mf.Start(x=mf.concentrated(1.1, std=std))
    x = engine(Characteristics, CIRCLE, WFR, start).measures()[0]
    exact = ive(1, std**-2) / ive(0, std**-2)
    assert np.cos(x.points[:, 0] - 1.1) @ x.masses == pytest.approx(exact, abs=1e-7)
    assert np.sin(x.points[:, 0] - 1.1) @ x.masses == pytest.approx(0, abs=1e-7)


def test_empty_places_carry_no_mass_and_no_nan():
    half = mf.Start(x=lambda q: np.where(np.cos(q[:, 0]) > 0.1, np.cos(q[:, 0]) ** 4, 0))
    moved = run(Characteristics, CIRCLE, WFR, 0.5, half)
    assert all(
        np.isfinite(v) for k, v in moved.diagnostics().items() if not k.startswith("separation")
    )
    x = moved.measures()[0]
    assert x.masses.min() == 0 and x.masses.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("step", [None, 0.05])
def test_a_run_resumed_from_its_file_goes_on_to_the_same_bits(tmp_path, step):
    whole = mf.solve(CIRCLE, WFR, TILTED, 2.0, save_every=0.25, step=step)
    half = mf.solve(CIRCLE, WFR, TILTED, 1.5, save_every=0.25, step=step)
    assert len(half.y[-1]) > len(half.y[0])
    half.save(tmp_path / "run.h5")
    again = mf.solve(
        CIRCLE, WFR, TILTED, 2.0, save_every=0.25, step=step, resume=mf.load(tmp_path / "run.h5")
    )
    assert equal(again, whole)


def test_labels_that_run_out_are_said_once(monkeypatch):
    monkeypatch.setattr(panel_module, "MOST", 300)
    moving = engine(Characteristics, CIRCLE, WFR)
    with pytest.warns(UnderResolved, match="run out of new labels"):
        moving.advance(2.0)
    assert max(len(m) for m in moving.measures()) <= 300
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moving.advance(2.2)


def test_labels_are_refined_only_where_that_means_something():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnderResolved)
        assert len(run(Characteristics, CIRCLE, WFR, 3.0, cells=64).measures()[1]) == 64
    still = mf.Flow(gamma=(0, 1), alpha=(1, 1))
    x, y = run(Characteristics, CIRCLE, still, 1.0).measures()
    assert isinstance(x, mf.Density) and len(y) >= 256
    three = trigonometric([((1, 0, 0), (1, 0, 0), 1, 0)])
    assert len(engine(Characteristics, three, WFR).measures()[0]) == 24**3
    given = mf.Start(x=mf.Density(np.full(32, 1 / 32), mf.mesh(mf.Torus(1), 32)))
    assert len(run(Characteristics, CIRCLE, WFR, 0.1, given).measures()[0]) == 32


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="refine must be"):
        engine(Characteristics, CIRCLE, WFR, refine=0.0)
    with pytest.raises(ValueError, match="zero at all 256 nodes"):
        engine(Characteristics, CIRCLE, WFR, mf.Start(x=lambda q: 0 * q[:, 0]))
    with pytest.raises(ValueError, match="resume with the cells"):
        engine(Characteristics, CIRCLE, WFR).restore(
            engine(Characteristics, CIRCLE, WFR, cells=32).state()
        )


@pytest.mark.parametrize(
    ("which", "sizes"), [("torus", (24, 36, 54)), ("sphere", (642, 1442, 2562))]
)
def test_fixed_cells_approach_refined_labels_while_solutions_are_smooth(which, sizes):
    game = mf.games.benchmark(which)
    laws = game.answers["start"].laws(game.X, game.Y)

    def moments(moving):
        moving.advance(0.4)
        return np.concatenate(
            [game.moments(p, m.points, m.masses) for p, m in enumerate(moving.measures())]
        )

    reference = moments(Characteristics(game, WFR, laws, refine=1e-4, tol=1e-8))
    errors = [
        np.abs(moments(Muscl(game, WFR, laws, cells=(n, n), tol=1e-5)) - reference).max()
        for n in sizes
    ]
    per_axis = sizes if which == "torus" else np.sqrt(sizes)
    assert -2.6 < fitted_order(per_axis, errors) < -1.4 and errors[-1] < 8e-3


@pytest.mark.parametrize("manifold", SPACES, ids=str)
@pytest.mark.parametrize("rough", [True, False])
def test_tails_are_last_legendre_coefficients_of_the_density_and_its_moments(
    manifold, rough, monkeypatch
):
    """By numpy's fit through the nodes of a panel, in the mean over the other axis."""
    monkeypatch.setitem(panel_module.ROOTS, type(manifold), {1: 4, 2: 2})
    panels, rng, legendre = Panels.roots(manifold), np.random.default_rng(2), np.polynomial.legendre
    for axis in range(manifold.dim):
        panels = panels.halved(rng.random(len(panels)) < 0.4, axis)
    points, volumes = panels.quadrature
    masses = volumes * (rng.random(len(points)) if rough else 1.0)  # moments alone have tails
    tails, (q, d) = panels.tails(masses, points), (panels.q, manifold.dim)
    t, w = legendre.leggauss(q)
    w = w / 2
    at = points
    if isinstance(manifold, mf.Torus):
        at = np.concatenate([f(2 * np.pi * points / manifold.period) for f in (np.cos, np.sin)], 1)
    whole = (-1, *d * (q,))
    density = masses.reshape(whole) / (w if d == 1 else np.outer(w, w))
    for k in range(0, len(panels), 3):
        for axis in range(d):
            found = 0.0
            for f in (np.ones(len(points)), *at.T):
                values = np.moveaxis(density[k] * f.reshape(whole)[k], axis, 0)
                last = np.abs(legendre.legfit(t, values, q - 1)[-2:])
                last = last.max(axis=0)
                found = max(found, float(last if d == 1 else last @ w))
            assert tails[k, axis] == pytest.approx(found, rel=1e-9, abs=1e-14)


def test_labels_are_halved_as_long_as_there_is_room_for_all(monkeypatch):
    """At a start, and on the way."""

    def start(size=1.0):
        law = mf.Start(lambda q: size * np.exp(np.cos(q[:, 0] - 1.1) / 0.002)).laws(*two)[0]
        return len(panel_module.panel_labels(CIRCLE.X, law, WFR.players[0], 1e-5).points)

    two = CIRCLE.manifolds
    assert start(1e-30) == start() == start(1e30)  # densities need not be normalised

    moved = run(Characteristics, CIRCLE, WFR, 1.2, refine=10.0)
    coarse, z = replace(moved.nodes[1], limit=1e-5), moved._split(moved._z)[1]

    def way():
        return len(coarse.refined(z)[0].points)

    for found in (start, way):
        monkeypatch.setattr(panel_module, "MOST", 1 << 16)
        whole = found()
        monkeypatch.setattr(panel_module, "MOST", whole)
        assert found() == whole > 256
        monkeypatch.setattr(panel_module, "MOST", whole - 1)
        assert found() < whole
