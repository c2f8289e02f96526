"""Cells cut one by one in planes against the normal cones of a convex hull by qhull."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.metrics.w2 import cones, patches
from meanfield.metrics.w2.cones import Cones
from meanfield.metrics.w2.costs import tree_order
from meanfield.metrics.w2.patches import LEAF
from meanfield.metrics.w2.sphere_diagram import diagram
from tests.plain import plainly

S2 = mf.Sphere(2)


def sampled(n, seed):
    y = S2.sample(n, np.random.default_rng(seed))
    return np.ascontiguousarray(y[tree_order(y)])


def potentials(y, tilt, spread, seed=0):
    rng = np.random.default_rng(seed)
    return tilt * np.cos(2 * y[:, 0] + y[:, 1]) + spread * rng.standard_normal(len(y))


def ends(cells):
    """Where the arc of each pair begins and ends, with the smaller number on its left."""
    out = {}
    L = cells.lengths[:, None]
    last = cells.a * np.cos(L) + cells.t * np.sin(L)
    for (i, j), a, b in zip(cells.pairs.tolist(), cells.a, last, strict=True):
        assert min((i, j), (j, i)) not in out
        out[min((i, j), (j, i))] = np.concatenate([a, b] if i < j else [b, a])
    return out


@pytest.mark.parametrize("n", [6, 20, 300, 2000])
@pytest.mark.parametrize(("tilt", "spread"), [(0, 0), (0.3, 1e-3), (1, 0), (1, 0.02), (0, 0.5)])
def test_cells_are_normal_cones_of_the_hull(n, tilt, spread):
    """Cells without a point, and such that lie up to 70 degrees from their atoms, among them."""
    y = sampled(n, n)
    find = Cones(y)
    for seed in range(3):  # the second and third begin with the neighbours of the one before
        psi = potentials(y, tilt, spread, seed)
        p = np.exp(0.5 * (psi - psi.max()))[:, None] * y
        try:
            wanted, _ = diagram(p, "it")
        except mf.NotConverged:
            with pytest.raises(mf.NotConverged, match="quarter turn"):
                find.diagram(psi, "it")
            continue
        found, arc = find.diagram(psi, "it")
        mine, theirs = ends(found), ends(wanted)
        assert mine.keys() == theirs.keys()
        for pair, both in theirs.items():
            np.testing.assert_allclose(mine[pair], both, atol=1e-10)
        np.testing.assert_array_equal(found.p, p)
        turned = (found.a * found.t).sum(1) * found.lengths
        np.testing.assert_allclose(turned, 0, atol=1e-15)
        np.testing.assert_allclose(np.linalg.norm(found.t, axis=1), 1, rtol=1e-13)
        for k in range(0, n, max(1, n // 20)):
            row = slice(found.starts[k], found.starts[k + 1])
            for e, j in zip(arc[row], found.columns[row], strict=True):
                assert sorted(found.pairs[e].tolist()) == sorted([k, j])


def test_cells_of_a_lattice_meet_four_at_a_point():
    """Atoms on circles of latitude: rounding decides which of two pairs share an arc of no length,
    and areas sum to the sphere's.
    """
    turn, height = np.meshgrid(np.arange(24) * np.pi / 12, np.linspace(-0.9, 0.9, 11))
    flat = np.sqrt(1 - height**2)
    y = np.stack([flat * np.cos(turn), flat * np.sin(turn), height], -1).reshape(-1, 3)
    y = np.ascontiguousarray(y[tree_order(y)])
    found, _ = Cones(y).diagram(np.zeros(len(y)), "it")
    long = found.lengths > 1e-12
    assert np.count_nonzero(long) == 24 * 11 + 24 * 10 + 12 * 23 - 12 * 23
    assert found.lengths[~long].sum() < 1e-10


@pytest.mark.parametrize(("n", "mirrored"), [(1, False), (3, False), (40, False), (40, True)])
def test_far_atoms_are_refused(n, mirrored):
    y = sampled(n, 3)
    y[:, 2] = np.abs(y[:, 2]) + 1e-3
    if mirrored:
        y[:, 2] *= np.sign(y[:, 0])  # in no hemisphere
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    if mirrored:
        assert Cones(y).diagram(np.zeros(n), "it")[0].lengths.sum() > 0
        return
    with pytest.raises(mf.NotConverged, match=r"it: the atoms lie in one hemisphere"):
        Cones(y).diagram(np.zeros(n), "it")


def test_boxes_hold_what_they_say(monkeypatch):
    """Bounds of products over all boxes; with the hull's own normals they rule out the most."""
    plainly(monkeypatch, patches)
    y = sampled(200, 5)
    psi = potentials(y, 0.5, 0.0)
    p = np.exp(0.5 * psi)[:, None] * y
    rng, gaps = np.random.default_rng(6), []
    for normals in (y, S2.sample(200, rng)):
        tree = patches.Patches(*patches.patches(p, normals))
        leaves = (len(tree.top) + 1) // 2
        total = 0.0
        for x in S2.sample(20, rng):
            bound = [patches.highest(x[None], tree, node) for node in range(len(tree.top))]
            for leaf in range(leaves):
                held = p[LEAF * leaf : LEAF * (leaf + 1)]
                most = (held @ x).max(initial=-np.inf)
                assert most <= bound[leaves - 1 + leaf] + 1e-15
                total += bound[leaves - 1 + leaf] - most if len(held) else 0.0
            assert (p @ x).max() <= bound[0] + 1e-15
        gaps.append(total)
    assert gaps[0] < 0.7 * gaps[1]


def test_cells_have_the_same_bits_for_any_number_of_threads(monkeypatch):
    y, found = sampled(400, 7), []
    for threads in (1, 2, 16):
        monkeypatch.setattr(cones, "threads_worth", lambda *_, threads=threads: threads)
        find = Cones(y)
        for seed in range(2):
            cells, arc = find.diagram(potentials(y, 0.4, 1e-3, seed), "it")
        found.append([*cells, arc, find.amid])
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_a_cell_of_many_corners_gets_the_room_it_needs():
    turn = np.arange(150) * (2 * np.pi / 150)
    ring = np.stack([0.3 * np.cos(turn), 0.3 * np.sin(turn), np.full(150, np.sqrt(0.91))], 1)
    y = np.concatenate([ring, [[0.0, 0.0, 1.0]], sampled(30, 8) * [1, 1, 0.1] - [0, 0, 0.7]])
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    y = np.ascontiguousarray(y[tree_order(y)])
    found, _ = Cones(y).diagram(np.zeros(len(y)), "it")
    top = int(np.argmax(y[:, 2]))
    assert found.starts[top + 1] - found.starts[top] == 150
    wanted, _ = diagram(y, "it")
    assert ends(found).keys() == ends(wanted).keys()
