"""Meshes of S^1 and S^2: geometry against scipy's, orders of the Laplacian and of (7), mixed
spaces.
"""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import expm
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import eigsh
from scipy.spatial import SphericalVoronoi
from scipy.special import gamma, iv

import meanfield as mf
from meanfield.checks import UnderResolved
from meanfield.density.finite_volumes import FiniteVolumes
from meanfield.density.harmonics import Harmonics
from meanfield.games.bases import QuadraticBasis, TrigBasis
from meanfield.games.lowrank import LowRank, polynomial, polynomial_from, trigonometric
from meanfield.manifolds import Sphere, Torus
from meanfield.measures import Density, Measure, total_variation
from meanfield.meshes import circle_mesh, frequency, hopf_mesh, mesh, quadrature_mesh, sphere_mesh
from meanfield.start import Start, concentrated
from tests.convergence import fitted_order

S1, S2 = Sphere(1), Sphere(2)
LEVEL = 1e-4  # the seeds are fixed: a correct sampler fails none of these tests at this level


# -- geometry ----------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [1, 2, 3, 5, 8, 16, 100])
def test_cells_tile_the_sphere(m):
    on = sphere_mesh(m)
    assert len(on) == 10 * m * m + 2 and on.pairs.shape == (30 * m * m, 2)
    assert abs(on.volumes.sum() - 4 * np.pi) < 1e-12
    assert on.volumes.max() / on.volumes.min() < 1.25
    degrees = np.bincount(on.pairs.ravel())
    assert (degrees == 5).sum() == 12 and (degrees == 6).sum() == len(on) - 12
    assert np.abs(np.linalg.norm(on.nodes, axis=1) - 1).max() < 1e-15 * 4
    assert len(np.unique(np.sort(on.pairs, axis=1), axis=0)) == len(on.pairs)


@pytest.mark.parametrize("m", [3, 8])
def test_cells_are_those_of_another_voronoi_program(m):
    on = sphere_mesh(m)
    other = SphericalVoronoi(on.nodes)
    other.sort_vertices_of_regions()
    np.testing.assert_allclose(on.volumes, other.calculate_areas(), atol=1e-13)
    edges = {}
    for cell, region in enumerate(other.regions):
        for a, b in zip(region, np.roll(region, -1), strict=True):
            edges.setdefault((min(a, b), max(a, b)), []).append(cell)
    length = {
        tuple(sorted(cells)): float(S2.distance(other.vertices[a], other.vertices[b]))
        for (a, b), cells in edges.items()
    }
    assert length.keys() == {tuple(sorted(map(int, pair))) for pair in on.pairs}
    apart = S2.distance(*on.nodes[on.pairs.T])
    for pair, found in zip(on.pairs, on.transmissibilities * apart, strict=True):
        assert abs(found - length[tuple(sorted(map(int, pair)))]) < 1e-13
    reach = max(
        S2.distance(on.nodes[c], other.vertices[r]).max() for c, r in enumerate(other.regions)
    )
    assert abs(on.radius - reach) < 1e-11


@pytest.mark.parametrize("m", [2, 7])
def test_face_points_lie_on_both_cells_borders_and_on_the_geodesic(m):
    on = sphere_mesh(m)
    i, j = on.pairs.T
    near = S2.distance(on.faces, on.nodes[i])
    np.testing.assert_allclose(near, S2.distance(on.faces, on.nodes[j]), atol=1e-14)
    np.testing.assert_allclose(2 * near, S2.distance(on.nodes[i], on.nodes[j]), atol=1e-14)
    every = S2.distance(on.faces[:, None], on.nodes[None])
    assert (every.min(axis=1) > near - 1e-14).all()  # no third cell holds the point


def test_mesh_takes_the_nearest_frequency():
    assert [len(mesh(S2, n)) for n in (12, 100, 162, 642, 700, 2562)] == [
        12,
        92,
        162,
        642,
        642,
        2562,
    ]
    assert len(mesh(S2)) == 2562 and len(mesh(S1)) == 256 and len(mesh(S1, 7)) == 7
    assert frequency(10**5) == 100


