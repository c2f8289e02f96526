"""Semi-discrete transport on T^2 and S^2 against closed forms, linear programs and the circle."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.checks import NotConverged
from meanfield.meshes import quadrature_mesh
from meanfield.metrics import w2_details, w2_squared
from meanfield.metrics.w2.elements import bounds, bracket, cut, dual_bound, transport_by_elements
from meanfield.metrics.w2.laguerre_sphere import sphere_transport, voronoi
from meanfield.metrics.w2.laguerre_torus import torus_w2_squared
from meanfield.metrics.w2.newton import Laplacian, conjugate_gradients
from meanfield.metrics.w2.semidiscrete import joined
from meanfield.metrics.w2.sphere_diagram import rows
from tests.convergence import fitted_order

ONE = np.ones((5, 7))
T2, S2 = mf.Torus(2, 1.0), mf.Sphere(2)


def lumpy(shape, rng):
    return rng.random(shape) + 0.2


def torus_density(values, torus=T2):
    return mf.Density((values / values.sum()).ravel(), mf.mesh(torus, values.shape))


def sphere_density(tilt, cells):
    mesh = mf.mesh(S2, cells)
    m = (1 + mesh.nodes @ np.asarray(tilt)) * mesh.volumes
    return mf.Density(m / m.sum(), mesh)


def atoms(manifold, n, rng, power=1.0):
    m = rng.exponential(size=n) ** power
    return mf.Measure(manifold.sample(n, rng), m / m.sum(), manifold)


def test_one_atom_has_the_second_moment_of_the_square():
    assert torus_w2_squared(np.array([[0.3, 0.9]]), np.ones(1), ONE) == pytest.approx(
        1 / 6, rel=1e-14
    )


def test_a_lattice_of_atoms_has_squares_for_cells():
    """A lattice of n = k^2 atoms: squares of side 1/k, W2^2 = 1/(6 k^2)."""
    for k in (2, 5):
        x = np.stack(np.meshgrid(np.arange(k) / k, np.arange(k) / k), -1).reshape(-1, 2) + 0.01
        value = torus_w2_squared(x, np.full(k * k, 1 / k**2), ONE)
        assert value == pytest.approx(1 / (6 * k * k), rel=1e-12)


def test_torus_against_linear_programs_on_refined_grids():
    """Atoms at the nodes of grids refined 2^k times: h^2/6 too much, up to the next order."""
    rng = np.random.default_rng(1)
    mu, values = atoms(T2, 12, rng), lumpy((6, 6), rng)
    exact = w2_squared(mu, torus_density(values), method="semidiscrete")
    programs = []
    for r in (3, 9):
        # Cells are centred at nodes: an odd refinement keeps the cells' borders.
        fine = np.roll(np.repeat(np.repeat(values, r, 0), r, 1), -(r // 2), (0, 1))
        programs.append(w2_squared(mu, torus_density(fine), method="discrete"))
    coarse, fine = programs
    assert abs(fine - exact) < 0.2 * abs(coarse - exact)
    assert fine + (fine - coarse) / 8 == pytest.approx(exact, rel=2e-3)


def test_product_measures_are_solved_axis_by_axis():
    """Atoms on a tensor grid with product weights against a product density: the circles' W2^2 add
    up.
    """
    rng = np.random.default_rng(2)
    circle = mf.Torus(1, 1.0)
    sides, densities = [atoms(circle, n, rng) for n in (5, 4)], [lumpy(n, rng) for n in (8, 6)]
    points = np.stack(
        np.meshgrid(sides[0].points[:, 0], sides[1].points[:, 0], indexing="ij"), -1
    ).reshape(-1, 2)
    mu = mf.Measure(points, np.outer(sides[0].masses, sides[1].masses).ravel(), T2)
    value = w2_squared(mu, torus_density(np.outer(*densities)), method="semidiscrete")
    parts = [
        w2_squared(s, mf.Density(d / d.sum(), mf.mesh(circle, len(d))))
        for s, d in zip(sides, densities, strict=True)
    ]
    assert value == pytest.approx(sum(parts), rel=1e-11)


def test_torus_symmetries():
    rng = np.random.default_rng(3)
    mu, values = atoms(T2, 40, rng), lumpy((8, 8), rng)
    value = w2_squared(mu, torus_density(values))
    moved = mf.Measure(mu.points + np.array([3 / 8, -1 / 8]), mu.masses, T2)
    assert w2_squared(moved, torus_density(np.roll(values, (3, -1), (0, 1)))) == pytest.approx(
        value, rel=1e-12
    )
    swapped = mf.Measure(mu.points[::-1, ::-1], mu.masses[::-1], T2)
    assert w2_squared(torus_density(values.T), swapped) == pytest.approx(value, rel=1e-12)
    wide = mf.Torus(2, 3.0)
    scaled = w2_squared(mf.Measure(3 * mu.points, mu.masses, wide), torus_density(values, wide))
    assert scaled == pytest.approx(9 * value, rel=1e-12)
    halves = mf.Measure(np.repeat(mu.points, 2, 0), np.repeat(mu.masses / 2, 2), T2)
    assert w2_squared(halves, torus_density(values)) == pytest.approx(value, rel=1e-12)
    refined = np.roll(np.repeat(np.repeat(values, 3, 0), 3, 1), -1, (0, 1))
    assert w2_squared(mu, torus_density(refined)) == pytest.approx(value, rel=1e-11)


CASES = [
    "weights",
    "cluster",
    "two clusters",
    "half a hole",
    "islands",
    "one cell",
    "one cell, weights",
    "faint tail",
]


def hard(case, rng, n=150):
    values = np.ones((21, 21))
    x, m = rng.random((n, 2)), np.ones(n)
    if "weights" in case:
        m = np.exp(2 * rng.standard_normal(n))
    if case == "cluster":
        x = 0.01 * rng.standard_normal((n, 2)) % 1
    if case == "two clusters":
        x = np.array([[0.2, 0.2], [0.7, 0.7]])[rng.integers(0, 2, n)] + 1e-3 * rng.standard_normal(
            (n, 2)
        )
    if case == "half a hole":
        values[:10] = 0
    if case == "islands":
        values[:] = 0
        values[2:5, 2:5], values[12:14, 8:10] = 1, 2
    if "one cell" in case or case == "faint tail":
        values[:] = 1e-12 if case == "faint tail" else 0
        values[4, 17] = 1
    return mf.Measure(x, m / m.sum(), T2), torus_density(values)


@pytest.mark.parametrize("case", CASES)
def test_hard_cases_are_exact_and_between_bounds_from_elements(case):
    mu, density = hard(case, np.random.default_rng(4))
    exact = w2_details(mu, density)
    assert exact.method == "semidiscrete" and exact.exact and exact.residual <= 1e-10
    found = bracket(mu, density)
    assert found.lower - 1e-12 <= exact.squared <= found.upper + 1e-12
    assert found.upper - found.lower <= 0.03 * found.upper
    # |W2 - W2'| <= W2(density, its nodes) = h / sqrt 6, for the other solver's atoms at nodes.
    program = w2_squared(mu, density, method="discrete")
    assert abs(np.sqrt(exact.squared) - np.sqrt(program)) <= 1 / 21 / np.sqrt(6)


def test_one_cell_against_many_atoms_by_a_fine_sum():
    """A cell as 40^2 atoms by the dense solver: what the atoms lack is their cells' variance."""
    mu, density = hard("one cell", np.random.default_rng(10), 400)
    h = 1 / 21
    steps = h * ((np.arange(40) + 0.5) / 40 - 0.5)
    points = density.points[density.masses > 0] + np.stack(np.meshgrid(steps, steps), -1).reshape(
        -1, 2
    )
    program = w2_squared(mu, mf.Measure(points, None, T2), method="discrete")
    assert w2_squared(mu, density) == pytest.approx(program + (h / 40) ** 2 / 6, rel=2e-4)


