"""Measures, densities and starts: what they refuse, what they conserve, the laws they draw from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from scipy.special import i0e, i1e

import meanfield as mf
from meanfield.checks import UnderResolved
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Density, Measure, density_on, mixture, total_variation, uniform
from meanfield.meshes import Mesh, mesh
from meanfield.start import Start, concentrated, law

CIRCLE, TORUS, SPHERE = Torus(1), Torus(2), Sphere(2)
LEVEL = 1e-4  # the seeds are fixed: a correct sampler fails none of these tests at this level


def points(manifold: Manifold, n: int = 7, seed: int = 0) -> np.ndarray:
    return manifold.sample(n, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("at", "masses", "manifold", "error", "says"),
    [
        ([0.1, 0.2], None, CIRCLE, ValueError, r"points must have shape \(any, 1\), got \(2,\)"),
        ([[0.1, 0.2]], None, CIRCLE, ValueError, "points must have shape"),
        ([[0.1], [np.nan]], None, CIRCLE, ValueError, r"points\[1, 0\] is nan"),
        ([[0.1], [np.inf]], None, CIRCLE, ValueError, "finite"),
        ([["a"]], None, CIRCLE, TypeError, "points must be an array of real numbers"),
        (np.empty((0, 1)), None, CIRCLE, ValueError, "empty"),
        ([[0.1], [0.2]], [1.0], CIRCLE, ValueError, r"masses must have shape \(2\)"),
        ([[0.1], [0.2]], [[0.5, 0.5]], CIRCLE, ValueError, "masses must have shape"),
        ([[0.1], [0.2]], [1.5, -0.5], CIRCLE, ValueError, r"masses\[1\] is -0.5"),
        ([[0.1], [0.2]], [0.5, np.nan], CIRCLE, ValueError, r"masses\[1\] is nan"),
        ([[0.1], [0.2]], [0.5, 0.6], CIRCLE, ValueError, "masses sum to 1.1"),
        ([[0.1], [0.2]], [0.5, 0.5 + 2e-8], CIRCLE, ValueError, "masses sum to"),
        ([[1.0, 1.0, 0.0]], None, SPHERE, ValueError, r"points\[0\] has norm 1.41421"),
        ([[1.0, 0.0, 0.0]], None, "sphere", TypeError, "manifold"),
    ],
)
def test_bad_measures_are_refused(
    at: object, masses: object, manifold: object, error: type, says: str
) -> None:
    with pytest.raises(error, match=says):
        Measure(at, masses, manifold)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("masses", "says"),
    [
        (np.ones(8), "masses sum to 8"),
        (np.ones(7) / 7, r"masses must have shape \(8\), got \(7,\)"),
        (np.array([-1e-3, 1e-3, 1, 0, 0, 0, 0, 0]), r"masses\[0\] is -0.001"),
        (np.full(8, np.nan), r"masses\[0\] is nan"),
    ],
)
def test_bad_densities_are_refused(masses: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Density(masses, mesh(CIRCLE, 8))


def test_measures_keep_what_they_are_given() -> None:
    mu = Measure([[-0.5], [7.0]], [0.25, 0.75], CIRCLE)
    assert np.allclose(mu.points[:, 0], [2 * np.pi - 0.5, 7.0 - 2 * np.pi], rtol=0, atol=1e-15)
    assert mu.masses.tolist() == [0.25, 0.75]
    assert len(mu) == 2
    assert Measure(points(SPHERE, 4), None, SPHERE).masses.tolist() == [0.25] * 4


def test_integrate_takes_functions_and_values() -> None:
    mu = Measure([[0.0], [np.pi / 2]], [0.25, 0.75], CIRCLE)
    assert mu.integrate(lambda x: np.sin(x[:, 0])) == pytest.approx(0.75, abs=1e-15)
    assert np.allclose(
        mu.integrate(np.array([[1.0, 2.0], [3.0, 4.0]])), [2.5, 3.5], rtol=0, atol=1e-15
    )


@pytest.mark.parametrize(("manifold", "cells"), [(CIRCLE, 16), (TORUS, (5, 8))])
def test_deposit_keeps_mass_and_cells(manifold: Manifold, cells: object) -> None:
    onto = mesh(manifold, cells)  # type: ignore[arg-type]
    w = np.random.default_rng(1).random(500)
    mu = Measure(points(manifold, 500), w / w.sum(), manifold)
    held = mu.deposit(onto)
    assert abs(held.masses.sum() - 1) < 1e-12
    by_hand = np.zeros(len(onto))
    for x, m in zip(mu.points, mu.masses, strict=True):
        by_hand[np.argmin(manifold.distance(x[None], onto.nodes))] += m
    assert np.allclose(held.masses, by_hand, rtol=0, atol=1e-14)
    # Deposition of a density's own nodes gives it back.
    assert np.array_equal(held.deposit(onto).masses, held.masses)


def test_manifolds_must_match() -> None:
    mu = Measure(points(CIRCLE), None, CIRCLE)
    with pytest.raises(ValueError, match="different manifolds"):
        mu.deposit(mesh(TORUS, 4))
    with pytest.raises(ValueError, match="different manifolds"):
        mixture([mu, Measure(points(Torus(1, period=1.0)), None, Torus(1, period=1.0))])
    with pytest.raises(ValueError, match=r"start.x lives on .*, but this player moves on"):
        Start(x=mu).laws(SPHERE, SPHERE)


def test_drawing_from_atoms_follows_the_masses() -> None:
    mu = Measure([[0.0], [1.0], [2.0], [3.0]], [0.1, 0.2, 0.3, 0.4], CIRCLE)
    drawn = mu.draw(20_000, np.random.default_rng(3))
    counts = [int((drawn == v).sum()) for v in (0.0, 1.0, 2.0, 3.0)]
    assert sum(counts) == 20_000
    assert stats.chisquare(counts, 20_000 * mu.masses).pvalue > LEVEL
    assert stats.chisquare(counts, 20_000 * mu.masses[::-1]).pvalue < LEVEL


@pytest.mark.parametrize(("manifold", "cells"), [(CIRCLE, 6), (TORUS, (3, 4))])
def test_drawing_from_a_density_fills_its_cells_evenly(manifold: Manifold, cells: object) -> None:
    onto = mesh(manifold, cells)  # type: ignore[arg-type]
    w = np.arange(1.0, len(onto) + 1)
    mu = Density(w / w.sum(), onto)
    drawn = mu.draw(20_000, np.random.default_rng(4))
    assert (
        stats.chisquare(
            np.bincount(onto.locate(drawn), minlength=len(onto)), 20_000 * mu.masses
        ).pvalue
        > LEVEL
    )
    h = 2 * np.pi / np.array(onto.shape)
    inside = (drawn - onto.nodes[onto.locate(drawn)]) / h
    inside = np.mod(
        inside + 0.5, 2 * np.pi / h
    )  # cells at zero hold points on both sides of the seam
    for axis in range(manifold.dim):
        assert stats.kstest(inside[:, axis], "uniform").pvalue > LEVEL


def bump_cdf(center: float, variance: float, period: float = 2 * np.pi):
    """Distribution function on [0, period) of exp((cos(2 pi (x - c)/period) - 1)/variance), by
    quadrature.
    """
    grid = np.linspace(0, period, 20_001)
    f = np.exp((np.cos(2 * np.pi * (grid - center) / period) - 1) / variance)
    F = np.concatenate([[0], np.cumsum((f[1:] + f[:-1]) / 2)])
    return lambda x: np.interp(x, grid, F / F[-1])


@pytest.mark.parametrize(
    ("manifold", "center"), [(CIRCLE, 1.1), (Torus(1, period=1.0), 0.9), (TORUS, (0.0, 3.0))]
)
def test_bumps_on_tori_are_von_mises(manifold: Torus, center: object) -> None:
    std = 0.3**0.5 * manifold.period / (2 * np.pi)
    bump = law(concentrated(center, std=std), manifold)  # type: ignore[arg-type]
    drawn = bump.draw(5000, np.random.default_rng(5))
    assert manifold.check("drawn", drawn).shape == (5000, manifold.d)
    for axis, c in enumerate(np.atleast_1d(center)):
        assert stats.kstest(drawn[:, axis], bump_cdf(c, 0.3, manifold.period)).pvalue > LEVEL
        assert stats.kstest(drawn[:, axis], bump_cdf(c, 0.4, manifold.period)).pvalue < LEVEL
    held = bump.on(mesh(manifold, 48))
    shape = np.exp(
        (np.cos(2 * np.pi / manifold.period * (held.points - center)).sum(1) - manifold.d) / 0.3
    )
    assert np.allclose(held.masses, shape / shape.sum(), rtol=1e-12, atol=0)


def test_bumps_on_the_sphere_are_von_mises_fisher() -> None:
    """The height z = <x, center> has density proportional to exp(z/std^2) on [-1, 1]; the turn is
    uniform.
    """
    center = np.array([0.6, 0.0, 0.8])
    drawn = law(concentrated(center, std=0.5), SPHERE).draw(5000, np.random.default_rng(6))
    z = drawn @ center

    def cdf(t: np.ndarray) -> np.ndarray:
        return np.expm1((t + 1) / 0.25) / np.expm1(2 / 0.25)

    assert stats.kstest(z, cdf).pvalue > LEVEL
    first, second = np.array([0.8, 0.0, -0.6]), np.array([0.0, 1.0, 0.0])
    turn = np.arctan2(drawn @ second, drawn @ first) / (2 * np.pi) + 0.5
    assert stats.kstest(turn, "uniform").pvalue > LEVEL


def test_functions_are_sampled_by_rejection() -> None:
    """f(x) = 1 + sin x on the circle has F(x) = (x + 1 - cos x)/2 pi; the same height law on T^2
    and S^2.
    """
    wave = law(lambda x: 3.0 * (1 + np.sin(x[:, 0])), CIRCLE)
    drawn = wave.draw(5000, np.random.default_rng(7))[:, 0]
    assert stats.kstest(drawn, lambda x: (x + 1 - np.cos(x)) / (2 * np.pi)).pvalue > LEVEL
    assert stats.kstest(drawn, lambda x: x / (2 * np.pi)).pvalue < LEVEL
    pair = law(lambda x: 1 + np.sin(x[:, 0]), TORUS).draw(3000, np.random.default_rng(8))
    assert stats.kstest(pair[:, 0], lambda x: (x + 1 - np.cos(x)) / (2 * np.pi)).pvalue > LEVEL
    assert stats.kstest(pair[:, 1] / (2 * np.pi), "uniform").pvalue > LEVEL
    tilted = law(lambda x: 1 + x[:, 2], SPHERE).draw(3000, np.random.default_rng(9))
    assert stats.kstest(tilted[:, 2], lambda z: (1 + z) ** 2 / 4).pvalue > LEVEL


@pytest.mark.parametrize("manifold", [CIRCLE, TORUS, SPHERE, Sphere(5)])
def test_uniform_starts_are_uniform(manifold: Manifold) -> None:
    x, _ = Start().laws(manifold, manifold)
    drawn = x.draw(4000, np.random.default_rng(10))
    assert (
        np.abs(drawn[:, 0].mean() - (0 if isinstance(manifold, Sphere) else np.pi))
        < 5 * drawn[:, 0].std() / 63
    )
    if isinstance(manifold, Sphere):  # E x_i^2 = 1/ambient
        assert np.allclose((drawn**2).mean(0), 1 / manifold.ambient, rtol=0.1)
    else:
        assert stats.kstest(drawn[:, 0] / (2 * np.pi), "uniform").pvalue > LEVEL


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("gaussian", '"uniform"'),
        (lambda x: -np.ones(len(x)), "must not be negative"),
        (lambda x: np.ones(3), r"must map points"),
        (lambda x: np.full(len(x), np.nan), "finite"),
        (lambda x: np.zeros(len(x)), "zero at every node"),
        (concentrated((1.0, 2.0), std=0.1**0.5), "center has 2 coordinates"),
    ],
)
def test_bad_starts_are_refused(given: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        law(given, CIRCLE, "start.x").on(mesh(CIRCLE, 16))  # type: ignore[arg-type]


def test_the_indicator_of_a_set_is_a_start() -> None:
    held = law(lambda x: x[:, 0] < np.pi, CIRCLE).on(mesh(CIRCLE, 16))
    np.testing.assert_allclose(held.masses, np.repeat([1 / 8, 0], 8), rtol=0, atol=1e-16)


def test_other_bad_starts() -> None:
    with pytest.raises(TypeError, match='start must be "uniform"'):
        law(3.0, CIRCLE)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="std must be above 0"):
        concentrated(0.0, std=0.0)
    with pytest.raises(ValueError, match="norm"):
        law(concentrated((1.0, 1.0, 0.0), std=0.1**0.5), SPHERE)
    with pytest.raises(ValueError, match="too sharply peaked"):
        # One probe in 10^5 sees this peak.
        law(lambda x: 1 + 1e6 * (x[:, 2] > 1 - 2e-5), SPHERE).draw(
            200_000, np.random.default_rng(0)
        )


def test_entropy_of_von_mises_is_the_closed_form() -> None:
    """H = log(2 pi I_0(k)) - k I_1(k)/I_0(k); of the uniform law log of the volume."""
    k = 1 / 0.04
    held = law(concentrated(1.1, std=0.2), CIRCLE).on(mesh(CIRCLE, 256))
    exact = np.log(2 * np.pi * i0e(k)) + k - k * i1e(k) / i0e(k)
    assert held.entropy() == pytest.approx(exact, abs=1e-12)
    for manifold in (CIRCLE, TORUS, Torus(1, period=1.0)):
        assert uniform(manifold).entropy() == pytest.approx(np.log(manifold.volume), abs=1e-12)
    one = np.zeros(8)
    one[3] = 1.0
    assert Density(one, mesh(CIRCLE, 8)).entropy() == pytest.approx(np.log(np.pi / 4), abs=1e-14)


def test_a_density_is_constant_on_its_cells() -> None:
    onto = mesh(CIRCLE, 8)
    held = Density(np.arange(8) / 28, onto)
    h = np.pi / 4
    assert held(np.array([[0.4 * h], [0.6 * h], [7.6 * h]])) == pytest.approx(
        np.array([0, 1, 0]) / 28 / h
    )


ON = uniform(CIRCLE)
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: ON(np.array([[np.nan]])), ValueError, r"points\[0, 0\] is nan"),
        (lambda: ON(np.array([0.1, 0.2])), ValueError, "points must have shape"),
        (lambda: uniform(SPHERE)(np.array([[5.0, 0, 0]])), ValueError, r"points\[0\] has norm 5"),
        (
            lambda: ON.integrate(3.0),
            ValueError,
            r"a value for each of the 256 points.*got shape \(\)",
        ),
        (lambda: ON.integrate(lambda p: 1.0), ValueError, "a value for each of the 256 points"),
        (lambda: ON.integrate(np.ones(7)), ValueError, r"got shape \(7,\)"),
        (lambda: ON.draw(3, 0), TypeError, "rng must be a numpy generator"),
        (lambda: ON.draw(2.5, RNG), ValueError, "n must be a whole number"),
        (lambda: Measure([[0.0]], None, CIRCLE).draw(-1, RNG), ValueError, "n must be at least 0"),
        (lambda: ON.deposit(16), TypeError, "onto must be a mesh"),
        (lambda: Density([1.0], 16), TypeError, "mesh must be a mesh"),
        (lambda: mixture([1, 2]), TypeError, r"measures\[0\] must be a meanfield.Measure, got int"),
        (lambda: mixture(5), TypeError, "must be a meanfield.Measure, got int"),
        (lambda: mixture([]), ValueError, "measures are empty"),
    ],
)
def test_bad_use_of_measures_is_refused(call: Callable[[], object], error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        call()


def test_mixtures_stay_densities_on_one_mesh() -> None:
    onto = mesh(CIRCLE, 16)
    a, b = (law(concentrated(c, std=0.2**0.5), CIRCLE).on(onto) for c in (1.0, 3.0))
    both = mixture([a, b], [0.25, 0.75])
    assert isinstance(both, Density)
    assert np.allclose(both.masses, 0.25 * a.masses + 0.75 * b.masses, rtol=0, atol=1e-15)
    finer = law(concentrated(1.0, std=0.2**0.5), CIRCLE).on(mesh(CIRCLE, 32))
    mixed = mixture([a, finer])
    assert not isinstance(mixed, Density) and len(mixed) == 48
    assert mixed.integrate(np.cos)[0] == pytest.approx(
        (a.integrate(np.cos)[0] + finer.integrate(np.cos)[0]) / 2
    )
    with pytest.raises(ValueError, match="empty"):
        mixture([])
    with pytest.raises(ValueError, match="sum to 2"):
        mixture([a, b], [1.0, 1.0])


def test_total_variation_is_half_the_l1_distance() -> None:
    onto = mesh(CIRCLE, 4)
    a, b = Density([0.5, 0.5, 0, 0], onto), Density([0.5, 0, 0.5, 0], onto)
    assert total_variation(a, b) == 0.5
    assert total_variation(a, a) == 0
    with pytest.raises(ValueError, match="same mesh"):
        total_variation(a, Density(np.ones(5) / 5, mesh(CIRCLE, 5)))
    with pytest.raises(ValueError, match="same mesh"):
        total_variation(a, Measure(a.points, a.masses, CIRCLE))  # type: ignore[arg-type]


def test_computed_masses_lose_negatives_and_say_so() -> None:
    onto: Mesh = mesh(CIRCLE, 4)
    with pytest.warns(UnderResolved, match="negative mass of 1.00e-02"):
        held = density_on(np.array([0.51, 0.5, -0.01, 0.0]), onto)
    assert held.masses.tolist() == pytest.approx([0.51 / 1.01, 0.5 / 1.01, 0, 0])


def test_densities_carry_over_to_other_meshes() -> None:
    """A density given on one grid starts a run on another: linear interpolation, order 2."""
    from tests.convergence import fitted_order

    target, exact = mesh(CIRCLE, 60), law(concentrated(2.0, std=0.5**0.5), CIRCLE)
    errors = []
    for n in (32, 64, 128):
        carried = law(exact.on(mesh(CIRCLE, n)), CIRCLE).on(target)
        errors.append(total_variation(carried, exact.on(target)))
    assert fitted_order((32, 64, 128), errors) == pytest.approx(-2, abs=0.25)


def test_arrays_of_the_caller_are_copied() -> None:
    torus, masses = Torus(1), np.full(8, 1 / 8)
    held = Measure(np.arange(8.0)[:, None], masses, torus), Density(masses, mesh(torus, 8))
    masses[:] = 0.0
    assert all((mu.masses == 1 / 8).all() for mu in held)


@pytest.mark.parametrize("what", ["points", "masses"])
def test_masked_arrays_are_refused(what: str) -> None:
    points, masses = np.arange(3.0)[:, None], np.array([0.25, 0.5, 0.25])
    given = {"points": points, "masses": masses}
    given[what] = np.ma.masked_array(given[what], mask=given[what] == given[what].flat[1])
    with pytest.raises(TypeError, match=f"{what} must be .* masked array"):
        Measure(given["points"], given["masses"], Torus(1))


def test_masks_are_refused_in_lists_and_in_what_functions_return() -> None:
    half = np.ma.masked_array([1.0, 2.0], mask=[0, 1])
    with pytest.raises(TypeError, match="masked array"):
        Measure([half[:1], half[1:]], None, Torus(1))

    def masked(points):
        return np.ma.masked_less(np.ones(len(points)), 2.0)

    game, flow, run = (
        mf.games.oscillator(), mf.Langevin(2.0), {"time": 0.1, "step": 0.1, "particles": 3}
    )  # fmt: skip
    with pytest.raises(TypeError, match="must return densities.*masked"):
        mf.solve(game, flow, mf.Start(x=masked), time=0.1, cells=32)
    with pytest.raises(ValueError, match="must return numbers"):
        mf.simulate(game, flow, mf.Start(), diagnostics={"half": lambda x, y: half}, **run)
    with pytest.raises(ValueError, match="stop must return"):
        mf.simulate(game, flow, mf.Start(), stop=lambda t, x, y: np.ma.masked, **run)


@pytest.mark.parametrize("manifold", [Torus(2), Sphere(2), Sphere(9)], ids=str)
def test_numbers_of_single_precision_are_taken_within_their_own_rounding(manifold):
    rng = np.random.default_rng(20)
    for n in (1, 10, 1000):
        x, m = manifold.sample(n, rng), rng.random(n).astype(np.float32)
        mu = Measure(x.astype(np.float32), m / m.sum(), manifold)
        assert mu.points.dtype == mu.masses.dtype == np.float64
        assert abs(mu.masses.sum() - 1) < 1e-14 and manifold.distance(mu.points, x).max() < 1e-6
        with pytest.raises(ValueError, match="sum to"):
            Measure(x, 1.001 * m / m.sum(), manifold)
        with pytest.raises(ValueError, match="sum to"):
            Measure(x, m.astype(float) / m.astype(float).sum() * (1 + 1e-6), manifold)
    if isinstance(manifold, Sphere):
        with pytest.raises(ValueError, match="norm"):
            manifold.check("points", x.astype(np.float32) * np.float32(1.001))
        with pytest.raises(ValueError, match="norm"):
            manifold.check("points", x.astype(np.float32).astype(float))
    cells = mesh(Torus(1), 100)
    m = rng.random(100).astype(np.float32)
    assert abs(Density(m / m.sum(), cells).masses.sum() - 1) < 1e-14
