"""Rates in detailed balance, exponentials by uniformisation, and the order fit itself."""

import mpmath
import numpy as np
import pytest
from scipy.linalg import eigvalsh, expm
from scipy.stats import poisson as poisson_law

from meanfield.density.commutator_free import STAGES, cubic, gauss_mixed, share
from meanfield.density.rates import WEIGHTS, FaceRates, generate
from meanfield.density.uniformisation import Exponential, mass, poisson
from meanfield.flows import Rates
from meanfield.manifolds import Torus
from meanfield.meshes import Mesh, mesh
from tests.convergence import fitted_order


def graph(cells=12, extra=9, seed=0):
    """A connected random mesh without a grid: a ring and some chords, uneven volumes and
    transmissibilities.
    """
    rng = np.random.default_rng(seed)
    ring = np.stack([np.arange(cells), np.roll(np.arange(cells), -1)], 1)
    far = {tuple(sorted(rng.choice(cells, 2, replace=False))) for _ in range(extra)}
    chords = [c for c in far if (c[1] - c[0]) not in (1, cells - 1)]
    pairs = np.concatenate([ring, np.array(chords)]).astype(np.int64)
    nodes = rng.random((cells, 1))
    return Mesh(
        Torus(1),
        nodes,
        rng.random(cells) + 0.2,
        pairs,
        rng.random(len(pairs)) + 0.1,
        rng.random((len(pairs), 1)),
    )


def matrix(on, jump):
    """The generator as a dense matrix, from its definition dm_i = sum_j (k_ji m_j - k_ij m_i)."""
    A = np.zeros((len(on), len(on)))
    for f, (i, j) in enumerate(on.pairs):
        A[j, i] += jump[0, f]
        A[i, i] -= jump[0, f]
        A[i, j] += jump[1, f]
        A[j, j] -= jump[1, f]
    return A


MESHES = [mesh(Torus(1), 3), mesh(Torus(1), 17), mesh(Torus(2), (4, 5)), mesh(Torus(2), (5, 3)),
          mesh(Torus(3), (3, 4, 3)), graph()]  # fmt: skip


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("on", MESHES, ids=repr)
def test_detailed_balance_conservation_and_sign(weights, on):
    rng = np.random.default_rng(1)
    U, at_faces = 3 * rng.standard_normal((1, len(on))), 3 * rng.standard_normal((1, len(on.pairs)))
    r = FaceRates(on, Rates(0.7, 0.0, 0.4), weights)
    jumps, peclet = r(U, at_faces)
    i, j = on.pairs.T
    gibbs = on.volumes * np.exp(-U[0] / 0.4)
    assert (jumps >= 0).all()
    np.testing.assert_allclose(gibbs[i] * jumps[0, 0], gibbs[j] * jumps[0, 1], rtol=1e-12)
    assert peclet == pytest.approx(np.abs(U[0, j] - U[0, i]).max() / 0.4, rel=1e-14)
    m = rng.random(len(on))
    change, _ = r.flow(U, at_faces, m)
    np.testing.assert_allclose(change, matrix(on, jumps[0]) @ m, atol=1e-12 * np.abs(jumps).max())
    assert abs(change.sum()) <= 1e-13 * np.abs(change).sum()


@pytest.mark.parametrize("weights", WEIGHTS)
def test_without_costs_every_weight_is_diffusion(weights):
    on = mesh(Torus(2), (6, 8))
    jumps, _ = FaceRates(on, Rates(2.0, 0.0, 0.5), weights)(np.zeros((1, 48)), np.zeros((1, 96)))
    np.testing.assert_allclose(
        jumps[0], np.tile(on.transmissibilities / on.volumes[0], (2, 1)), rtol=1e-15
    )


def test_scharfetter_gummel_is_upwind_at_large_differences_and_smooth_at_small_ones():
    on = mesh(Torus(1), 4)
    h = np.pi / 2
    r = FaceRates(on, Rates(1.0, 0.0, 1e-4), "sg")
    jumps, _ = r(np.array([[0.0, 1.0, 2.0, 1.0]]), np.empty((1, 0)))
    np.testing.assert_allclose(
        jumps[0, :, 0], [0.0, 1 / h**2], atol=1e-12
    )  # downhill at speed |dU|/h, nothing uphill
    warm = FaceRates(on, Rates(1.0, 0.0, 1.0), "sg")
    for z in (1e-300, 1e-12, 1e-6, 1e-3):
        jumps, _ = warm(np.array([[0.0, z, 0.0, 0.0]]), np.empty((1, 0)))
        assert jumps[0, 0, 0] * h**2 == pytest.approx(1 - z / 2 + z**2 / 12, rel=1e-14)