def test_one_cell_and_one_atom():
    """The second moment of a square about a point: distance^2 and h^2/6."""
    density = torus_density(np.eye(1, 64).reshape(8, 8))
    mu = mf.Measure([[0.3, 0.2]], None, T2)
    assert w2_squared(mu, density) == pytest.approx(0.13 + 1 / 64 / 6, rel=1e-13)
    found = bracket(mu, density)
    assert found.lower == pytest.approx(found.upper, rel=1e-13) and found.upper == pytest.approx(
        0.13 + 1 / 384, rel=1e-13
    )


def test_one_atom_on_the_sphere_is_refused_by_cones_and_served_by_chords_and_elements():
    mu, even = mf.Measure([[0.0, 0.0, 1.0]], None, S2), mf.uniform(S2)
    with pytest.raises(NotConverged, match="hemisphere"):
        sphere_transport(mu.points, mu.masses, None, None)
    # E d^2 = int_0^pi r^2 sin r dr / 2 = (pi^2 - 4)/2
    exact = (np.pi**2 - 4) / 2
    assert w2_squared(mu, even) == pytest.approx(exact, rel=1e-14)
    found = transport_by_elements(mu, even, "geodesic")
    assert found.lower < exact == pytest.approx(found.upper, rel=1e-6)
    assert (
        found.squared == pytest.approx(exact, rel=2e-4)
        and found.upper - found.lower < 4e-4 * found.upper
    )


