"""Cells on S^2 arc by arc: against scipy's Voronoi cells, integrals and differences of masses."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import dblquad, quad
from scipy.spatial import SphericalVoronoi

import meanfield as mf
from meanfield.metrics.w2 import laguerre_sphere as cells_of
from meanfield.metrics.w2 import semidiscrete
from meanfield.metrics.w2.laguerre_chords import chord_transport
from meanfield.metrics.w2.sphere_diagram import NO_MESH, UNIFORM, Aligned, diagram, of_sum_one
from tests.plain import plainly

S2 = mf.Sphere(2)


@pytest.fixture(autouse=True)
def python(monkeypatch):
    plainly(monkeypatch, cells_of)


def sampled(n, seed, spread=0.0):
    """Atoms on the sphere and the points p of their cells."""
    rng = np.random.default_rng(seed)
    y = S2.sample(n, rng)
    return y, np.exp(spread * rng.normal(size=n))[:, None] * y


def test_arcs_of_unit_points_are_scipys_voronoi_edges():
    y, _ = sampled(40, 0)
    found, _ = diagram(y, "it")
    regions = SphericalVoronoi(y)
    ends = {}
    for i, region in enumerate(regions.regions):
        for v in region:
            ends.setdefault(v, []).append(i)
    edges = {}
    for v, around in ends.items():
        for i in around:
            for j in around:
                if i < j:
                    edges.setdefault((i, j), []).append(regions.vertices[v])
    wanted = {pair: S2.distance(*two) for pair, two in edges.items() if len(two) == 2}
    lengths = {
        tuple(sorted(p)): s for p, s in zip(found.pairs.tolist(), found.lengths, strict=True)
    }
    assert lengths.keys() == wanted.keys()
    for pair, length in wanted.items():
        assert lengths[pair] == pytest.approx(length, abs=1e-9)


def test_arcs_are_great_circles_with_the_first_cell_on_their_left():
    _, p = sampled(30, 1, 0.1)
    found, arc = diagram(p, "it")
    a, t, length = found.a, found.t, found.lengths[:, None]
    for u, v, wanted in ((a, a, 1), (t, t, 1), (a, t, 0)):
        np.testing.assert_allclose((u * v).sum(1), wanted, atol=1e-13)
    i, j = found.pairs.T
    for s in (0.0, 0.5, 1.0):
        x = a * np.cos(s * length) + t * np.sin(s * length)
        products = x @ p.T
        own = products[np.arange(len(i)), i]
        np.testing.assert_allclose(own, products[np.arange(len(i)), j], atol=1e-13)
        np.testing.assert_allclose(own, products.max(1), atol=1e-13)
    assert (((p[i] - p[j]) * np.cross(a, t)).sum(1) > 0).all()
    assert len(arc) == 2 * len(i) == len(found.columns)
    for k in range(30):
        row = slice(found.starts[k], found.starts[k + 1])
        assert sorted(found.columns[row]) == sorted([*j[i == k], *i[j == k]])
        for e, l in zip(arc[row], found.columns[row], strict=True):
            assert sorted(found.pairs[e]) == sorted([k, l])


def test_far_atoms_and_flat_hulls_are_refused():
    y, _ = sampled(30, 2)
    with pytest.raises(mf.NotConverged, match="quarter turn"):
        diagram(y[y[:, 2] > 0.1], "it")
    with pytest.raises(mf.NotConverged, match="flat"):
        diagram(y[:3], "it")


@pytest.mark.parametrize("R", [1e-5, 1e-2, 0.5, 0.999, 1.001, 2.0, 3.0])
def test_second_moments_of_fans(R):
    """int_0^R r^2 sin r dr over sin^2 R, on either side of where the series ends."""
    exact = quad(lambda r: r * r * np.sin(r), 0, R, epsabs=0, epsrel=1e-13)[0] / np.sin(R) ** 2
    assert cells_of.second_moment(np.sin(R / 2) ** 2) == pytest.approx(exact, rel=1e-11)
    assert cells_of.second_moment(0.0) == 0.0


def test_fans_have_the_area_and_moment_of_their_triangles():
    """By integrals in polar coordinates around the atom, with the sign of the side it lies on."""
    y, p = sampled(12, 3, 0.1)
    found, _ = diagram(p, "it")
    for e in (0, 3, 7):
        k = int(found.pairs[e, 0])
        low, high = 0.2 * found.lengths[e], 0.9 * found.lengths[e]
        ends = np.outer(np.cos([low, high]), found.a[e]) + np.outer(np.sin([low, high]), found.t[e])
        c, s, C, S = np.cos(low), np.sin(low), np.cos(high), np.sin(high)
        piece = cells_of.Piece(low, high, c, s, C, S)
        area = cells_of.fan_area(y, k, found, e, piece)
        moment = cells_of.fan_moment(y, k, found, e, low, high)
        corners = np.stack([y[k], *ends])
        exact = 2 * np.arctan2(
            np.linalg.det(corners),
            1 + corners[0] @ corners[1] + corners[1] @ corners[2] + corners[2] @ corners[0],
        )
        assert area == pytest.approx(exact, rel=1e-9)
        u, v = ends - y[k]

        def density(r, s, k=k, u=u, v=v):
            x = y[k] + s * (u + r * (v - u))
            size = np.linalg.norm(x)
            return (2 * np.arcsin(np.linalg.norm(x / size - y[k]) / 2)) ** 2 * s / size**3

        inner = dblquad(density, 0, 1, 0, 1, epsabs=1e-11)[0] * np.linalg.det(corners)
        assert moment == pytest.approx(inner, rel=1e-7)


def test_points_are_found_by_climbing_and_arcs_leave_their_cells_where_others_begin():
    _, p = sampled(25, 4, 0.05)
    found, _ = diagram(p, "it")
    other, _ = diagram(sampled(9, 5, 0.05)[1], "it")
    for e in range(len(other.pairs)):
        s = np.linspace(0, other.lengths[e], 4001)
        x = np.outer(np.cos(s), other.a[e]) + np.outer(np.sin(s), other.t[e])
        inside = (x @ p.T).argmax(1)
        for begin in (0, 7):
            assert cells_of.climb(found, begin, x[0]) == inside[0]
        k, low, passed = int(inside[0]), 0.0, []
        while k >= 0:
            high, after = cells_of.leaves(found, k, other, e, low, other.lengths[e])
            passed.append(k)
            middle = 0.5 * (low + high)
            at = other.a[e] * np.cos(middle) + other.t[e] * np.sin(middle)
            assert (p @ at).argmax() == k and high > low
            low, k = high, after
        assert low == other.lengths[e]
        seen = inside[np.append(True, np.diff(inside) != 0)].tolist()
        assert [c for c in passed if c in seen] == seen and len(passed) <= len(seen) + 2


def laid_over(y, p, mesh, rho):
    cells, arc = diagram(p, "it")
    return cells, arc, cells_of.overlay(y, cells, mesh, rho)


def test_sums_over_arcs_have_the_same_bits_for_any_number_of_threads(monkeypatch):
    """As blocks of few arcs, and as one block to rounding; without moments masses are the same."""
    monkeypatch.setattr(cells_of, "ARCS", 7)
    y, p = sampled(20, 11, 0.03)
    mesh = diagram(sampled(30, 12)[0], "it")[0]
    rho = 0.1 + np.random.default_rng(13).random(30)
    found = []
    for threads in (1, 2, 16):
        monkeypatch.setattr(cells_of, "threads_worth", lambda *_, threads=threads: threads)
        found.append(laid_over(y, p, mesh, rho)[2])
    cells = diagram(p, "it")[0]
    found.append(cells_of.overlay(y, cells, mesh, rho, False))
    assert not found[-1][1].any() and found[0][1].any()
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0][::2], other[::2], strict=True))
    assert all(np.array_equal(found[0][1], other[1]) for other in found[1:3])
    monkeypatch.setattr(cells_of, "BLOCKS", 1)
    for a, b in zip(found[0], laid_over(y, p, mesh, rho)[2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("uniform", [True, False])
def test_masses_moments_and_derivatives_of_cells(uniform):
    """Masses and moments by a fine quadrature; derivatives of masses in the potentials by
    differences.
    """
    y, p = sampled(14, 6, 0.03)
    mesh, rho = NO_MESH, UNIFORM
    nodes = mf.mesh(S2, 12).nodes + 0.2 * sampled(12, 7)[0]
    nodes /= np.linalg.norm(nodes, axis=1, keepdims=True)
    if not uniform:
        mesh = diagram(nodes, "it")[0]
        areas = cells_of._areas(mesh)
        assert areas.sum() == pytest.approx(4 * np.pi, rel=1e-9)
        exact = SphericalVoronoi(nodes).calculate_areas()
        np.testing.assert_allclose(areas, exact, rtol=1e-8)
        rho = 0.1 + np.random.default_rng(8).random(12)
        rho[3] = rho[4]  # no jump where these two meet
    cells, arc, (mass, second, edge) = laid_over(y, p, mesh, rho)
    z = (np.arange(200_000) + 0.5) / 100_000 - 1
    turn = np.pi * (1 + 5**0.5) * np.arange(200_000)
    x = np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], 1)
    weight = 4 * np.pi / 200_000 * (rho[0] if uniform else rho[(x @ nodes.T).argmax(1)])
    owner = (x @ p.T).argmax(1)
    total = np.broadcast_to(weight, len(x))
    np.testing.assert_allclose(mass, np.bincount(owner, total, 14), rtol=4e-3)
    squares = S2.distance(x, y[owner]) ** 2
    np.testing.assert_allclose(second, np.bincount(owner, total * squares, 14), rtol=4e-3)
    H = np.zeros((14, 14))
    np.add.at(H, (np.repeat(np.arange(14), np.diff(cells.starts)), cells.columns), -edge[arc])
    h = 1e-5
    for j in range(14):
        moved = [p * np.exp(s * h / 2 * np.eye(14)[j])[:, None] for s in (1, -1)]
        up, down = (laid_over(y, q, mesh, rho)[2][0] for q in moved)
        np.testing.assert_allclose(np.delete((up - down) / (2 * h) - H[:, j], j), 0, atol=2e-7)


def test_what_transport_takes_are_weights_at_any_scale_and_atoms_more_than_once():
    y, _ = sampled(12, 9)
    weights = 1 + np.random.default_rng(10).random(12)
    value, prices = cells_of.sphere_transport(y, weights, None, None)
    again, twice = cells_of.sphere_transport(
        np.concatenate([y, y]), np.tile(3 * weights, 2), None, None
    )
    assert again == pytest.approx(value, rel=1e-9)
    np.testing.assert_allclose(twice - twice[0], np.tile(prices - prices[0], 2), atol=1e-7)


@pytest.mark.parametrize("rough", [True, False])
def test_atoms_where_the_mesh_has_its_nodes(rough):
    """Of the cells' own masses: each cell goes to its node, also by chords, however rounding falls
    on the borders that coincide.
    """
    on = mf.mesh(S2, 42)
    ground = cells_of.voronoi(on.nodes)
    heights = np.random.default_rng(14).random(42) + 0.05 if rough else np.exp(on.nodes[:, 2])
    masses = ground.areas * heights / (ground.areas @ heights)
    _, spread, _ = cells_of.overlay(on.nodes, ground.mesh, NO_MESH, UNIFORM)
    exact = (4 * np.pi * spread * masses / ground.areas).sum()
    atoms, density = mf.Measure(on.nodes, masses, S2), mf.Density(masses, on)
    found = semidiscrete.semidiscrete_transport(atoms, density)
    assert found.squared == pytest.approx(exact, rel=1e-8) and found.method == "semidiscrete"
    assert found.lower < exact * (1 + 1e-8)
    upper, lower, _ = semidiscrete._off_borders(chord_transport, atoms, ground, masses)
    assert upper == pytest.approx(exact, rel=1e-8) and lower < exact


def test_masses_that_do_not_sum_to_one_are_refused():
    with pytest.raises(Aligned, match="it: borders of cells lie"):
        of_sum_one(np.array([0.5, 0.5 + 2e-9]), "it")
    with pytest.raises(Aligned):
        of_sum_one(np.array([0.5, np.nan]), "it")
    masses = np.array([0.5, 0.5 + 1e-10])
    assert of_sum_one(masses, "it") is masses