def test_arcs_of_the_circle_are_the_torus_grid():
    round_, flat = circle_mesh(12), mesh(Torus(1), 12)
    np.testing.assert_allclose(
        round_.nodes, np.concatenate([np.cos(flat.nodes), np.sin(flat.nodes)], 1), atol=1e-15
    )
    np.testing.assert_allclose(
        round_.faces, np.concatenate([np.cos(flat.faces), np.sin(flat.faces)], 1), atol=1e-15
    )
    np.testing.assert_allclose(round_.volumes, flat.volumes, rtol=1e-15)
    np.testing.assert_allclose(round_.transmissibilities, flat.transmissibilities, rtol=1e-15)
    assert np.array_equal(round_.pairs, flat.pairs)


@pytest.mark.parametrize("cells", [11, 0, -5, 700.5, (32, 32), "many"])
def test_bad_cells_are_refused(cells):
    with pytest.raises((ValueError, TypeError), match="cells"):
        mesh(S2, cells)


def test_spheres_without_a_mesh_are_refused():
    with pytest.raises(ValueError, match="no mesh for"):
        mesh(Sphere(4))
    with pytest.raises(ValueError, match="m must be at least 1"):
        sphere_mesh(0)
    with pytest.raises(ValueError, match="cells"):
        mesh(S1, 2)


# -- drawing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [1, 4])
def test_draws_are_uniform_within_cells(m):
    """Twelve cells would show nodes, or caps for cells, in the heights, which are uniform on [-1,
    1].
    """
    on = sphere_mesh(m)
    drawn = Density(on.volumes / on.volumes.sum(), on).draw(20_000, np.random.default_rng(0))
    assert np.abs(np.linalg.norm(drawn, axis=1) - 1).max() < 1e-14
    for axis in np.eye(3)[:2], np.array([[0.48, 0.6, 0.64]]):
        for a in axis:
            assert stats.kstest((drawn @ a + 1) / 2, "uniform").pvalue > LEVEL


def test_draws_stay_in_their_cells_and_follow_the_masses():
    on = sphere_mesh(3)
    masses = np.random.default_rng(1).random(len(on))
    drawn = Density(masses / masses.sum(), on).draw(20_000, np.random.default_rng(2))
    counts = np.bincount(on.locate(drawn), minlength=len(on))
    assert stats.chisquare(counts, 20_000 * masses / masses.sum()).pvalue > LEVEL
    one = Density(np.eye(len(on))[7], on).draw(500, np.random.default_rng(3))
    assert (on.locate(one) == 7).all() and S2.distance(one, on.nodes[7]).max() > 0.8 * on.radius


def test_draws_between_parallels_are_uniform_within_cells():
    """Six parallels would show in the heights and angles, which are uniform."""
    on = quadrature_mesh(6)
    drawn = Density(on.volumes / on.volumes.sum(), on).draw(20_000, np.random.default_rng(0))
    assert np.abs(np.linalg.norm(drawn, axis=1) - 1).max() < 1e-14
    for a in (*np.eye(3), np.array([0.48, 0.6, 0.64])):
        assert stats.kstest((drawn @ a + 1) / 2, "uniform").pvalue > LEVEL
    masses = np.random.default_rng(1).random(len(on))
    drawn = Density(masses / masses.sum(), on).draw(20_000, np.random.default_rng(2))
    counts = np.bincount(on.locate(drawn), minlength=len(on))
    assert stats.chisquare(counts, 20_000 * masses / masses.sum()).pvalue > LEVEL


def test_a_density_of_few_degrees_is_the_same_on_every_mesh():
    """1 + x.a + x'Bx through its values on a quadrature, anywhere and on Voronoi cells."""
    f = lambda p: (1 + 0.3 * p[:, 2] + 0.5 * p[:, 0] * p[:, 1]) / (4 * np.pi)  # noqa: E731
    on = quadrature_mesh(5)
    mu, points = Density(f(on.nodes) * on.volumes, on), S2.sample(100, np.random.default_rng(3))
    np.testing.assert_allclose(mu.interpolated(points), f(points), rtol=1e-13)
    cells = sphere_mesh(8)
    masses = f(cells.nodes) * cells.volumes
    np.testing.assert_allclose(mu.on(cells).masses, masses / masses.sum(), rtol=1e-13)
    assert mu.on(quadrature_mesh(5)) is mu
    rough = Density(np.eye(len(on))[7], on)
    with pytest.warns(mf.UnderResolved, match="negative mass"):
        assert rough.on(cells).masses.min() == 0


