"""Discrete optimal transport off the circle: against other exact answers, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, linprog

import meanfield as mf
from meanfield.checks import NotConverged
from meanfield.metrics import w2_details, w2_squared
from meanfield.metrics.w2 import discrete, sparse
from meanfield.metrics.w2.elements import bounds_densities, cut
from tests.convergence import fitted_order

MANIFOLDS = [mf.Torus(2), mf.Torus(3, 1.5), mf.Sphere(1), mf.Sphere(2), mf.Sphere(5)]


def weighted(manifold, n, rng):
    m = rng.exponential(size=n)
    return mf.Measure(manifold.sample(n, rng), m / m.sum(), manifold)


@pytest.mark.parametrize("manifold", MANIFOLDS, ids=str)
def test_equal_atoms_against_the_assignment_problem(manifold):
    rng = np.random.default_rng(0)
    x, y = manifold.sample(60, rng), manifold.sample(60, rng)
    cost = manifold.distance(x[:, None], y[None]) ** 2
    exact = cost[linear_sum_assignment(cost)].mean()
    assert w2_squared(
        mf.Measure(x, None, manifold), mf.Measure(y, None, manifold)
    ) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("manifold", MANIFOLDS, ids=str)
def test_metric_properties(manifold):
    rng = np.random.default_rng(1)
    a, b, c = (weighted(manifold, n, rng) for n in (20, 15, 11))
    assert mf.w2(a, a) == 0
    assert mf.w2(a, b) == pytest.approx(mf.w2(b, a), rel=1e-12)
    assert mf.w2(a, c) <= mf.w2(a, b) + mf.w2(b, c) + 1e-12
    one = mf.Measure(c.points[:1], None, manifold)
    plan_free = np.sum(a.masses * manifold.distance(a.points, c.points[:1]) ** 2)
    assert w2_squared(a, one) == pytest.approx(plan_free, rel=1e-12)


def test_sphere_of_dimension_one_is_the_circle():
    rng = np.random.default_rng(2)
    flat, round_ = mf.Torus(1), mf.Sphere(1)
    pair = [weighted(flat, n, rng) for n in (30, 45)]
    bent = [mf.Measure(np.c_[np.cos(m.points), np.sin(m.points)], m.masses, round_) for m in pair]
    assert w2_squared(*bent) == pytest.approx(w2_squared(*pair), rel=1e-12)


def test_shifts_and_rotations_change_nothing():
    rng = np.random.default_rng(3)
    torus, sphere = mf.Torus(2), mf.Sphere(2)
    a, b = weighted(torus, 30, rng), weighted(torus, 20, rng)
    moved = [mf.Measure(m.points + np.array([1.0, -4.0]), m.masses, torus) for m in (a, b)]
    assert w2_squared(*moved) == pytest.approx(w2_squared(a, b), rel=1e-12)
    a, b = weighted(sphere, 30, rng), weighted(sphere, 20, rng)
    R = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    turned = [mf.Measure(m.points @ R, m.masses, sphere) for m in (a, b)]
    assert w2_squared(*turned) == pytest.approx(w2_squared(a, b), rel=1e-12)


def test_densities_stand_for_atoms_at_nodes():
    cells = mf.mesh(mf.Torus(2), 8)
    masses = np.random.default_rng(4).random(64)
    rho = mf.Density(masses / masses.sum(), cells)
    rolled = mf.Density(np.roll(rho.masses.reshape(8, 8), 1, 0).ravel(), cells)
    assert mf.w2(rho, mf.Measure(cells.nodes, rho.masses, cells.manifold), method="discrete") == 0
    assert 0 < mf.w2(rho, rolled) <= 2 * np.pi / 8 + 1e-12


def test_zero_masses_are_left_out():
    torus = mf.Torus(2)
    a = mf.Measure([[0, 0], [1, 1], [2, 2]], [0.5, 0.0, 0.5], torus)
    b = mf.Measure([[0, 0], [2, 2]], None, torus)
    assert mf.w2(a, b) == 0


def test_problems_too_large_are_refused_before_any_memory_is_taken():
    torus = mf.Torus(2)
    big = mf.Measure(torus.sample(400_000, np.random.default_rng(5)), None, torus)
    with pytest.raises(ValueError, match=r"1\.6e\+11 pairs, above the limit of 1e\+11"):
        mf.w2(big, big)


HARD = ["even", "one weight", "log-normal", "far clusters", "holes", "few against many"]


def hard(case, manifold, n, rng):
    """Two measures of n atoms or so, from the families that are hard."""
    m = n if case == "one weight" else 4 * n // 5
    if case == "few against many":
        m = 12
    x, y = manifold.sample(n, rng), manifold.sample(m, rng)
    p, q = np.exp(
        rng.standard_normal((2, max(n, m))) * {"even": 0.5, "log-normal": 2.0}.get(case, 0.0)
    )
    if case == "far clusters":
        centres = manifold.sample(2, rng)
        frames = manifold.basis(centres)
        steps = rng.standard_normal((2, n, 2)) * [[[0.02]], [[0.1]]]
        x, y = (
            manifold.retract(np.repeat(c[None], n, 0), s @ f)
            for c, s, f in zip(centres, steps, frames, strict=True)
        )
        y = y[:m]
    if case == "holes":
        x, y = x[x[:, 0] < x[:, 0].mean()], y[y[:, 0] > y[:, 0].mean()]
    p, q = p[: len(x)], q[: len(y)]
    return mf.Measure(x, p / p.sum(), manifold), mf.Measure(y, q / q.sum(), manifold)


@pytest.mark.parametrize("metric", ["geodesic", "extrinsic"])
@pytest.mark.parametrize("manifold", [mf.Torus(2, 1.5), mf.Sphere(2)], ids=str)
@pytest.mark.parametrize("case", HARD)
def test_few_arcs_give_what_an_independent_solver_gives(case, manifold, metric):
    """POT's network simplex on all arcs; gap and marginals to rounding."""
    a, b = hard(case, manifold, 700, np.random.default_rng(7))
    plan = discrete.optimal_plan(a, b, metric)
    cost = costs(a, b, metric)
    exact = by_pot(a, b, metric)
    assert plan.value == pytest.approx(exact, rel=1e-12)
    assert abs(plan.value - plan.lower) <= 1e-12 * plan.value and plan.residual <= 1e-14
    assert plan.tails.max() < len(a) and np.bincount(plan.heads, plan.masses) == pytest.approx(
        b.masses, abs=1e-15
    )
    assert (cost - plan.u[:, None] - plan.v).min() > -1e-14 * cost.max()
    assert np.sum(plan.masses * cost[plan.tails, plan.heads]) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(
    "manifold", [mf.Torus(1, 2.0), mf.Torus(3), mf.Sphere(1), mf.Sphere(4)], ids=str
)
def test_few_arcs_in_other_dimensions(manifold):
    rng = np.random.default_rng(8)
    a, b = weighted(manifold, 600, rng), weighted(manifold, 500, rng)
    for metric in ("geodesic", "extrinsic"):
        found = w2_squared(a, b, "discrete", metric)
        assert found == pytest.approx(by_pot(a, b, metric), rel=1e-12)