def straight_pieces(here, face, there):
    """The weights of "curved" to 40 digits: 1 / mean exp(U - U_i) over both straight pieces."""
    middle = (8 * mpmath.mpf(face) - here - there) / 6

    def mean(a, b):
        return mpmath.exp(a) if a == b else (mpmath.exp(b) - mpmath.exp(a)) / (b - a)

    whole = (mean(mpmath.mpf(here), middle) + mean(middle, mpmath.mpf(there))) / 2
    return mpmath.exp(here) / whole, mpmath.exp(there) / whole


@pytest.mark.parametrize("size", [1e-12, 1e-3, 1.0, 30.0, 1000.0])
def test_curved_weights_are_means_over_straight_pieces(size):
    on, rng = mesh(Torus(1), 200), np.random.default_rng(4)
    U, faces = size * rng.standard_normal((2, 1, 200))
    U[0, :2] = faces[0, 0] = size  # flat
    r = FaceRates(on, Rates(1.0, 0.0, 1.0), "curved")
    jumps, _ = r(U, faces)
    with mpmath.workdps(40):
        for f, (i, j) in enumerate(on.pairs):
            exact = straight_pieces(U[0, i], faces[0, f], U[0, j])
            for found, scale, w in zip(jumps[0, :, f], r.scales, exact, strict=True):
                # Costs are rounded before differences are taken, and e^-700 stands for less.
                assert found / scale[f] == pytest.approx(
                    float(w), rel=2e-15 * (1 + size), abs=1e-300
                )


def test_curved_weights_are_those_of_scharfetter_and_gummel_where_costs_are_straight():
    on, U = mesh(Torus(1), 50), 3 * np.random.default_rng(5).standard_normal((1, 50))
    middles = 0.5 * (U[:, on.pairs[:, 0]] + U[:, on.pairs[:, 1]])
    curved, straight = (FaceRates(on, Rates(1.0, 0.0, 0.7), w)(U, middles)[0] for w in WEIGHTS[:2])
    np.testing.assert_allclose(curved, straight, rtol=4e-15)


def slow_rate(weights, cells):
    """The rate at which two wells exchange mass, as the generator has it."""
    on = mesh(Torus(1), cells)
    U, faces = (
        (0.5 * np.cos(2 * x) + 0.2 * np.cos(x + 0.3))[None]
        for x in (on.nodes[:, 0], on.faces[:, 0])
    )
    jumps, _ = FaceRates(on, Rates(1.0, 0.0, 0.1), weights)(U, faces)
    root = np.exp(-5 * U[0])
    A = matrix(on, jumps[0]) * root / root[:, None]  # symmetric
    return eigvalsh(0.5 * (A + A.T), subset_by_index=(cells - 2, cells - 2))[0]


@pytest.mark.parametrize("weights", WEIGHTS)
def test_wells_exchange_mass_at_the_right_rate_to_fourth_order_by_curved_weights(weights):
    """All others err by the second."""
    exact = slow_rate("curved", 1024)
    cells = np.array([32, 64, 128])
    errors = []
    for n in cells:
        common = (2 * np.pi / n) ** 2 / 12 * exact**2 / 0.1  # A + h^2/(12 T) A^2
        errors.append(abs(slow_rate(weights, n) - exact - common))
    order = -fitted_order(cells, errors)
    assert 3.8 < order < 4.6 if weights == "curved" else 1.9 < order < 2.2


@pytest.mark.parametrize("q", [1e-9, 0.3, 1.0, 7.5, 50.0, 4000.25, 3e6])
def test_poisson_weights(q):
    low, w = poisson(q)
    k = low + np.arange(len(w))
    near = w > 1e-12 * w.max()
    # scipy's own values come from logarithms of size q log q, which leaves them 1e-8 at q = 3e6
    np.testing.assert_allclose(w[near], poisson_law.pmf(k[near], q), rtol=1e-11 + 1e-14 * q)
    assert w @ (k - q) == pytest.approx(0, abs=1e-12 * q)
    assert w @ (k - q) ** 2 == pytest.approx(q, rel=1e-10)
    assert abs(w.sum() - 1) < 1e-14
    assert poisson_law.sf(k[-1], q) + poisson_law.cdf(low - 1, q) < 1e-15