def test_octahedron_has_eight_triangles_for_faces():
    """Six atoms on the axes: cells are the cube's faces seen from within, E d^2 by a fine sum."""
    mu = mf.Measure(np.concatenate([np.eye(3), -np.eye(3)]), None, S2)
    k = 400
    t = (np.arange(k) + 0.5) / k * 2 - 1
    u, v = np.meshgrid(t, t)
    area, angle = (1 + u * u + v * v) ** -1.5, np.arctan(np.hypot(u, v))
    expected = (area * angle**2).sum() / area.sum()
    found = w2_squared(mu, mf.uniform(S2), method="semidiscrete")
    assert found == pytest.approx(expected, rel=1e-5)
    assert w2_squared(mu, mf.uniform(S2)) == pytest.approx(expected, rel=1e-4)


def test_bounds_on_the_sphere_close_like_the_square_of_the_width():
    """The log-cosine plan lies above the true optimum by what it was measured to, and the two sides
    meet in it.
    """
    rng = np.random.default_rng(5)
    even = mf.mesh(S2, 42).nodes + 0.05 * rng.standard_normal((42, 3))
    near = mf.Measure(even / np.linalg.norm(even, axis=1, keepdims=True), None, S2)
    for mu, tilt, excess in (
        (near, (0, 0, 0), 4e-4),
        (atoms(S2, 40, rng, 0.3), (0.5, 0, 0.3), 2e-3),
    ):
        density = sphere_density(tilt, 162)
        sides = [bounds(mu, cut(density, parts), "geodesic") for parts in (1, 2, 4)]
        widths = [s.upper - s.lower for s in sides]
        assert fitted_order([1, 2, 4], widths) == pytest.approx(-2, abs=0.2)
        # Nested: a plan may be refined, and so may what bounds it from below.
        low, high = max(s.lower for s in sides), min(s.upper for s in sides)
        uppers = [s.upper for s in sides]
        assert uppers == sorted(uppers, reverse=True) and low <= high
        truth = uppers[2] + (uppers[2] - uppers[1]) / 3
        assert low <= truth <= high
        found = w2_details(mu, density)
        assert found.method == "semidiscrete" and not found.exact and found.upper == found.squared
        assert found.lower <= high and low <= found.squared <= (1 + excess) * truth


def test_prices_of_the_other_cost_bound_from_below():
    """The dual value of any prices is no more than W2^2; with the optimal ones it comes near."""
    rng = np.random.default_rng(12)
    mu, density = atoms(S2, 20, rng, 0.3), sphere_density((0.3, 0, 0), 162)
    elements = cut(density, 3)
    best = bounds(mu, elements, "geodesic")
    for _ in range(5):
        other = best.prices + 0.02 * rng.standard_normal(20)
        assert dual_bound(mu, elements, other, "geodesic") < best.lower
    assert best.lower > 0.98 * best.upper