def test_finite_volumes_take_icosahedral_cells_after_harmonics():
    """They start from what harmonics handed out, not on cells that shrink at the poles."""
    first = mf.solve(GAME, mf.Langevin(5.0), START, time=0.2, save_every=0.2)
    second = mf.solve(
        GAME, mf.Langevin(5.0), mf.Start(*first[-1]), time=0.1, save_every=0.1,
        engine="finite-volume", tol=1e-3,
    )  # fmt: skip
    assert second.x[0].mesh.same(mf.mesh(S2)) and first.x[-1].mesh.by_parallels
    for mu, nu in zip(first[-1], second[0], strict=True):
        assert np.abs(mu.integrate(lambda x: x) - nu.integrate(lambda x: x)).max() < 1e-4


def test_draws_on_the_circle_fill_the_arcs():
    drawn = mf.uniform(S1).draw(4000, np.random.default_rng(4))
    few = Density(np.ones(3) / 3, circle_mesh(3)).draw(4000, np.random.default_rng(5))
    for x in (drawn, few):
        assert (
            stats.kstest(np.arctan2(x[:, 1], x[:, 0]) / (2 * np.pi) + 0.5, "uniform").pvalue > LEVEL
        )


def test_the_uniform_law_has_its_default_mesh():
    u = mf.uniform(S2)
    assert len(u) == 2562 and abs(u.masses.sum() - 1) < 1e-14
    np.testing.assert_allclose(u.values, 1 / (4 * np.pi), rtol=1e-13)
    assert u.entropy() == pytest.approx(np.log(4 * np.pi), rel=1e-13)


# -- the Laplacian -----------------------------------------------------------------------------


@pytest.mark.parametrize("frequencies", [(4, 8, 16), (5, 11, 19)])
def test_eigenvalues_of_the_laplacian_at_order_two(frequencies):
    """l(l + 1) for l = 1, 2, 3, with multiplicities 3, 5, 7."""
    errors = []
    for m in frequencies:
        on = sphere_mesh(m)
        found = np.sort(eigsh(laplacian(on), k=16, sigma=-0.5, return_eigenvectors=False))
        assert abs(found[0]) < 1e-11
        errors.append(np.abs(found[1:] - np.repeat([2, 6, 12], [3, 5, 7])).max())
    assert -2.1 < fitted_order(frequencies, errors) < -1.9


def test_heat_on_the_sphere_at_order_two():
    """x_1 x_2 x_3 is a harmonic of degree 3: it decays as exp(-12 t / beta)."""
    game = mf.games.free(S2, S2)
    first = lambda p: 1 + 4 * p[:, 0] * p[:, 1] * p[:, 2]  # noqa: E731
    errors = []
    for m in (4, 8, 16):
        on = sphere_mesh(m)
        run = FiniteVolumes(
            game, mf.Langevin(4.0), Start(first, first).laws(S2, S2), (on, on), step=0.5
        )
        run.advance(0.5)
        decayed = 1 + 4 * np.exp(-12 * 0.5 / 4) * np.prod(on.nodes, axis=1)
        errors.append(np.abs(run.masses[0] / on.volumes - decayed / (4 * np.pi)) @ on.volumes)
    assert -2.1 < fitted_order((4, 8, 16), errors) < -1.9


def laplacian(on):
    """The symmetric form of the mesh's -Laplacian."""
    i, j = on.pairs.T
    root, T = np.sqrt(on.volumes), on.transmissibilities
    rows, cols = np.concatenate([i, j, i, j]), np.concatenate([i, j, j, i])
    return coo_matrix(
        (np.concatenate([T, T, -T, -T]) / (root[rows] * root[cols]), (rows, cols))
    ).tocsc()