@pytest.mark.parametrize("sizes", [(1, 1), (1, 30), (17, 40), (257, 120)])
@pytest.mark.parametrize("manifold", [mf.Torus(2), mf.Sphere(3)], ids=str)
def test_weighted_atoms_against_linear_programs(manifold, sizes):
    rng = np.random.default_rng(9)
    a, b = (weighted(manifold, n, rng) for n in sizes)
    n, m = sizes
    rows = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    program = linprog(
        costs(a, b).ravel(), A_eq=np.concatenate(rows), b_eq=np.append(a.masses, b.masses)
    ) if n * m < 1000 else None  # fmt: skip
    exact = by_pot(a, b) if program is None else program.fun
    assert w2_squared(a, b) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("seed", [865810575, 983049728, 612235687])
def test_prices_stay_where_they_round_finely(seed, monkeypatch):
    """Carried past 256 or 512 by thousands of shifts, prices of these problems rounded so coarsely
    that arcs of the tree seemed to gain, and pivots had no end.
    """
    pivots, simplex = [], sparse.simplex

    def counted(*given):
        found = simplex(*given)
        pivots.append(found[0])
        return found

    monkeypatch.setattr(sparse, "simplex", counted)
    rng, sphere = np.random.default_rng(seed), mf.Sphere(5)
    a, b = (mf.Measure(sphere.sample(n, rng), None, sphere) for n in (20, 720))
    assert w2_squared(a, b) == pytest.approx(by_pot(a, b), rel=1e-12)
    assert pivots[0] < 6 * (len(a) + len(b))


