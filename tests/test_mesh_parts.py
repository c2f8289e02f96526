"""Faces of product quadratures from their volumes, points drawn in their cells, and where computed
masses are told or refused.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

import meanfield as mf
from meanfield.checks import UnderResolved
from meanfield.measures import density_on
from meanfield.meshes import cell_count, hopf_mesh, mesh, quadrature_mesh


def joined(on, table):
    """Transmissibilities as a dense symmetric matrix."""
    T = np.zeros((len(on), len(on)))
    np.add.at(T, (on.pairs[:, 0], on.pairs[:, 1]), table)
    return T + T.T


def test_faces_of_parallels_and_meridians_are_arcs_over_distances():
    """Rows of cells share out the height; a parallel's face has the arc's length, over the
    nodes' difference of latitude, a meridian's the difference of angles, over the arc between.
    """
    n = 5
    on = quadrature_mesh(n)
    rows = on.volumes.reshape(n, 2 * n).sum(1)
    heights = np.append(-1, -1 + np.cumsum(rows) / (2 * np.pi))
    angle, nodes = np.arccos(np.clip(heights, -1, 1)), np.arccos(on.nodes[:: 2 * n, 2])
    wanted, h = np.zeros((len(on), len(on))), np.pi / n
    for r in range(n):
        for c in range(2 * n):
            i, east = r * 2 * n + c, r * 2 * n + (c + 1) % (2 * n)
            wanted[i, east] += (angle[r] - angle[r + 1]) / (np.sin(nodes[r]) * h)
            if r + 1 < n:
                wanted[i, i + 2 * n] += np.sin(angle[r + 1]) * h / (nodes[r] - nodes[r + 1])
    np.testing.assert_allclose(joined(on, on.transmissibilities), wanted + wanted.T, atol=1e-12)


def test_faces_of_hopfs_cells_are_areas_over_distances():
    """Rows share out sin^2 t; areas by integrals over the other two coordinates."""
    m = 3
    on = hopf_mesh(m)
    n, k = 4 * m, np.pi / 6
    square = np.append(0, np.cumsum(on.volumes.reshape(m, -1).sum(1)) / (2 * np.pi**2))
    t, at = np.arcsin(np.sqrt(np.clip(square, 0, 1))), on.nodes.reshape(m, n, n, 4)
    nodes = np.arctan2(np.hypot(*at[:, 0, 0, 2:].T), np.hypot(*at[:, 0, 0, :2].T))
    wanted, number = np.zeros((len(on), len(on))), np.arange(len(on)).reshape(m, n, n)
    for r in range(m):
        s = t[r] + (t[r + 1] - t[r]) * (np.arange(4000) + 0.5) / 4000
        width = (t[r + 1] - t[r]) * k
        along_u, along_v = np.sin(s).mean() * width, np.cos(s).mean() * width
        for u in range(n):
            for v in range(n):
                i = number[r, u, v]
                wanted[i, number[r, (u + 1) % n, v]] += along_u / (np.cos(nodes[r]) * k)
                wanted[i, number[r, u, (v + 1) % n]] += along_v / (np.sin(nodes[r]) * k)
                if r + 1 < m:
                    area = np.sin(t[r + 1]) * np.cos(t[r + 1]) * k * k
                    wanted[i, number[r + 1, u, v]] += area / (nodes[r + 1] - nodes[r])
    found = joined(on, on.transmissibilities)
    np.testing.assert_allclose(found, wanted + wanted.T, rtol=1e-6, atol=1e-12)


def test_draws_between_tori_are_uniform_within_cells():
    on = hopf_mesh(3)
    drawn = mf.Density(on.volumes / on.volumes.sum(), on).draw(20_000, np.random.default_rng(0))
    assert np.abs(np.linalg.norm(drawn, axis=1) - 1).max() < 1e-14
    height = (drawn[:, 2:] ** 2).sum(1)  # uniform on [0, 1], as both angles are
    u, v = (np.arctan2(drawn[:, k + 1], drawn[:, k]) / (2 * np.pi) + 0.5 for k in (0, 2))
    for seen in (height, u, v, (u + v) % 1, (u + 2 * height) % 1):
        assert stats.kstest(seen, "uniform").pvalue > 1e-4
    one = mf.Density(np.eye(len(on))[77], on).draw(400, np.random.default_rng(1))
    assert (on.locate(one) == 77).all()
    masses = np.random.default_rng(2).random(len(on))
    drawn = mf.Density(masses / masses.sum(), on).draw(20_000, np.random.default_rng(3))
    counts = np.bincount(on.locate(drawn), minlength=len(on))
    assert stats.chisquare(counts, 20_000 * masses / masses.sum()).pvalue > 1e-4


def test_cells_are_counted_without_being_made():
    T2, S2 = mf.Torus(2), mf.Sphere(2)
    for manifold, cells in (
        (mf.Torus(1), None), (T2, None), (mf.Torus(3), None), (T2, 7), (T2, (5, 6)),
        (mf.Sphere(1), None), (mf.Sphere(1), 9), (S2, None), (S2, 700), (S2, 100),
        (mf.Sphere(3), 500), (mf.Sphere(3), 900),
    ):  # fmt: skip
        assert cell_count(manifold, cells) == len(mesh(manifold, cells))
    assert cell_count(mf.Sphere(3)) == 8192 and cell_count(mf.Torus(5)) == 0
    assert cell_count(T2, mesh(T2, 5)) == 25
    assert [len(mesh(mf.Sphere(3), n)) for n in (432, 727, 729)] == [432, 432, 1024]
    with pytest.raises(ValueError, match="cells"):
        mesh(mf.Sphere(3), 431)
    assert [len(mesh(S2, n)) for n in (12, 26, 28, 66, 68)] == [12, 12, 42, 42, 92]


def test_the_icosahedron_has_its_corners_on_the_coordinate_planes():
    """(0, +-1, +-golden) and their cyclic shifts; other meshes of S^2 hold these corners."""
    golden = (1 + 5**0.5) / 2
    corner = np.array([0, 1, golden]) / np.hypot(1, golden)
    for cells in (12, 42, 162):
        nodes = mesh(mf.Sphere(2), cells).nodes
        for s in (-1, 1):
            for t in (-1, 1):
                for k in range(3):
                    turned = np.roll(corner * [0, s, t], k)
                    assert np.abs(nodes - turned).max(1).min() < 1e-15


def test_edges_of_the_icosahedron_are_cut_in_equal_arcs_and_faces_by_sines():
    """From A to B the arc is arctan 2; within a face sin(w i/m) A + sin(w j/m) B + sin(w k/m) C."""
    S2, golden, m, w = mf.Sphere(2), (1 + 5**0.5) / 2, 5, np.arctan(2.0)
    A, B, C = (np.array(v) / np.hypot(1, golden)
               for v in ((0, 1, golden), (0, -1, golden), (golden, 0, 1)))  # fmt: skip
    nodes = mesh(S2, 10 * m * m + 2).nodes
    for j in range(m + 1):
        on_edge = (np.sin(w - w * j / m) * A + np.sin(w * j / m) * B) / np.sin(w)
        assert np.abs(nodes - on_edge).max(1).min() < 1e-14
    for i, j, k in ((1, 1, 3), (2, 1, 2), (1, 3, 1)):
        inside = sum(np.sin(w * n / m) * v for n, v in zip((i, j, k), (A, B, C), strict=True))
        assert np.abs(nodes - inside / np.linalg.norm(inside)).max(1).min() < 1e-14


def test_negative_masses_are_told_once_and_refused_where_they_are_a_quarter():
    on, told = mesh(mf.Torus(1), 4), set()

    def masses(lost):
        return np.array([0.5 + lost, 0.3, 0.2, -lost])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = density_on(masses(0.9e-10), on)
        assert found.masses.min() == 0 and found.masses.sum() == pytest.approx(1, rel=1e-15)
        density_on(masses(0.9e-3), on, within=1e-3)
    with pytest.warns(UnderResolved, match="masses hold a negative mass of 1.10e-10"):
        found = density_on(masses(1.1e-10), on)
    np.testing.assert_allclose(found.masses, np.array([0.5, 0.3, 0.2, 0]), atol=2e-10)
    with pytest.warns(UnderResolved):
        density_on(masses(0.24), on, "sums", told=told)
    assert told == {"sums"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        density_on(masses(0.24), on, "sums", told=told)
    with pytest.raises(mf.NotConverged, match="negative mass of 0.26"):
        density_on(masses(0.26), on, "sums", told=told)
    with pytest.raises(mf.NotConverged):
        density_on(2 * masses(0.26), on, "sums", told=told)
    density_on(2 * masses(0.24), on, "sums", told=told)
    with pytest.warns(UnderResolved):
        density_on(masses(0.26), on)


def test_masses_may_miss_one_by_their_rounding_only():
    torus = mf.Torus(1)
    for off, good in ((0.99e-8, True), (1.02e-8, False), (-0.99e-8, True), (-1.02e-8, False)):
        m = np.array([0.5, 0.5 + off])
        if good:
            assert (mf.Measure([[0.0], [1.0]], m, torus).masses == m).all()
            continue
        with pytest.raises(ValueError, match="not to one"):
            mf.Measure([[0.0], [1.0]], m, torus)
    for off, good in ((30, True), (36, False)):
        m = np.array([0.5, 0.5 + off * 2.0**-23], dtype=np.float32)
        if good:
            assert mf.Measure([[0.0], [1.0]], m, torus).masses.sum() == pytest.approx(1, abs=1e-15)
            continue
        with pytest.raises(ValueError, match="not to one"):
            mf.Measure([[0.0], [1.0]], m, torus)


def test_densities_are_carried_over_where_the_other_mesh_judges_their_mass():
    torus = mf.Torus(1)
    narrow, wide = mesh(torus, 64), mesh(torus, 16)
    for share, good in ((0.095, True), (0.105, False), (-0.095, True), (-0.105, False)):
        values = np.ones(64) + share  # at the other's nodes, every fourth
        values[::4] = 1 + share
        values[2::4] = 1 - 3 * share
        values[1::4] = values[3::4] = 1 + share
        masses = values / 64
        rho = mf.Density(masses, narrow)
        if good:
            found = rho.on(wide)
            np.testing.assert_allclose(found.masses, 1 / 16, rtol=1e-13)
            continue
        with pytest.raises(ValueError, match="narrower than the cells"):
            rho.on(wide)