def test_a_density_on_a_quadrature_of_the_sphere_is_spread_over_voronoi_cells():
    """As exactly as the limit of ever more cells, whose error goes with their area."""
    mu, tilt, on = (
        atoms(S2, 60, np.random.default_rng(8), 0.5),
        (0.4, 0.1, 0.3),
        quadrature_mesh(18),
    )
    masses = (1 + on.nodes @ tilt) * on.volumes
    density, *cells = (
        mf.Density(masses / masses.sum(), on),
        *(sphere_density(tilt, n) for n in (642, 2562)),
    )
    for metric in ("geodesic", "extrinsic"):
        found, coarse, fine = (w2_squared(mu, m, metric=metric) for m in (density, *cells))
        assert found == pytest.approx((4 * fine - coarse) / 3, rel=1e-5)
        assert abs(coarse / found - 1) > 1e-4
    found = w2_details(mu, density)
    assert found.method == "semidiscrete" and 0 < found.lower <= found.squared
    assert mf.w2(density, density) < 1e-7 and mf.w2(density, cells[0]) < 0.1


def test_sphere_symmetries_and_the_mesh_route():
    rng = np.random.default_rng(6)
    mu, even = atoms(S2, 60, rng, 0.5), mf.uniform(S2)
    value = w2_squared(mu, even)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    assert w2_squared(mf.Measure(mu.points @ turn, mu.masses, S2), even) == pytest.approx(
        value, rel=1e-12
    )
    nodes, weights = even.mesh.nodes, even.masses
    assert sphere_transport(mu.points, mu.masses, voronoi(nodes), weights)[0] == pytest.approx(
        value, rel=1e-11
    )
    tilted = sphere_density((0.4, 0.1, 0), 642)
    turned, _ = sphere_transport(
        mu.points @ turn, mu.masses, voronoi(tilted.mesh.nodes @ turn), tilted.masses
    )
    assert turned == pytest.approx(w2_squared(mu, tilted), rel=1e-11)


@pytest.mark.parametrize("case", ["pole", "pole, weights", "one cell", "two caps", "hole"])
def test_hard_cases_on_the_sphere_lie_between_bounds(case):
    """Against the dense solver with 9 or more atoms a cell."""
    rng = np.random.default_rng(7)
    pole = rng.standard_normal((30, 3)) * 0.1 + [0, 0, 1]
    m = np.exp(2 * rng.standard_normal(30)) if "weights" in case else np.ones(30)
    mu = mf.Measure(pole / np.linalg.norm(pole, axis=1, keepdims=True), m / m.sum(), S2)
    mesh = mf.mesh(S2, 162)
    heights = 1 + 0.5 * mesh.nodes[:, 2]
    if case == "one cell":
        heights = np.eye(1, 162, 77)[0]
        mu = atoms(S2, 60, rng)
    if case == "two caps":
        heights = (np.abs(mesh.nodes[:, 0]) > 0.9).astype(float)
    if case == "hole":
        heights = (np.abs(mesh.nodes[:, 2]) < 0.9).astype(float)
    density = mf.Density(heights * mesh.volumes / (heights @ mesh.volumes), mesh)
    found = w2_details(mu, density)
    assert found.lower <= found.squared <= found.upper
    assert found.method == "semidiscrete" or found.upper - found.lower < 3e-3 * found.upper
    # Points of equal weight spread over the cells by their own rule: Fibonacci's.
    N = int(3000 * 4 * np.pi / mesh.volumes[heights > 0].sum())
    k = np.arange(N) + 0.5
    z, turn = 1 - 2 * k / N, np.pi * (1 + 5**0.5) * k
    points = np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], 1)
    cell = mesh.locate(points)
    chosen = np.flatnonzero(heights[cell] > 0)
    w = (density.masses / np.bincount(cell[chosen], minlength=162).clip(1))[cell[chosen]]
    program = w2_squared(mu, mf.Measure(points[chosen], w / w.sum(), S2), method="discrete")
    assert program == pytest.approx(found.squared, rel=4e-3)