def test_the_sphere_of_four_coordinates_at_order_two():
    """Volumes of S^3, and eigenvalues l(l + 2) of multiplicity (l + 1)^2, l = 1, 2."""
    S3, sizes, errors = Sphere(3), (3, 4, 6), []
    for m in sizes:
        on = hopf_mesh(m)
        assert len(on) == 16 * m**3 and abs(on.volumes.sum() - 2 * np.pi**2) < 1e-12
        for points in (on.nodes, on.faces):
            assert np.abs(np.linalg.norm(points, axis=1) - 1).max() < 1e-15 * 4
        found = np.sort(eigsh(laplacian(on), k=14, sigma=-0.5, return_eigenvectors=False))
        errors.append(np.abs(found[1:] - np.repeat([3, 8], [4, 9])).max())
        i, j = on.pairs.T
        a, b = (S3.distance(on.faces, on.nodes[k]) for k in (i, j))
        across = len(i) - 2 * len(on)  # faces in t lie between their nodes, others halfway
        assert np.abs(a - b)[across:].max() < 1e-14
        assert np.abs(a + b - S3.distance(on.nodes[i], on.nodes[j]))[:across].max() < 1e-14
    assert -2.2 < fitted_order(sizes, errors) < -1.8
    assert len(mesh(S3)) == 8192 and len(mesh(S3, 1000)) == 1024


@pytest.mark.parametrize("m", [3, 5])
def test_sums_over_the_sphere_of_four_coordinates_are_integrals_up_to_degree_4m_minus_1(m):
    """Of monomials: 2 prod Gamma((p_k + 1)/2) / Gamma(sum of these), 0 where a power is odd."""
    on, degrees = hopf_mesh(m), np.arange(4 * m + 1)
    off = np.zeros(4 * m + 1)
    for p in map(np.array, product(degrees, repeat=4)):
        if p.sum() <= 4 * m and not (p % 2).any():
            exact = 2 * np.prod(gamma((p + 1) / 2)) / gamma((p + 1).sum() / 2)
            off[p.sum()] = max(off[p.sum()], abs(on.volumes @ np.prod(on.nodes**p, axis=1) - exact))
    assert off[:-1].max() < 1e-13 < off[-1]
    for k in range(4):
        assert abs(on.volumes @ (on.nodes[:, k] * on.nodes[:, 0] ** (4 * m - 2))) < 1e-13


def test_gibbs_points_on_the_sphere_of_four_coordinates_are_exact():
    """y meets one cost, 0.5 y_1, whose Gibbs mean is that of von Mises and Fisher: I_2/I_1; few
    cells do, and samples of the density are uniform within them.
    """
    game = mf.games.expression("0.5*y1 - 0.2*x4", X=Sphere(3), Y=Sphere(3))
    for cells in (None, 2000):
        point = mf.gibbs(game, 5.0, cells=cells)
        for mu, kappa, k in ((point.x, 1.0, 3), (point.y, 2.5, 0)):
            mean = mu.masses @ mu.points
            assert abs(mean[k] - iv(2, kappa) / iv(1, kappa)) < 1e-14
            assert np.abs(np.delete(mean, k)).max() < 1e-15
    drawn = point.y.draw(20_000, np.random.default_rng(0))
    assert np.array_equal(point.y.mesh.locate(point.y.points), np.arange(len(point.y)))
    assert len(np.unique(drawn[:, 0])) == len(drawn)
    assert abs(drawn[:, 0].mean() - iv(2, 2.5) / iv(1, 2.5)) < 5 * drawn[:, 0].std() / 20_000**0.5


@pytest.mark.filterwarnings("ignore::meanfield.checks.UnderResolved")
def test_a_game_on_spheres_of_four_coordinates_keeps_mass_sign_and_gibbs():
    game, on = polynomial("a", dim=4), hopf_mesh(4)
    point = mf.gibbs(game, 1.0, cells=(on, on))
    run = volumes_run(game, 1.0, (on, on), 2.0, Start(point.x, point.y), tol=1e-3)
    for found, law in zip(run.measures(), (point.x, point.y), strict=True):
        assert total_variation(found, law) < 1e-11 and abs(found.masses.sum() - 1) < 1e-14


# -- equation (7) ------------------------------------------------------------------------------

GAME = mf.games.benchmark("sphere")
START = GAME.answers["start"]


def volumes_run(game, beta, cells, until, start=START, **options):
    made = FiniteVolumes(game, mf.Langevin(beta), start.laws(game.X, game.Y), cells, **options)
    made.advance(until)
    return made


