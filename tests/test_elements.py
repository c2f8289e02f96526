"""Elements of densities: their geometry against closed forms, and how fine they are made."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.checks import UnderResolved
from meanfield.metrics.w2 import elements
from meanfield.metrics.w2.elements import Bracket, boxes, cut, parts_for, triangles

S2 = mf.Sphere(2)


@pytest.mark.parametrize("shape", [(5,), (4, 6), (3, 4, 5)])
def test_elements_of_tori_share_out_their_cells(shape):
    """Of |x - y|^2 the mean over a piece is that of its middle and the spread, and that of its
    corners less the slack, exactly; together the pieces are the cells.
    """
    rng, d, parts = np.random.default_rng(len(shape)), len(shape), 3
    torus = mf.Torus(d, 2.0)
    mesh = mf.mesh(torus, shape)
    masses = rng.random(len(mesh)) * (rng.random(len(mesh)) < 0.8)
    density = mf.Density(masses / masses.sum(), mesh)
    charged = np.flatnonzero(masses)
    found = boxes(density, charged, parts)
    h = 2.0 / np.array(shape)
    assert len(found.points) == len(charged) * parts**d and found.samples.shape[1] == 1
    owner = np.repeat(charged, parts**d)
    np.testing.assert_allclose(found.masses, density.masses[owner] / parts**d, rtol=1e-14)
    off = found.points - mesh.nodes[owner]
    off -= 2.0 * np.rint(off / 2.0)
    assert (np.abs(off) < h / 2).all()
    steps = np.round((off / h + 0.5) * parts - 0.5, 9)
    for k in range(len(charged)):
        own = steps[k * parts**d : (k + 1) * parts**d]
        assert len(np.unique(own, axis=0)) == parts**d and set(own.ravel()) == {0, 1, 2}
    assert ((found.points >= 0) & (found.points < 2)).all() and (found.corners < 2).all()
    corners = found.corners - found.points[:, None]
    corners -= 2.0 * np.rint(corners / 2.0)
    np.testing.assert_allclose(np.abs(corners), np.broadcast_to(h / parts / 2, corners.shape))
    assert len(np.unique(np.sign(corners[0]), axis=0)) == 2**d
    inertia = ((h / parts) ** 2).sum() / 12
    np.testing.assert_allclose(found.spread, inertia, rtol=1e-14)
    np.testing.assert_allclose((corners**2).sum(2).mean(1) - found.slack, inertia, rtol=1e-12)
    assert (found.samples[:, 0] == found.points).all() and (found.weights == 1).all()


@pytest.mark.parametrize("parts", [1, 3])
def test_elements_of_the_sphere_are_triangles_that_fill_their_cells(parts):
    """Areas by l'Huilier's formula; means of d^2 by finer triangles, and by corners and slack up to
    the third order.
    """
    mesh = mf.mesh(S2, 42)
    masses = (1 + 0.5 * mesh.nodes[:, 0]) * mesh.volumes
    masses[7] = 0.0
    density = mf.Density(masses / masses.sum(), mesh)
    charged = np.flatnonzero(masses)
    found = triangles(density, charged, parts)
    sides = np.linalg.norm(found.corners - np.roll(found.corners, 1, axis=1), axis=2)
    arcs = 2 * np.arcsin(sides / 2)
    s = arcs.sum(1) / 2
    area = 4 * np.arctan(np.sqrt(
        np.tan(s / 2) * np.prod(np.tan((s[:, None] - arcs) / 2), axis=1)))  # fmt: skip
    owner = mesh.locate(found.points)
    assert 7 not in owner and len(found.points) % parts**2 == 0
    total = np.bincount(owner, area, 42)
    np.testing.assert_allclose(total, np.where(masses > 0, mesh.volumes, 0), rtol=1e-9)
    np.testing.assert_allclose(
        np.bincount(owner, found.masses, 42), density.masses, rtol=1e-9, atol=0
    )
    heights = density.masses / mesh.volumes
    np.testing.assert_allclose(found.masses, area * heights[owner], rtol=3e-4 / parts**5)
    np.testing.assert_allclose(np.linalg.norm(found.points, axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(np.linalg.norm(found.samples, axis=2), 1, rtol=1e-14)
    np.testing.assert_allclose(found.weights.sum(1), 1, rtol=1e-13)
    assert (found.spread == 0).all()
    np.testing.assert_allclose(found.slack, (arcs**2).sum(1) / 12, rtol=1e-12)
    y = np.array([0.6, 0.0, 0.8])
    means = (found.weights * S2.distance(found.samples, y) ** 2).sum(1)
    low = (S2.distance(found.corners, y) ** 2).mean(1) - found.slack
    width = arcs.max()
    near = S2.distance(found.points, y) < 1.0
    assert (low <= means + 1e-3 * width**3).all() and (means - low)[near].max() < 0.05 * width**2
    fine = triangles(density, charged, 4 * parts)
    d2 = (fine.weights * S2.distance(fine.samples, y) ** 2).sum(1)
    assert means @ found.masses == pytest.approx(d2 @ fine.masses, rel=1e-5 / parts**3)
    middle = np.einsum("nq,nqa->na", found.weights, found.samples)
    np.testing.assert_allclose(np.cross(found.points, middle), 0, atol=1e-14)


@pytest.mark.parametrize("d", [1, 2])
def test_light_cells_are_cut_in_fewer_parts(d):
    """In parts (m / max m)^(1/(2 + d)), rounded, but one at least."""
    m = np.array([1.0, 0.4, 0.1, 0.01, 1e-5, *[0.0] * 4])
    mesh = mf.mesh(mf.Torus(d), (9,) if d == 1 else (3, 3))
    found = cut(mf.Density(m / m.sum(), mesh), 7)
    each = np.maximum(1, np.rint(7 * m[:5] ** (1 / (2 + d)))).astype(int)
    assert np.bincount(mesh.locate(found.points)).tolist() == (each**d).tolist()
    np.testing.assert_allclose(
        np.bincount(mesh.locate(found.points), found.masses), m[:5] / m.sum(), rtol=1e-13
    )


def test_quadrature_on_triangles_is_of_degree_five():
    """Means of u^a v^b w^c over a triangle are 2 a! b! c! / (a + b + c + 2)!."""
    from math import factorial as f

    for a, b, c in [(0, 0, 0), (1, 0, 0), (2, 1, 0), (1, 1, 1), (0, 4, 1), (2, 2, 1), (0, 0, 5)]:
        mean = elements.RADON_WEIGHTS @ np.prod(elements.RADON ** np.array([a, b, c]), axis=1)
        assert mean == pytest.approx(2 * f(a) * f(b) * f(c) / f(a + b + c + 2), rel=1e-13)


def test_how_fine_elements_are_made():
    assert [elements.wanted(np.zeros(n)) for n in (1, 499, 500, 501, 4999, 9999)] == [
        2000, 2000, 2000, 2004, 19996, 20_000]  # fmt: skip
    flat = mf.Density(np.full(30, 1 / 30), mf.mesh(mf.Torus(2), (5, 6)))
    assert [parts_for(flat, n) for n in (1, 30, 31, 120, 121, 3000)] == [1, 1, 2, 2, 3, 10]
    faint = np.where(np.arange(30) < 3, 1.0, 0.9e-18)
    faint[10] = 1.1e-18
    few = mf.Density(faint / faint.sum(), flat.mesh)
    assert [parts_for(few, n) for n in (4, 16, 17)] == [1, 2, 3]
    assert len(cut(few, 1).points) == 4
    sphere = mf.uniform(S2)
    cells = len(sphere.masses)
    assert [parts_for(sphere, 6 * cells * k) for k in (1, 4, 9)] == [1, 2, 3]


def at(lower, upper, elements=10):
    return Bracket(lower, upper, elements, np.zeros(1), 0.0)


@pytest.mark.parametrize(
    ("widths", "sizes", "dim", "used"),
    [
        ((1e-1, 2.1e-4, 1.9e-4), (10, 20, 40), 1, [1, 2, 4]),
        ((1e-1, 1e-1, 1e-1), (4000, 5001, 9000), 2, [1, 2]),
        ((1e-1, 1e-1, 1e-1), (4000, 5000, 20_001), 2, [1, 2, 4]),
        ((1e-1, 1e-1), (2500, 2501), 3, [1, 2]),
    ],
)
def test_elements_are_halved_until_bounds_are_near_or_they_are_too_many(widths, sizes, dim, used):
    asked = []

    def bounds_at(finer):
        asked.append(finer)
        k = len(asked) - 1
        return at(3.0 * (1 - widths[k]), 3.0, sizes[k])

    found = elements._refined(bounds_at, dim)
    assert asked == used and found.elements == sizes[len(used) - 1]


def test_what_is_told_of_bounds_lies_between_them_and_says_how_far_apart(monkeypatch, recwarn):
    atoms, even = mf.Measure([[0.3]], None, mf.Torus(1)), mf.uniform(mf.Torus(1))
    for lower, warned in ((1.981, 0), (1.976, 1)):
        monkeypatch.setattr(elements, "bracket", lambda *_, lower=lower: at(lower, 2.0))
        found = elements.transport_by_elements(atoms, even, "extrinsic", "so; ")
        assert found.squared == pytest.approx((lower + 4) / 3, rel=1e-15)
        assert (found.lower, found.upper, found.note[:4]) == (lower, 2.0, "so; ")
        assert len(recwarn) == warned
    assert recwarn[0].category is UnderResolved and "1.2% apart" in str(recwarn[0].message)
    monkeypatch.setattr(elements, "bracket", lambda *_: at(0.0, 0.0))
    assert elements.transport_by_elements(even, atoms, "extrinsic").squared == 0


def tilted(manifold, cells):
    on = mf.mesh(manifold, cells)
    masses = on.volumes * np.exp(on.nodes[:, 0])
    return mf.Density(masses / masses.sum(), on)


@pytest.mark.parametrize("manifold", [mf.Torus(2), mf.Torus(3), S2], ids=repr)
@pytest.mark.parametrize("metric", ["geodesic", "extrinsic"])
def test_w2_is_seen_closer_than_its_bounds(manifold, metric):
    """Against exact answers on T^2, else against elements of a third of the width."""
    rng, rho = (
        np.random.default_rng(6),
        tilted(manifold, {2: 24, 3: 8}[manifold.dim] if isinstance(manifold, mf.Torus) else 162),
    )
    atoms = mf.Measure(manifold.sample(8, rng), rng.dirichlet(np.ones(8)), manifold)
    coarse, fine = (elements.bounds(atoms, elements.cut(rho, k), metric) for k in (1, 3))
    best = elements.estimate(fine, manifold)
    if metric == "geodesic" and manifold == mf.Torus(2):
        best = mf.metrics.w2_squared(atoms, rho)
    off = abs(elements.estimate(coarse, manifold) - best)
    assert off < 0.1 * (coarse.upper - coarse.lower)


def test_bounds_leave_out_atoms_without_mass_and_never_fall_below_zero():
    torus, rng = mf.Torus(2, 2.0), np.random.default_rng(3)
    masses = np.array([0.2, 0.0, 0.5, 0.3])
    atoms = mf.Measure(torus.sample(4, rng), masses, torus)
    bare = mf.Measure(atoms.points[masses > 0], masses[masses > 0], torus)
    mesh = mf.mesh(torus, (3, 4))
    heights = rng.random(12)
    pieces = boxes(mf.Density(heights / heights.sum(), mesh), np.arange(12), 2)
    full, short = (elements.bounds(a, pieces, "geodesic") for a in (atoms, bare))
    assert full.lower == pytest.approx(short.lower, rel=1e-13) and full.upper == short.upper
    assert full.prices[1] == -np.inf and full.elements == 48 and 0 < full.lower < full.upper
    v = short.prices + rng.normal(size=3) * 0.1
    d2 = torus.distance(pieces.corners[:, :, None], bare.points) ** 2 - v
    dual = pieces.masses @ (d2.min(2).mean(1) - pieces.slack) + bare.masses @ v
    assert elements.dual_bound(bare, pieces, v, "geodesic") == pytest.approx(dual, rel=1e-12)
    assert elements.dual_bound(bare, pieces, np.array([0.0, -60.0, 60.0]), "geodesic") == 0.0