@pytest.mark.parametrize("manifold", [T2, S2], ids=str)
def test_extrinsic_between_atoms_and_a_density(manifold):
    """Chords are no longer than arcs: the geodesic plan's cost bounds from above; the dense solver
    agrees.
    """
    rng = np.random.default_rng(13)
    mu = atoms(manifold, 25, rng)
    density = (
        torus_density(lumpy((6, 6), rng)) if manifold is T2 else sphere_density((0.5, 0, 0.2), 162)
    )
    found = w2_details(mu, density, metric="extrinsic")
    assert found.method == "elements" and found.upper - found.lower < 1e-2 * found.upper
    assert found.upper < w2_details(mu, density).upper
    fine = cut(density, 9 if manifold is T2 else 2)
    program = w2_squared(
        mu, mf.Measure(fine.points, fine.masses, manifold), method="discrete", metric="extrinsic"
    )
    assert program == pytest.approx(found.squared, rel=1e-2)
    sides = [bounds(mu, cut(density, parts), "extrinsic") for parts in (1, 2, 4)]
    assert fitted_order([1, 2, 4], [s.upper - s.lower for s in sides]) == pytest.approx(-2, abs=0.3)
    assert max(s.lower for s in sides) <= min(s.upper for s in sides)


def test_extrinsic_distances():
    rng = np.random.default_rng(8)
    for manifold in (S2, T2, mf.Torus(1, 2.0)):
        x, y = manifold.sample(1, rng), manifold.sample(1, rng)
        a, b = mf.Measure(x, None, manifold), mf.Measure(y, None, manifold)
        chord = np.sum((x - y) ** 2)
        if manifold is not S2:
            P = manifold.period
            chord = (
                np.sum(np.abs(np.exp(2j * np.pi * x / P) - np.exp(2j * np.pi * y / P)) ** 2)
                * (P / 2 / np.pi) ** 2
            )
        assert w2_squared(a, b, metric="extrinsic") == pytest.approx(chord, rel=1e-12)
    with pytest.raises(ValueError, match="extrinsic"):
        w2_squared(mf.uniform(S2), mf.uniform(S2), metric="extrinsic")


def test_bad_input():
    rng = np.random.default_rng(9)
    mu = atoms(T2, 5, rng)
    with pytest.raises(ValueError, match="method"):
        w2_squared(mu, mf.uniform(T2), method="best")
    with pytest.raises(ValueError, match="metric"):
        w2_squared(mu, mu, metric="taxi")
    with pytest.raises(ValueError, match="semidiscrete"):
        w2_squared(mu, mu, method="semidiscrete")


def test_conjugate_gradients_solve_a_path_by_running_sums():
    """Of 900 atoms, of condition 3e5."""
    n, rng = 900, np.random.default_rng(15)
    ahead = 0.5 + rng.random(n - 1)
    starts, columns, edge = rows(np.stack([np.arange(n - 1), np.arange(1, n)], 1), n)
    r = rng.standard_normal(n)
    r -= r.mean()
    exact = np.append(0.0, np.cumsum(-np.cumsum(r)[:-1] / ahead))
    d, left = conjugate_gradients(
        Laplacian(starts, columns, ahead[edge]), np.arange(n), r, 1e-12, 200
    )
    assert left <= 1e-12
    assert np.abs(d - d.mean() - exact + exact.mean()).max() < 1e-9 * np.ptp(exact)