@pytest.mark.filterwarnings("ignore::meanfield.checks.UnderResolved")
@pytest.mark.parametrize("weights", ["sg", "face", "sqrt"])
def test_order_two_against_spherical_harmonics_and_richardson(weights):
    exact = Harmonics(GAME, mf.Langevin(5.0), START.laws(S2, S2), tol=1e-9)
    exact.advance(1.0)
    nodal, errors = {}, []
    for m in (4, 8, 16):
        on = sphere_mesh(m)
        run = volumes_run(GAME, 5.0, (on, on), 1.0, tol=1e-6, weights=weights)
        nodal[m] = on, [run.masses[p] / on.volumes for p in (0, 1)]
        errors.append(
            max(np.abs(nodal[m][1][p] - exact.density(p, on.nodes)) @ on.volumes for p in (0, 1))
        )
    assert -2.2 < fitted_order((4, 8, 16), errors) < -1.8
    # The nodes of frequency 8 are nodes of frequency 16: what is of order two cancels.
    coarse, fine = nodal[8], nodal[16]
    same = fine[0].locate(coarse[0].nodes)
    assert S2.distance(fine[0].nodes[same], coarse[0].nodes).max() < 1e-14
    better = [(4 * fine[1][p][same] - coarse[1][p]) / 3 for p in (0, 1)]
    error = max(
        np.abs(better[p] - exact.density(p, coarse[0].nodes)) @ coarse[0].volumes for p in (0, 1)
    )
    assert error < 0.2 * errors[2]


@pytest.mark.filterwarnings("ignore::meanfield.checks.UnderResolved")
@pytest.mark.parametrize("kind", ["a", "b"])
def test_the_papers_games_keep_mass_sign_and_gibbs(kind):
    game, beta, on = polynomial(kind, seed=1), 2.0, mesh(S2, 642)
    atoms = Start(Measure([[0.0, 0.6, 0.8]], None, S2), Measure([[1.0, 0.0, 0.0]], None, S2))
    run = volumes_run(game, beta, (on, on), 3.0, atoms, step=1.0)
    for m in run.masses:
        assert m.min() >= 0 and abs(m.sum() - 1) < 1e-14
    point = mf.gibbs(game, beta, cells=(on, on))
    still = volumes_run(game, beta, (on, on), 5.0, Start(point.x, point.y), tol=1e-4)
    for found, law in zip(still.measures(), (point.x, point.y), strict=True):
        assert total_variation(found, law) < 1e-11


def test_an_icosahedral_symmetry_turns_the_run():
    """The coordinates' cyclic shift maps the mesh to itself."""
    on = sphere_mesh(6)
    turned = on.locate(np.roll(on.nodes, 1, axis=1))
    assert np.abs(on.nodes[turned] - np.roll(on.nodes, 1, axis=1)).max() < 1e-14
    Q = np.roll(np.eye(3), 1, axis=0)  # (x_1, x_2, x_3) -> (x_3, x_1, x_2)
    assert np.array_equal(np.roll(np.arange(3.0), 1), Q @ np.arange(3.0))
    B, A, a, b = (
        np.diag([0.5, -0.2, 0.1]),
        np.arange(9.0).reshape(3, 3) / 9,
        np.array([0.3, 0, 0.2]),
        np.ones(3) / 4,
    )
    plain = volumes_run(polynomial_from(B, A, 0, 0, a, b), 5.0, (on, on), 1.0, step=0.1)
    other = volumes_run(
        polynomial_from(Q @ B @ Q.T, Q @ A @ Q.T, 0, 0, Q @ a, Q @ b), 5.0, (on, on), 1.0,
        Start(lambda p: 1 + 0.5 * p[:, 0], lambda p: 1 + 0.5 * p[:, 1]), step=0.1,
    )  # fmt: skip
    for m, n in zip(plain.masses, other.masses, strict=True):
        np.testing.assert_allclose(n[turned], m, atol=1e-13)


def test_games_on_round_circles_are_games_on_flat_ones():
    """a'x + x'Ay + b'y on S^1 x S^1 against the same in angles."""
    A, a, b = np.array([[0.8, -0.3], [0.2, 0.5]]), np.array([0.4, 0.1]), np.array([0.0, 0.6])
    terms = [((1,), (0,), a[0], -a[1]), ((0,), (1,), b[0], -b[1])]
    for sign in (1, -1):  # x'Ay by cos(x - y), cos(x + y), sin(x - y), sin(x + y)
        even = (A[0, 0] - sign * A[1, 1]) / 2
        odd = (sign * A[0, 1] + A[1, 0]) / 2
        terms.append(((1,), (sign,), even, -odd))
    bump = lambda p: 1 + 0.5 * p[:, 0]  # noqa: E731
    flat_bump = lambda p: 1 + 0.5 * np.cos(p[:, 0])  # noqa: E731
    round_ = volumes_run(
        polynomial_from(0, A, 0, 0, a, b), 6.0, (48, 48), 1.5, Start(bump, bump), step=0.1
    )
    flat = volumes_run(
        trigonometric(terms), 6.0, (48, 48), 1.5, Start(flat_bump, flat_bump), step=0.1
    )
    for m, n in zip(round_.masses, flat.masses, strict=True):
        np.testing.assert_allclose(m, n, atol=1e-13)
    assert np.abs(flat.masses[0] - flat.masses[1]).sum() > 0.1