@pytest.mark.parametrize("duration", [0.0, 1e-3, 0.5, 20.0, 500.0])
@pytest.mark.parametrize("on", MESHES, ids=repr)
def test_uniformisation_against_expm(on, duration):
    rng = np.random.default_rng(2)
    jump = (
        duration * rng.random((2, len(on.pairs))) * 10.0 ** rng.uniform(-2, 1, (2, len(on.pairs)))
    )
    m = rng.random(len(on))
    m /= m.sum()
    new, error = Exponential(on)(jump, m)
    np.testing.assert_allclose(new, expm(matrix(on, jump)) @ m, atol=1e-12)
    assert (new >= 0).all() and abs(mass(new) - mass(m)) <= 4.5e-16 and error < 1e-12


@pytest.mark.parametrize("on", MESHES, ids=repr)
def test_one_cell_stays_nonnegative_with_exact_mass(on):
    jump = np.random.default_rng(3).random((2, len(on.pairs))) * 300
    m = np.zeros(len(on))
    m[1] = 1.0
    for scale in (1e-6, 1e-2, 1.0, 100.0):
        new, _ = Exponential(on)(scale * jump, m)
        assert new.min() >= 0 and abs(mass(new) - 1) <= 4.5e-16
    still, error = Exponential(on)(0 * jump, m)
    assert (still == m).all() and error == 0


@pytest.mark.parametrize(
    "shape", [(7, 9), (2500,), (33, 70), (3, 1100), (5, 13, 41)], ids=lambda shape: f"{len(shape)}d"
)
def test_a_grid_and_its_neighbour_table_agree(shape):
    """Where cells are one block, or several, of which few or many meet a seam."""
    grid = mesh(Torus(len(shape)), shape)
    loose = Mesh(
        grid.manifold,
        grid.nodes,
        grid.volumes,
        grid.pairs,
        grid.transmissibilities,
        grid.faces,
        None,
    )
    jump = np.random.default_rng(4).random((2, len(grid.pairs))) * 8
    m = 1 + np.random.default_rng(5).random(len(grid))
    m /= m.sum()
    one, other = Exponential(grid), Exponential(loose)
    assert one.shape is not None and other.shape is None
    np.testing.assert_allclose(one(jump, m)[0], other(jump, m)[0], rtol=1e-13)


def test_mixed_rates_lose_their_sign_at_7_plus_4_root_3():
    limit = 7 + 4 * np.sqrt(3)
    for factor, good in ((0.999 * limit, True), (1.001 * limit, False)):
        jumps = np.ones((2, 2, 3))
        jumps[1, 1, 2] = factor
        early, late, least = gauss_mixed(jumps, 2.0)
        assert (least >= 0) == good
        np.testing.assert_allclose(early + late, jumps.sum(0), rtol=1e-14)  # dt/2 (k1 + k2) in all


@pytest.mark.parametrize("ratio", [0.3, 1.0, 4.0])
def test_moments_of_fourth_degree_miss_their_share(ratio):
    """t^4 from its values and slopes at 1 and 1 + h on to 1 + h + h/ratio."""
    h = 0.5
    a, b = (np.array([[t**4, 4 * t**3]]) for t in (1.0, 1.0 + h))
    t = 1 + h + h / ratio * STAGES
    early, late, end = t**4 - cubic.py_func(a, b, h, 1 + STAGES / ratio)[0]
    assert (early + late) / 2 == pytest.approx(share(ratio) * end, rel=1e-10)


def test_refuses_rates_without_bound():
    on = mesh(Torus(1), 8)
    m = np.full(8, 1 / 8)
    for bad in (np.inf, np.nan, 1e12):
        with pytest.raises(ValueError, match="weights"):
            Exponential(on)(np.full((2, 8), bad), m)


def test_generator_is_exact_on_a_flux():
    on = mesh(Torus(1), 3)
    jump = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    m = np.array([1.0, 10.0, 100.0])
    # fluxes 0->1: 1 - 40, 1->2: 20 - 500, 2->0: 300 - 6
    assert generate(jump, on.pairs[:, 0].copy(), on.pairs[:, 1].copy(), m).tolist() == [
        39 + 294,
        -39 + 480,
        -480 - 294,
    ]


def test_fitted_order():
    h = np.array([0.1, 0.05, 0.025])
    assert fitted_order(h, 3 * h**4) == pytest.approx(4, abs=1e-12)
    assert fitted_order([10, 100], [1e-1, 1e-3]) == pytest.approx(-2, abs=1e-12)
    for sizes, errors in (([1], [1]), ([1, 2], [0, 1]), ([1, 2], [np.nan, 1]), ([1, 2], [1, 2, 3])):
        with pytest.raises(ValueError):
            fitted_order(sizes, errors)