def test_iterations_grow_like_the_fourth_root_of_the_atoms():
    """On squares of k x k atoms, from 400 to 6,400."""
    needed = []
    for k in (20, 40, 80):
        order = np.random.default_rng(k + 1).permutation(k * k)
        place = order.reshape(k, k)
        pairs = [(place[:-1], place[1:]), (place[:, :-1], place[:, 1:])]
        pairs = np.concatenate([np.stack([a.ravel(), b.ravel()], 1) for a, b in pairs])
        starts, columns, edge = rows(pairs, k * k)
        H = Laplacian(starts, columns, np.ones(len(pairs))[edge])
        r = np.random.default_rng(k).standard_normal(k * k)
        r -= r.mean()
        limits = (n for n in range(1, 400) if conjugate_gradients(H, order, r, 1e-8, n)[1] <= 1e-8)
        needed.append(next(limits))
        d, _ = conjugate_gradients(H, order, r, 1e-12, 400)
        at = np.repeat(np.arange(k * k), np.diff(starts))
        product = np.bincount(at, d[at] - d[columns])
        np.testing.assert_allclose(product, r, atol=1e-9)
    assert np.polyfit(np.log([400, 1600, 6400]), np.log(needed), 1)[0] < 0.35, needed
    assert needed[-1] < 80


@pytest.mark.parametrize("width", [0.0, 1e-15, 1e-12, 1e-9, 5e-8, 6.5e-8, 3e-7, 1e-5])
def test_atoms_that_nearly_meet_are_as_far_as_those_that_have_met(width):
    """Within bounds as narrow as they are near, and to the slope in their distance otherwise."""
    at, masses = np.array([[1.0, 1.0], [4.0, 2.0], [2.0, 5.0], [0.0, 3.0]]), [0.3, 0.1, 0.2, 0.4]
    beside = at + np.array([[1, 0], [0, 1], [-1, 1], [-1, 0]]) * width
    twins = np.concatenate([at, beside])
    torus = mf.Torus(2)
    density = torus_density(lumpy((12, 12), np.random.default_rng(3)), torus)
    met = w2_details(mf.Measure(at, masses, torus), density)
    found = w2_details(mf.Measure(twins, np.tile(masses, 2) / 2, torus), density)
    assert found.method == "semidiscrete"
    assert found.upper - found.lower <= 8 * np.sqrt(met.squared) * width + 1e-14
    assert found.lower <= found.squared <= found.upper
    assert abs(found.squared - met.squared) <= 4 * np.sqrt(met.squared) * width + 1e-12
    if width in (0.0, 1e-5):
        assert met.exact and found.exact


def test_nearby_atoms_are_joined_at_their_centre_of_mass():
    """In chains, across the end of the period, and to the bit as they are where none is near."""
    torus = mf.Torus(2)
    chain = np.array([[1.0, 2.0], [1.0 + 4e-8, 2.0], [1.0 + 8e-8, 2.0]])
    ends = np.array([[2 * np.pi - 1e-8, 6.0], [1e-8, 6.0]])
    masses = np.array([0.1, 0.2, 0.3, 0.1, 0.3])
    few, moved = joined(mf.Measure(np.concatenate([chain, ends]), masses, torus), 1e-8)
    order = np.argsort(few.points[:, 1])
    expected = [[1.0 + 8e-8 / 1.5, 2.0], [5e-9, 6.0]]
    gap = torus.difference(few.points[order], np.array(expected))
    np.testing.assert_allclose(gap, 0, atol=1e-15)
    np.testing.assert_allclose(few.masses[order], [0.6, 0.4], rtol=1e-15)
    variance = 0.6 * 5 / 9 * 16e-16 + 0.1 * 2.25e-16 + 0.3 * 0.25e-16
    assert moved == pytest.approx(np.sqrt(variance), rel=1e-6)
    apart = atoms(torus, 50, np.random.default_rng(2))
    assert joined(apart, 1e-8) == (apart, 0.0)


def test_thousands_of_atoms_at_a_few_places_are_joined_at_once():
    """A flow that has come to rest: their pairs alone would fill the memory."""
    rng, torus = np.random.default_rng(4), mf.Torus(2)
    at = torus.sample(4, rng)
    points = np.repeat(at, 50_000, axis=0) + 1e-10 * rng.standard_normal((200_000, 2))
    few, moved = joined(mf.Measure(points, None, torus), 1e-8)
    assert len(few) == 4 and moved == pytest.approx(2**0.5 * 1e-10, rel=0.01)
    same = mf.Measure(np.repeat(at, 50_000, axis=0), None, torus)
    assert joined(same, 1e-8) == (same, 0.0)