def product_game(strength, Y):
    """strength x_3 cos y_1 with x on S^2 and y on a torus, or strength x_3 y_1 with y on S^1."""
    x = QuadraticBasis(S2, np.zeros((3, 3)))
    y = (
        TrigBasis(Y, np.eye(Y.d)[:1])
        if isinstance(Y, Torus)
        else QuadraticBasis(Y, np.zeros((2, 2)))
    )
    C = np.zeros((x.size, y.size))
    C[3, 0 if isinstance(Y, Torus) else 1] = strength
    return LowRank(x, y, C)


@pytest.mark.parametrize(("Y", "cells"), [(Torus(1), 64), (Torus(2), (64, 4)), (S1, 64)], ids=str)
def test_a_sphere_against_a_torus_or_a_circle(Y, cells):
    """Near the uniform laws a = E x_3 and c = E cos y_1 obey a' = -2 a/beta - (2/3) A c, c' =
    -c/beta + (1/2) A a.
    """
    A, beta, eps, until = 1.5, 3.0, 1e-5, 1.5
    first = Start(lambda p: 1 + eps * p[:, 2], lambda p: 1 + 0 * p[:, 0])
    exact = expm(until * np.array([[-2 / beta, -2 * A / 3], [A / 2, -1 / beta]])) @ [eps / 3, 0.0]
    errors = []
    for m in (6, 12, 24):
        on = sphere_mesh(m)
        run = volumes_run(
            product_game(A, Y), beta, (on, cells), until, first, step=0.05, weights="face"
        )
        y = run.meshes[1].nodes[:, 0]
        seen = [
            run.masses[0] @ on.nodes[:, 2],
            run.masses[1] @ (np.cos(y) if isinstance(Y, Torus) else y),
        ]
        errors.append(np.abs(np.array(seen) - exact).max() / eps)
    assert errors[-1] < 1e-3 and errors[-1] < errors[0] / 3
    assert np.abs(exact[1]) > 0.05 * eps


def test_mixed_spaces_by_formula_agree_with_their_bases():
    by_formula = mf.games.expression("1.5*x3*cos(y1)", S2, Torus(1))
    start = Start(concentrated((0.0, 0.6, 0.8), std=1.0), concentrated(1.0, std=1.0))
    plain = volumes_run(product_game(1.5, Torus(1)), 2.0, (642, 32), 0.5, start, step=0.1)
    other = volumes_run(by_formula, 2.0, (642, 32), 0.5, start, step=0.1)
    for m, n in zip(plain.masses, other.masses, strict=True):
        np.testing.assert_allclose(m, n, atol=1e-13)


def test_coarse_spheres_are_said_to_be_coarse():
    with pytest.warns(UnderResolved, match="over a face"):
        volumes_run(GAME, 60.0, (42, 42), 0.01)


def test_a_torus_of_three_angles_is_a_mesh_like_any_other():
    """Heat on T^3: mode k decays as exp(-|k|^2 t/beta), |k|^2 as the mesh has it."""
    T3 = Torus(3)
    first = lambda p: 1 + 0.5 * np.cos(p[:, 0] + p[:, 1] - p[:, 2])  # noqa: E731
    run = volumes_run(
        mf.games.free(T3, Torus(1)), 2.0, ((8, 10, 12), 8), 0.4, Start(first, "uniform"), step=0.4
    )
    wave = np.exp(-1j * run.meshes[0].nodes @ [1, 1, -1])
    decay = sum((np.sin(np.pi / n) * n / np.pi) ** 2 for n in (8, 10, 12))
    assert abs(run.masses[0] @ wave - 0.25 * np.exp(-decay * 0.4 / 2)) < 1e-14