def costs(a, b, metric="geodesic"):
    M, x, y = a.manifold, a.points[:, None], b.points[None]
    if metric == "geodesic":
        return M.distance(x, y) ** 2
    if isinstance(M, mf.Torus):
        return np.sum((M.period / np.pi * np.sin(np.pi / M.period * (x - y))) ** 2, axis=-1)
    return np.sum((x - y) ** 2, axis=-1)


def by_pot(a, b, metric="geodesic"):
    ot = pytest.importorskip("ot")
    C = costs(a, b, metric)
    return float(np.vdot(ot.lp.emd(a.masses, b.masses, C / C.max(), numItermax=10_000_000), C))


@dataclass(frozen=True)
class Cylinder:
    """A manifold of somebody else's: S^2 x S^1 with the distances' squares added."""

    dim, ambient = 3, 4

    def distance(self, x, y):
        ball, circle = mf.Sphere(2), mf.Torus(1)
        return np.hypot(
            ball.distance(x[..., :3], y[..., :3]), circle.distance(x[..., 3:], y[..., 3:])
        )

    def check(self, name, points):
        return points

    def retract(self, x, v):
        return x + v

    def sample(self, n, rng):
        return np.c_[mf.Sphere(2).sample(n, rng), mf.Torus(1).sample(n, rng)]


@pytest.mark.parametrize("sizes", [(1, 5), (60, 60), (90, 300)])
def test_on_manifolds_from_elsewhere_all_arcs_are_looked_at(sizes):
    rng, manifold = np.random.default_rng(14), Cylinder()
    a, b = (weighted(manifold, n, rng) for n in sizes)
    found = w2_details(a, b)
    assert found.exact and found.residual < 1e-14
    assert found.squared == pytest.approx(by_pot(a, b), rel=1e-12)
    many = mf.Measure(manifold.sample(4000, rng), None, manifold)
    with pytest.raises(ValueError, match=r"1\.6e\+07 pairs, above the limit of 1e\+07"):
        w2_squared(many, many)


def test_a_translation_of_many_atoms_is_its_own_plan():
    """Cyclically monotone, whatever the weights: W2^2 = |s|^2 while no shortest way turns round the
    torus.
    """
    torus, rng = mf.Torus(2, 1.0), np.random.default_rng(9)
    a = mf.Measure(0.1 + 0.3 * rng.random((2500, 2)), None, torus)
    b = mf.Measure(a.points[rng.permutation(2500)] + [0.08, -0.05], None, torus)
    assert w2_squared(a, b) == pytest.approx(0.08**2 + 0.05**2, rel=1e-12)


def test_one_atom_far_from_many():
    rng = np.random.default_rng(10)
    a = weighted(mf.Sphere(2), 5000, rng)
    b = mf.Measure(-a.points[:1] * 1.0, None, mf.Sphere(2))
    assert w2_squared(a, b) == pytest.approx(
        a.masses @ mf.Sphere(2).distance(a.points, b.points) ** 2, rel=1e-12
    )


def spoiled(monkeypatch, **changes):
    rng = np.random.default_rng(6)
    a, b = (weighted(mf.Torus(2), 6, rng) for _ in range(2))
    plan = discrete.optimal_plan(a, b, "geodesic")
    worse = replace(plan, **{name: change(plan) for name, change in changes.items()})
    monkeypatch.setattr(discrete, "optimal_plan", lambda *_: worse)
    with pytest.raises(NotConverged) as error:
        w2_squared(a, b)
    return str(error.value)


