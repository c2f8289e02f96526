"""W2 on S^2 where all atoms lie in one hemisphere: closed forms, linear programs, symmetry."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import meanfield as mf
from meanfield import cores
from meanfield.meshes import quadrature_mesh
from meanfield.metrics import w2_details, w2_squared
from meanfield.metrics.w2 import laguerre_chords, laguerre_sphere, semidiscrete
from meanfield.metrics.w2.elements import cut
from meanfield.metrics.w2.laguerre_chords import chord_transport, start
from meanfield.metrics.w2.laguerre_sphere import sphere_transport, voronoi

S2 = mf.Sphere(2)
POLE = (0.0, 0.0, 1.0)


def unit(x):
    x = np.asarray(x, dtype=float)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def bump(std, at=POLE, cells=642):
    mesh = mf.mesh(S2, cells)
    masses = np.exp(-0.5 * (S2.distance(mesh.nodes, unit(at)) / std) ** 2) * mesh.volumes
    return mf.Density(masses / masses.sum(), mesh)


def cloud(n, std, seed=0, at=POLE):
    rng = np.random.default_rng(seed)
    points, masses = unit(unit(at) + std * rng.standard_normal((n, 3))), rng.exponential(size=n)
    return mf.Measure(points, masses / masses.sum(), S2)


def by_chords(mu, density, turn=None):
    turn = np.eye(3) if turn is None else turn
    ground = voronoi(density.mesh.nodes @ turn)
    return chord_transport(mu.points @ turn, mu.masses, ground, density.masses)


def integral_of_squares(density, y):
    """E d(x, y)^2 by quadrature on triangles."""
    pieces = cut(density, 6)
    squares = S2.distance(pieces.samples, y) ** 2
    return float(pieces.masses @ (pieces.weights * squares).sum(1))


@pytest.mark.parametrize("at", [POLE, (0.3, 0, 1), (1, 0, 0), (0.1, 0.2, -1)])
def test_one_atom_is_the_integral_of_its_squared_distance(at):
    """Wherever it is, its own antipode included, and as often as it is given."""
    density, y = bump(0.3), unit(at)
    found = w2_details(mf.Measure(np.stack([y, y]), None, S2), density)
    assert found.method == "semidiscrete" and found.exact
    assert found.squared == pytest.approx(integral_of_squares(density, y), rel=1e-7)


def test_the_uniform_law_has_closed_forms():
    """One atom: (pi^2 - 4) / 2; n on the equator: lunes."""
    even = mf.uniform(S2)
    one = w2_details(mf.Measure([POLE], None, S2), even)
    assert one.squared == pytest.approx((np.pi**2 - 4) / 2, rel=1e-14) and one.exact
    two = chord_transport(np.array([POLE, (0, 0, -1.0)]), np.ones(2), None, None)
    assert two[0] == pytest.approx(np.pi - 2, rel=1e-13)
    for n in (2, 3, 8):
        turn = 2 * np.pi * np.arange(n) / n
        y = np.stack([np.cos(turn), np.sin(turn), 0 * turn], 1)
        upper, lower, _ = chord_transport(y, np.ones(n), None, None)
        polar, weights = np.polynomial.legendre.leggauss(60)
        z, angle = polar[:, None], np.pi / n * polar[None]
        d = np.arccos(np.sqrt(1 - z * z) * np.cos(angle))
        assert upper == pytest.approx(weights @ d**2 @ weights / 4, rel=1e-4)
        assert lower < upper


def ring(n, r):
    turn = 2 * np.pi * (np.arange(n) + 0.13) / n
    sines = np.stack([np.cos(turn), np.sin(turn)], 1) * np.sin(r)
    return mf.Measure(np.c_[sines, np.full(n, np.cos(r))], None, S2)


def test_rings_of_atoms_come_to_the_quantile_formula_along_meridians():
    """A density that depends on the latitude alone goes to one latitude along meridians."""
    density, r = bump(0.2, cells=2562), 0.35
    pieces = cut(density, 4)
    polar = S2.distance(pieces.samples, np.array(POLE))
    exact = float(pieces.masses @ (pieces.weights * (polar - r) ** 2).sum(1))
    found = w2_details(ring(40, r), density)
    assert found.method == "semidiscrete" and found.lower <= found.squared
    # Within sectors of angle 2 pi / 40, d^2 - (polar - r)^2 is about sin sin angle^2.
    wide = float(pieces.masses @ (pieces.weights * np.sin(polar) * np.sin(r)).sum(1))
    assert found.squared == pytest.approx(exact + wide * (np.pi / 40) ** 2 / 3, rel=1e-3)


@pytest.mark.parametrize(
    ("mu", "density"),
    [
        (cloud(12, 0.1), bump(0.1)),
        (cloud(8, 0.1, 1, (0.3, 0, 1)), bump(0.15)),
        (cloud(5, 0.01, 2, (0.1, 0.1, 1)), bump(0.2)),
        (cloud(30, 0.2, 3, (1, 0.3, 0.4)), bump(0.1, (1, 0.2, 0.3))),
        (cloud(2, 0.1, 4), bump(0.3)),
    ],
)
def test_narrow_bumps_agree_with_linear_programs(mu, density):
    """Nodes of a quadrature on triangles with geodesic costs, within both bounds."""
    found = w2_details(mu, density)
    assert found.method == "semidiscrete" and found.residual <= 1e-9
    pieces = cut(density, 4)
    masses = (pieces.masses[:, None] * pieces.weights).ravel()
    kept = masses > 1e-9 * masses.max()
    points, masses = pieces.samples.reshape(-1, 3)[kept], masses[kept]
    fine = mf.Measure(points, masses / masses.sum(), S2)
    program = w2_squared(mu, fine, method="discrete")
    assert found.squared == pytest.approx(program, rel=1e-3)
    assert found.lower <= program * (1 + 2e-4) and found.squared - found.lower < 0.01 * program


def test_bounds_and_answers_are_near_those_of_the_other_cost():
    """Squared chords are nearer to d^2 than -2 log cos d: the upper bound is lower."""
    rng = np.random.default_rng(1)
    mu = mf.Measure(S2.sample(60, rng), np.full(60, 1 / 60), S2)
    for density in (mf.uniform(S2), bump(1.5)):
        other = sphere_transport(mu.points, mu.masses, voronoi(density.mesh.nodes), density.masses)
        upper, lower, _ = by_chords(mu, density)
        assert lower < upper < other[0] and other[0] - upper < 2e-3 * upper
        assert upper - lower < 0.03 * upper


def test_symmetries_repeated_atoms_and_any_threads(monkeypatch):
    mu, density = cloud(40, 0.2), bump(0.2, (0.1, 0, 1))
    upper, lower, prices = by_chords(mu, density)
    turn, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((3, 3)))
    again = by_chords(mu, density, turn)
    assert again[:2] == pytest.approx((upper, lower), rel=1e-10)
    twice = mf.Measure(np.repeat(mu.points, 2, 0), np.repeat(mu.masses, 2) / 2, S2)
    found = by_chords(twice, density)
    assert found[:2] == pytest.approx((upper, lower), rel=1e-10)
    np.testing.assert_allclose(found[2] - found[2][0], np.repeat(prices - prices[0], 2), atol=1e-9)
    for module, name in (
        (laguerre_chords, "ATOMS"),
        (laguerre_chords, "ARCS"),
        (laguerre_sphere, "ARCS"),
    ):
        monkeypatch.setattr(module, name, 7)
    same = []
    for free in (1, 3):
        monkeypatch.setattr(cores, "free_cores", lambda free=free: free)
        same.append(by_chords(mu, density))
    assert same[0][:2] == same[1][:2]
    np.testing.assert_array_equal(same[0][2], same[1][2])


@pytest.mark.parametrize(
    "points",
    [
        [[0.1, 0, 1], [-0.1, 0, 1]],
        [[0.1, 0, 1], [-0.1, 0, 1], [0, 0, 1]],
        [[0.05 * i, 0.05 * j, 1] for i in range(-2, 3) for j in range(-2, 3)],
        [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], POLE],
        1e-5 * np.random.default_rng(0).standard_normal((6, 3)) + POLE,
    ],
    ids=["two", "on a great circle", "lattice", "closed half", "all within 1e-5"],
)
def test_atoms_in_special_places_are_no_different_from_those_beside(points):
    """Borders on the mesh's own planes of symmetry, corners of four cells, a flat hull."""
    density, y = bump(0.3), unit(points)
    turn, _ = np.linalg.qr(np.eye(3) + 1e-8 * np.random.default_rng(1).standard_normal((3, 3)))
    found = [
        by_chords(mf.Measure(x, None, S2), density)[0]
        for x in (y, y @ (turn * np.sign(np.diag(turn))))
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_a_thousand_atoms_and_holes_in_the_density():
    mu, density = cloud(1000, 0.1), bump(0.1, cells=2562)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = w2_details(mu, density)
    assert found.method == "semidiscrete" and found.squared - found.lower < 1e-3 * found.squared
    held = density.masses > 0.2 * density.masses.max()
    holes = mf.Density(held / held.sum(), density.mesh)
    upper, lower, _ = by_chords(cloud(20, 0.1, 3), holes)
    assert 0 < upper - lower < 5e-3 * upper


def test_far_mass_and_atoms_much_closer_than_the_density_are_left_to_elements():
    for mu in (cloud(20, 0.1, at=(1, 0, 0)), cloud(101, 0.01)):
        found = w2_details(mu, bump(0.1))
        assert found.method == "elements" and found.lower < found.squared < found.upper
    for few in (cloud(100, 0.01), cloud(20, 0.1)):
        assert w2_details(few, bump(0.1)).method == "semidiscrete"
    with pytest.warns(mf.UnderResolved, match="% high"):
        value = w2_squared(cloud(3, 0.3, at=(0.1, 0.2, -1)), bump(0.3), method="semidiscrete")
    assert 5 < value < 8
    with pytest.raises(mf.NotConverged, match="much closer"):
        semidiscrete._refuse(cloud(101, 0.01), bump(0.1), 0.2)


def test_first_potentials_lie_over_the_density():
    """Atoms' cells hold what is seen from v, which lies so that the middles agree."""
    mu, density = cloud(50, 0.1, at=(0.3, 0, 1)), bump(0.1)
    mean = laguerre_chords.centre(density.mesh.nodes, density.masses)
    y, b = mu.points, np.full(50, 0.02)
    psi, v = start(y, b, mean)
    owner = (density.mesh.nodes @ y.T + psi / 2).argmax(1)
    seen = unit(density.mesh.nodes - v)
    np.testing.assert_array_equal(owner, (seen @ y.T).argmax(1))
    shares = np.bincount(owner, density.masses, 50)
    away = np.bincount((density.mesh.nodes @ y.T).argmax(1), density.masses, 50)
    assert (shares > 1e-4).sum() > 1.5 * (away > 1e-4).sum()
    spread, far = start(y, b, np.zeros(3))
    assert np.sqrt(np.max(far @ far - (y @ far) ** 2)) <= 0.9 * (1 + 1e-12)
    assert spread.shape == (50,)


def test_densities_on_quadratures_are_taken_as_elsewhere():
    on = quadrature_mesh(24)
    masses = np.exp(8 * on.nodes[:, 2]) * on.volumes
    density = mf.Density(masses / masses.sum(), on)
    found = w2_details(cloud(30, 0.3), density)
    assert found.method == "semidiscrete" and found.squared - found.lower < 0.02 * found.squared


def test_the_lower_bound_is_that_of_jensen():
    """2 - 2 cos W2 is at least the least cost of chords, by a linear program between points."""
    mu, density = cloud(6, 0.2), bump(0.2)
    upper, lower, _ = by_chords(mu, density)
    pieces = cut(density, 4)
    fine = mf.Measure(pieces.points, pieces.masses, S2)
    chords = w2_squared(mu, fine, method="discrete", metric="extrinsic")
    assert 2 - 2 * np.cos(np.sqrt(lower)) == pytest.approx(chords, rel=1e-3) and lower < upper
