"""Many atoms from fewer: the same distances as from potentials of zero, in fewer steps."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.checks import NotConverged
from meanfield.metrics.w2 import coarser
from meanfield.metrics.w2.coarser import fit
from meanfield.metrics.w2.laguerre_sphere import sphere_transport, voronoi
from meanfield.metrics.w2.laguerre_torus import torus_w2_squared
from meanfield.metrics.w2.newton import Cells, Laplacian
from meanfield.metrics.w2.surfaces import UNIT_SPHERE, UNIT_TORUS

S2 = mf.Sphere(2)


def on_the_torus(n):
    rng = np.random.default_rng(n)
    turn = 2 * np.pi * np.arange(16) / 16
    rho = np.exp(np.add.outer(np.cos(turn), np.sin(turn)))
    return torus_w2_squared(rng.random((n, 2)), 0.5 + rng.random(n), rho)


def mesh_and_masses(lean):
    nodes = mf.mesh(S2, 162).nodes
    ground = voronoi(nodes)
    masses = ground.areas * np.exp(lean * nodes[:, 2])
    return ground, masses / masses.sum()


def on_the_sphere(n):
    rng = np.random.default_rng(n)
    return sphere_transport(S2.sample(n, rng), 0.5 + rng.random(n), *mesh_and_masses(1.5))[0]


@pytest.mark.parametrize(("found", "n"), [(on_the_torus, 3000), (on_the_sphere, 2500)])
def test_distances_do_not_depend_on_where_newton_begins(found, n, monkeypatch):
    begun, newton = [], coarser.newton

    def counted(cells, x, *rest):
        begun.append([len(x), 0])

        def once_more(psi):
            begun[-1][1] += 1
            return cells(psi)

        return newton(once_more, x, *rest)

    monkeypatch.setattr(coarser, "newton", counted)
    monkeypatch.setattr(coarser, "UNEVEN", 1.0)
    values = []
    for many in (10**9, 900):
        monkeypatch.setattr(coarser, "MANY", many)
        values.append(found(n))
    assert values[1] == pytest.approx(values[0], rel=1e-12)
    (of_all, steps), (groups, _), (of_them, fewer) = begun
    assert (of_all, of_them) == (n, n) and groups == -(-n // 8) and fewer < 0.8 * steps


def test_even_masses_need_no_groups(monkeypatch):
    monkeypatch.setattr(coarser, "MANY", 500)
    monkeypatch.setattr(coarser, "_from_groups", None)
    rng = np.random.default_rng(0)
    assert torus_w2_squared(rng.random((900, 2)), np.ones(900), np.ones((4, 4))) > 0


@pytest.mark.parametrize("on", [UNIT_TORUS, UNIT_SPHERE])
def test_parabolas_are_fitted_exactly(on):
    """On T^2 in gaps across its border, on S^2 in the planes that touch it."""
    rng = np.random.default_rng(1)
    x = rng.random((30, 2)) if on is UNIT_TORUS else S2.sample(30, rng)
    c = rng.standard_normal(6)
    near = [on.centre(x + 0.05 * rng.standard_normal(x.shape)) for _ in range(24)]
    others = np.stack(near, 1)
    gaps = on.gaps(x, others % 1.0 if on is UNIT_TORUS else others)
    u, v = gaps[..., 0], gaps[..., 1]
    values = c[0] + c[1] * u + c[2] * v + c[3] * u * u + c[4] * u * v + c[5] * v * v
    value, slope = fit(gaps, values)
    np.testing.assert_allclose(value, c[0], rtol=1e-7)
    np.testing.assert_allclose(slope, np.broadcast_to(c[1:3], (30, 2)), rtol=1e-5)


def test_shifts_of_the_sphere_are_those_that_gaps_measure():
    x = S2.sample(20, np.random.default_rng(2))
    shifts = 0.3 * np.random.default_rng(3).standard_normal((20, 2))
    moved = UNIT_SPHERE.moved(x, shifts)
    gaps = UNIT_SPHERE.gaps(x, moved[:, None])[:, 0]
    along = np.sum(moved * x, axis=1, keepdims=True)
    np.testing.assert_allclose(gaps / along, shifts, atol=1e-14)
    assert (UNIT_SPHERE.centre(np.zeros((1, 3))) == [[0, 0, 1]]).all()


class Line:
    """Cells on a line of n atoms: the masses of some are told, the others are right."""

    def __init__(self, poor):
        self.poor, self.calls, self.psi = poor, 0, []

    def __call__(self, psi):
        n = len(psi)
        self.psi.append(psi)
        masses = np.full(n, 1.0 / n)
        masses[: self.poor[min(self.calls, len(self.poor) - 1)]] = 0.0
        self.calls += 1
        none = Laplacian(np.zeros(n + 1, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))
        return Cells(masses, masses, none)


def test_cells_that_are_nearly_empty_are_opened():
    """By more each time; where that takes too long, or does not help, by a share of all."""
    n = 1000
    x, b = np.random.default_rng(4).random((n, 2)), np.full(1000, 1e-3)
    line = Line([3, 2, 0])
    psi, now = coarser._opened(line, UNIT_TORUS, x, b, np.zeros(n))
    assert (now.masses > 0).all() and line.calls == 3
    rise = 0.2 / np.sqrt(n) * UNIT_TORUS.nearest(x, x, 2)[0][:, 1]
    np.testing.assert_allclose(psi[:4], rise[:4] * [3, 3, 1, 0], rtol=1e-14)
    assert not psi[3:].any()
    share, now = coarser._opened(line := Line([1, 2, 0]), UNIT_TORUS, x, b, np.ones(n))
    assert line.calls == 3 and (share == 0.7).all() and (now.masses > 0).all()
    for poor, calls in (([1], 9), ([11], 1)):
        with pytest.raises(NotConverged, match="empty"):
            coarser._opened(line := Line(poor), UNIT_TORUS, x, b, np.zeros(n))
        assert line.calls == calls


@pytest.mark.parametrize("direct", [True, False])
def test_what_fails_from_one_start_is_tried_from_the_other(direct, monkeypatch):
    """From zero where groups leave cells empty, from groups where zero fails, once each."""
    n, begun = 2000, []
    x, b = np.random.default_rng(5).random((n, 2)), np.full(2000, 1 / 2000)
    line = Line([0])

    def newton(cells, x, b, psi, *rest):
        begun.append((len(x), bool(psi.any())))
        if direct and len(x) == n and not psi.any():
            raise NotConverged("from zero")
        return psi, rest[-1]

    def empty(*given):
        raise NotConverged("empty")

    monkeypatch.setattr(coarser, "newton", newton)
    monkeypatch.setattr(coarser, "MANY", 10**9 if direct else 1000)
    monkeypatch.setattr(coarser, "UNEVEN", 0.5)
    monkeypatch.setattr(coarser, "fit", lambda g, v: (np.ones(len(v)), np.zeros((len(v), 2))))
    if not direct:
        monkeypatch.setattr(coarser, "_opened", empty)
    asked = coarser.Problem(lambda x: line, UNIT_TORUS, "it")
    psi, _, cells = coarser.solve(asked, x, b)
    assert cells is line and bool(psi.any()) == direct
    asked_of = [(n, False), (250, False), (n, True)] if direct else [(250, False), (n, False)]
    assert begun == asked_of


def test_few_atoms_fail_at_once(monkeypatch):
    x, b = np.random.default_rng(6).random((100, 2)), np.full(100, 0.01)

    def newton(*given):
        raise NotConverged("from zero")

    monkeypatch.setattr(coarser, "newton", newton)
    with pytest.raises(NotConverged, match="from zero"):
        coarser.solve(coarser.Problem(lambda x: Line([0]), UNIT_TORUS, "it"), x, b)