def test_a_plan_with_wrong_marginals_is_refused(monkeypatch):
    assert "marginals" in spoiled(monkeypatch, residual=lambda plan: 1e-3)


def test_a_plan_that_is_not_optimal_is_refused(monkeypatch):
    message = spoiled(monkeypatch, value=lambda plan: plan.value * (1 + 1e-6))
    assert "proven only within" in message


def test_pivots_that_run_out_are_an_error(monkeypatch):
    rng = np.random.default_rng(6)
    a, b = (weighted(mf.Torus(2), 6, rng) for _ in range(2))
    monkeypatch.setattr(sparse, "simplex", lambda *_: (-1, 0.0))
    with pytest.raises(NotConverged, match="pivots were not enough"):
        w2_squared(a, b)


def circle_density(heights, circle):
    return mf.Density(heights / heights.sum(), mf.mesh(circle, len(heights)))


def chord_squared(gap, circle):
    return (circle.period / np.pi * np.sin(np.pi / circle.period * gap)) ** 2


def test_chords_on_the_circle_against_every_shift_and_the_assignment_problem():
    """Near measures are matched in order with a shift of its own; far ones are not matched in order
    at all.
    """
    circle, rng = mf.Torus(1, 2.0), np.random.default_rng(11)
    for far in (False, True):
        x = np.sort(rng.random(40) * 0.3)
        y = np.sort(rng.random(40) * 0.4 + 0.85 if far else rng.random(40) * 0.3 + 0.05)
        a, b = (mf.Measure(p[:, None], None, circle) for p in (x, y))
        found = w2_squared(a, b, metric="extrinsic")
        cost = chord_squared(x[:, None] - y, circle)
        assert found == pytest.approx(cost[linear_sum_assignment(cost)].mean(), rel=1e-13)
        ordered = min(chord_squared(x - np.roll(y, s), circle).mean() for s in range(40))
        assert found < 0.999 * ordered if far else found == pytest.approx(ordered, rel=1e-13)
        assert found < w2_squared(a, b)


def test_chords_between_densities_on_the_circle():
    """Closed forms: a translation short enough is optimal, and the uniform law sees every point
    alike.
    """
    circle = mf.Torus(1, 2.0)
    bump = circle_density(np.exp(4 * np.cos(2 * np.pi * np.arange(32) / 32)), circle)
    moved = mf.Density(np.roll(bump.masses, 3), bump.mesh)
    for a, b, exact in (
        (
            circle_density(np.eye(1, 20)[0], circle),
            circle_density(np.eye(1, 20, 4)[0], circle),
            chord_squared(0.4, circle),
        ),
        (mf.Measure([[0.7]], None, circle), mf.uniform(circle), 0.5 * (2 / np.pi) ** 2),
        (bump, bump, 0.0),
    ):
        found = w2_details(a, b, metric="extrinsic")
        assert found.method == "elements" and found.lower - 1e-15 <= exact <= found.upper + 1e-15
        assert found.upper - found.lower <= 2e-4 * exact + 1e-7
    sides = w2_details(bump, moved, metric="extrinsic")
    # Rotating by s costs chord(s)^2 at most; chords below arcs.
    assert sides.lower < sides.upper <= chord_squared(3 / 16, circle) * (1 + 1e-4)
    assert sides.upper < w2_squared(bump, moved)


def test_bounds_between_densities_close_like_the_square_of_the_width():
    """On T^1 and T^2, for either cost; on the circle the arcs' own solver lies between them."""
    rng = np.random.default_rng(12)
    for d, cells, sizes in ((1, 16, (4, 8, 16)), (2, 6, (4, 8))):
        torus = mf.Torus(d, 2.0)
        a, b = (mf.Density(m / m.sum(), mf.mesh(torus, cells)) for m in rng.random((2, cells**d)))
        for metric in ("geodesic", "extrinsic"):
            found = [bounds_densities(cut(a, r), cut(b, r), torus, metric) for r in sizes]
            assert fitted_order(sizes, [f.upper - f.lower for f in found]) == pytest.approx(
                -2, abs=0.15
            )
            assert max(f.lower for f in found) <= min(f.upper for f in found)
            if d == 1 and metric == "geodesic":
                assert (
                    max(f.lower for f in found) <= w2_squared(a, b) <= min(f.upper for f in found)
                )


