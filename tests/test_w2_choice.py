"""Which solver W2 takes, what it asks of it, and where answers are refused."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

import meanfield as mf
from meanfield.checks import NotConverged
from meanfield.meshes import quadrature_mesh
from meanfield.metrics.w2 import discrete, distance, semidiscrete
from tests.test_transport import chord_squared

T2, S2 = mf.Torus(2, 2.0), mf.Sphere(2)


def plan(value, lower, residual=0.0, largest=1.0):
    return SimpleNamespace(value=value, lower=lower, residual=residual, largest=largest)


def test_plans_are_believed_within_their_tolerance_only():
    """Marginals to 1e-9 in total; a gap to 1e-9 of the value and 1e-12 of the largest cost."""
    for value, largest in ((0.02, 3.0), (50.0, 200.0)):
        allowed = 1e-9 * (value + 1e-3 * largest)
        discrete.certify(plan(value, value - 0.99 * allowed, 0.99e-9, largest))
        with pytest.raises(NotConverged, match="proven only within"):
            discrete.certify(plan(value, value - 1.01 * allowed, 0.0, largest))
        with pytest.raises(NotConverged, match="marginals are off"):
            discrete.certify(plan(value, value, 1.01e-9, largest))


def evenly(manifold, n, seed):
    return mf.Measure(manifold.sample(n, np.random.default_rng(seed)), None, manifold)


def test_all_arcs_are_looked_at_where_atoms_are_few_or_dimensions_many(monkeypatch):
    asked = []
    monkeypatch.setattr(discrete, "dense_transport", lambda C, *_: asked.append(C.shape))
    monkeypatch.setattr(discrete, "sparse_transport", lambda *_: asked.append("few arcs"))
    for manifold, n, m, wanted in (
        (T2, 256, 256, (256, 256)), (T2, 257, 256, "few arcs"),
        (mf.Sphere(3), 257, 256, "few arcs"),
        (mf.Torus(5), 257, 256, (257, 256)), (mf.Sphere(4), 2000, 2000, (2000, 2000)),
        (mf.Sphere(4), 2000, 2001, "few arcs"),
    ):  # fmt: skip
        discrete.optimal_plan(evenly(manifold, n, 0), evenly(manifold, m, 1), "geodesic")
        assert asked.pop() == wanted


def test_costs_of_many_atoms_are_squared_distances():
    for manifold in (T2, S2):
        x, y = evenly(manifold, 300, 2).points, evenly(manifold, 3, 3).points
        arcs, chords = (discrete._costs(manifold, x, y, m) for m in ("geodesic", "extrinsic"))
        np.testing.assert_allclose(arcs, manifold.distance(x[:, None], y) ** 2, rtol=1e-14)
        gap = x[:, None] - y
        exact = (chord_squared(gap, T2) if manifold is T2 else gap**2).sum(2)
        np.testing.assert_allclose(chords, exact, rtol=1e-13)


def test_atoms_without_mass_are_left_out_of_plans():
    points, masses = T2.sample(5, np.random.default_rng(4)), np.array([1.0, 0.0, 2.0, 3.0, 0.0])
    measure = SimpleNamespace(points=points, masses=masses)
    x, p = discrete._support(measure)
    assert (x == points[[0, 2, 3]]).all()
    np.testing.assert_allclose(p, [1 / 6, 1 / 3, 1 / 2], rtol=1e-15)


def torus_density(shape):
    masses = np.random.default_rng(5).random(shape)
    return mf.Density((masses / masses.sum()).ravel(), mf.mesh(T2, shape))


def test_laguerre_cells_of_tori_are_asked_in_units_of_the_period(monkeypatch):
    asked = []
    solver = semidiscrete.torus_w2_squared
    monkeypatch.setattr(semidiscrete, "torus_w2_squared", lambda *a: asked.append(a) or solver(*a))
    points, masses = T2.sample(4, np.random.default_rng(6)), np.array([0.2, 0.0, 0.5, 0.3])
    rho = torus_density((3, 4))
    found = semidiscrete.semidiscrete_transport(mf.Measure(points, masses, T2), rho)
    x, p, grid, prices = asked[0]
    np.testing.assert_allclose(x, points[[0, 2, 3]] / 2, rtol=1e-15)
    np.testing.assert_allclose(p, [0.2, 0.5, 0.3], rtol=1e-15)
    assert grid.tolist() == rho.masses.reshape(3, 4).tolist() and len(asked) == 1
    assert prices is None
    unit = mf.Torus(2, 1.0)
    same = mf.Density(rho.masses, mf.mesh(unit, (3, 4)))
    small = mf.metrics.w2_squared(mf.Measure(points / 2, masses, unit), same)
    assert found.squared == pytest.approx(4 * small, rel=1e-10) and found.exact


def test_where_cells_fail_finer_and_finer_elements_give_prices(monkeypatch):
    asked, cuts, rho = [], [], torus_density((3, 4))

    def fails(x, p, grid, prices=None):
        asked.append(prices)
        if len(asked) < 4 or fails.always:
            raise NotConverged(f"attempt {len(asked)}")
        return 0.25

    monkeypatch.setattr(semidiscrete, "torus_w2_squared", fails)
    monkeypatch.setattr(semidiscrete, "cut", lambda density, parts: cuts.append(parts))
    monkeypatch.setattr(
        semidiscrete, "bounds", lambda *_: SimpleNamespace(prices=np.array([8.0, 4.0, len(cuts)]))
    )
    atoms = evenly(T2, 3, 7)
    fails.always = False
    assert semidiscrete._on_torus(atoms, rho).squared == 0.25 * 4
    first = semidiscrete.parts_for(rho, semidiscrete.wanted(atoms))
    assert cuts == [first, 2 * first, 4 * first] and asked[0] is None
    assert [p.tolist() for p in asked[1:]] == [[2.0, 1.0, k / 4] for k in (1, 2, 3)]
    fails.always = True
    with pytest.raises(NotConverged, match="attempt 8"):
        semidiscrete._on_torus(atoms, rho)


def test_where_mass_travels_far_on_the_sphere_elements_answer(monkeypatch):
    """From a root mean square of the root of 0.2 on; not for many atoms, nor where cells were asked
    for.
    """
    rho, few = sphere_density(), evenly(S2, 10, 3)
    by_cells = mf.metrics.w2_squared(few, rho, method="semidiscrete")
    found = mf.metrics.w2_details(few, rho)
    assert found.method == "elements" and "too far" in found.note
    assert found.squared == mf.metrics.w2_squared(few, rho)
    assert found.lower < found.squared < found.upper < by_cells
    for name, value in (("FAR", by_cells * (1 + 1e-9)), ("MANY", 9)):
        with monkeypatch.context() as m:
            m.setattr(distance, name, value)
            few_told = pytest.warns(mf.UnderResolved, match="an upper bound, up to 5% high")
            with few_told if name == "MANY" else nullcontext():
                assert mf.metrics.w2_squared(few, rho) == by_cells
    near = mf.metrics.w2_details(evenly(S2, 100, 3), rho)
    assert near.method == "semidiscrete" and near.squared == near.upper < distance.FAR


def far_from_uniform(n):
    rng = np.random.default_rng(1)
    points, masses = rng.normal(size=(n, 3)) * 0.6 - [0, 0, 1.2], rng.random(n)
    points /= np.linalg.norm(points, axis=1)[:, None]
    return mf.Measure(points, masses / masses.sum(), S2)


def test_bounds_are_near_where_mass_travels_far_and_bounds_that_are_not_are_told(monkeypatch):
    """Beyond 1000 atoms, too: prices of the cells' own cost would give 0.05 below 1.1."""
    rho, many = mf.uniform(S2), far_from_uniform(1100)
    with pytest.warns(mf.UnderResolved, match="an upper bound, up to 0.[3-5][0-9]*% high; up to"):
        found = mf.metrics.w2_details(many, rho)
    assert found.method == "semidiscrete"
    assert 0.995 * found.upper < found.lower < found.squared == found.upper
    near = SimpleNamespace(squared=1.0, lower=0.9975, upper=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        distance._warn_if_high(near, 1100, True)

    def fails(*_):
        raise NotConverged("no plan")

    monkeypatch.setattr(semidiscrete, "bounds", fails)
    monkeypatch.setattr(semidiscrete, "dual_bound", lambda *_: 0.9)
    assert semidiscrete.semidiscrete_transport(many, rho).lower == 0.9


def sphere_density():
    on = mf.mesh(S2, 162)
    masses = on.volumes * (1 + 0.5 * on.nodes[:, 2])
    return mf.Density(masses / masses.sum(), on)


def test_only_the_equidistant_grid_has_laguerre_cells(monkeypatch):
    rho = torus_density((3, 4))
    moved = SimpleNamespace(shape=(3, 4), nodes=rho.mesh.nodes + 4e-9)
    for mesh, good in ((rho.mesh, True), (moved, False)):
        density = SimpleNamespace(mesh=mesh, manifold=T2, masses=rho.masses)
        if good:
            assert semidiscrete._grid(density).tolist() == rho.masses.reshape(3, 4).tolist()
            continue
        with pytest.raises(ValueError, match="equidistant grid"):
            semidiscrete._grid(density)


def test_uniform_laws_of_spheres_need_no_mesh_and_bounds_only_where_they_are_wanted(monkeypatch):
    asked = []

    def solver(points, masses, ground, weights):
        asked.append((masses, ground, weights))
        return 0.19, np.zeros(len(points))

    monkeypatch.setattr(semidiscrete, "sphere_transport", solver)
    lower = [0.1]
    monkeypatch.setattr(semidiscrete, "dual_bound", lambda *_: lower[0])
    atoms, even = evenly(S2, 5, 8), mf.uniform(S2)
    found = semidiscrete.semidiscrete_transport(atoms, even)
    assert asked[-1][1] is None and (found.lower, found.upper, found.squared) == (0.1, 0.19, 0.19)
    lower[0] = 0.2
    assert semidiscrete.semidiscrete_transport(atoms, even).lower == 0.19
    assert semidiscrete.semidiscrete_transport(atoms, even, bounded=False).lower == 0.0
    heights = 1 + 1e-12 * even.mesh.nodes[:, 0]
    tilted = mf.Density(heights * even.masses / (heights @ even.masses), even.mesh)
    semidiscrete.semidiscrete_transport(atoms, tilted)
    assert (asked[-1][1].mesh.p == even.mesh.nodes).all()
    np.testing.assert_allclose(asked[-1][2], tilted.masses, rtol=1e-14)


@pytest.mark.parametrize("width", [0.3, 0.5])
def test_fields_on_quadratures_keep_their_moments_when_spread_over_cells(width):
    """W2^2 from one atom is the mean of d^2, here by a quadrature five times as fine."""
    ball, middle = mf.Sphere(2), np.array([0.6, 0.0, 0.8])

    def density(n):
        on = quadrature_mesh(n)
        masses = on.volumes * np.exp((on.nodes @ middle - 1) / width**2)
        return mf.Density(masses / masses.sum(), on)

    field, fine = density(36), density(180)
    for angle in (0.0, 0.7, 1.5):
        turned = np.cos(angle) * middle + np.sin(angle) * np.array([0.0, 1.0, 0.0])
        exact = fine.integrate(lambda x, at=turned: np.arccos(np.clip(x @ at, -1, 1)) ** 2)
        found = mf.metrics.w2_squared(mf.Measure(turned[None], None, ball), field)
        assert found == pytest.approx(exact, rel=1e-4)