@pytest.mark.parametrize("d", [1, 2])
def test_bounds_between_a_wide_and_a_narrow_cell_are_sharp(d):
    """Uncut, in either order: squares of sides h and k at distance D have D^2 + d (h - k)^2/12."""
    torus, h, k = mf.Torus(d, 2.0), 2 / 5, 2 / 300
    wide = mf.Density(np.eye(1, 5**d)[0], mf.mesh(torus, 5))
    narrow = mf.Density(np.eye(1, 300**d, 20)[0], mf.mesh(torus, 300))
    exact = (20 * k) ** 2 + d * (h - k) ** 2 / 12
    for pair in ((wide, narrow), (narrow, wide)):
        found = bounds_densities(*(cut(m, 1) for m in pair), torus, "geodesic")
        assert exact - 1.01 * d * h * k / 3 < found.lower < exact < found.upper
        assert found.upper < exact + 1.01 * d * h * k / 6


def test_chords_from_many_atoms_to_a_density_on_the_circle():
    circle, rng = mf.Torus(1, 1.0), np.random.default_rng(13)
    rho = circle_density(rng.random(24) * (rng.random(24) < 0.6), circle)
    atoms = weighted(circle, 200, rng)
    found = w2_details(atoms, rho, metric="extrinsic")
    steps = ((np.arange(60) + 0.5) / 60 - 0.5) / 24
    fine = mf.Measure((rho.points + steps).reshape(-1, 1), np.repeat(rho.masses / 60, 60), circle)
    program = w2_squared(atoms, fine, "discrete", "extrinsic")
    assert program == pytest.approx(found.squared, rel=1e-3)
    assert found.upper - found.lower < 3e-4 * found.upper and found.upper < w2_squared(atoms, rho)


@pytest.mark.parametrize("width", [1e-2, 1e-4, 1e-8])
@pytest.mark.parametrize("manifold", [mf.Torus(2), mf.Sphere(2), mf.Sphere(9)])
def test_atoms_close_together(manifold, width):
    rng = np.random.default_rng(3)
    centre = manifold.sample(1, rng)
    x, y = (manifold.retract(np.repeat(centre, 20, 0),
                             width * manifold.project(np.repeat(centre, 20, 0), v))
            for v in rng.standard_normal((2, 20, centre.shape[1])))  # fmt: skip
    cost = manifold.distance(x[:, None], y[None]) ** 2
    rows, columns = linear_sum_assignment(cost)
    wanted = np.sqrt(cost[rows, columns].mean())
    assert mf.w2(mf.Measure(x, None, manifold), mf.Measure(y, None, manifold)) == pytest.approx(
        wanted, rel=1e-9
    )


@pytest.mark.parametrize("manifold", [mf.Torus(2), mf.Sphere(2)])
def test_the_search_for_arcs_has_the_same_bits_for_any_number_of_threads(manifold, monkeypatch):
    rng = np.random.default_rng(5)
    x, y, v = manifold.sample(70, rng), manifold.sample(50, rng), 0.01 * rng.random(50)
    order, ground = sparse.tree_order(y), sparse.Ground(2, 1.0)
    if isinstance(manifold, mf.Torus):
        ground = sparse.Ground(0, manifold.period)
    found = []
    for threads in (1, 2, 16):
        monkeypatch.setattr(sparse, "threads_worth", lambda *_, threads=threads: threads)
        given = sparse.Points(y[order]), v[order], np.zeros(y.shape), ground, 3
        found.append(sparse.cheapest_arcs(x, *given))
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))
    nearest = (manifold.distance(x[:, None], y[None]) ** 2 - v).min(1)
    np.testing.assert_allclose(found[0][0][:, 0], nearest, rtol=1e-9)
