"""Tori and spheres: every operation against its definition, known values and Monte Carlo."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import meanfield as mf
from meanfield.checks import finite_array, real, whole
from meanfield.manifolds import unit

TORI = [mf.Torus(1), mf.Torus(2, 1.0), mf.Torus(3, 5.0)]
SPHERES = [mf.Sphere(1), mf.Sphere(2), mf.Sphere(7)]
ALL = TORI + SPHERES


def on(manifold, x):
    if isinstance(manifold, mf.Sphere):
        return abs(np.linalg.norm(x, axis=-1) - 1).max() < 1e-14
    return bool(((x >= 0) & (x < manifold.period)).all())


def tangent(manifold, x, rng, size=1.0):
    return size * manifold.project(x, rng.standard_normal(x.shape))


@pytest.mark.parametrize("manifold", ALL, ids=str)
def test_samples_and_retractions_stay_on_the_manifold(manifold):
    rng = np.random.default_rng(0)
    x = manifold.sample(500, rng)
    assert x.shape == (500, manifold.ambient) and on(manifold, x)
    for size in (1e-8, 0.3, 40.0):
        assert on(manifold, manifold.retract(x, tangent(manifold, x, rng, size)))
    assert np.array_equal(x, manifold.sample(500, np.random.default_rng(0)))


@pytest.mark.parametrize("manifold", ALL, ids=str)
def test_retractions_are_of_first_order_or_better(manifold):
    rng = np.random.default_rng(1)
    x = manifold.sample(50, rng)
    v = tangent(manifold, x, rng)
    length = np.linalg.norm(v, axis=1)
    for h in (1e-2, 1e-3, 1e-4):
        reached = manifold.distance(x, manifold.retract(x, h * v))
        # tan(d) = h |v| on spheres, d = h |v| on tori
        assert abs(reached / (h * length) - 1).max() < (h * length.max()) ** 2
    assert manifold.distance(manifold.retract(x, 0 * v), x).max() < 1e-15


@pytest.mark.parametrize("manifold", ALL, ids=str)
def test_distances_are_a_metric(manifold):
    rng = np.random.default_rng(2)
    x, y, z = (manifold.sample(300, rng) for _ in range(3))
    d = manifold.distance
    assert np.array_equal(d(x, y), d(y, x))
    assert (d(x, x) == 0).all() and (d(x, y) > 0).all()
    assert (d(x, z) <= d(x, y) + d(y, z) + 1e-14).all()
    assert d(x[:, None], y[None]).shape == (300, 300)
    assert np.array_equal(np.diag(d(x[:, None], y[None])), d(x, y))


def test_known_distances():
    assert mf.Torus(1).distance(np.array([[0.1]]), np.array([[2 * np.pi - 0.2]])) == pytest.approx(
        0.3, rel=1e-14
    )
    assert mf.Torus(2, 1.0).distance(
        np.array([[0.0, 0.0]]), np.array([[0.5, 0.5]])
    ) == pytest.approx(np.sqrt(0.5))
    north, equator = np.array([[0.0, 0.0, 1.0]]), np.array([[1.0, 0.0, 0.0]])
    assert mf.Sphere(2).distance(north, equator) == pytest.approx(np.pi / 2, rel=1e-15)
    assert mf.Sphere(2).distance(north, -north) == pytest.approx(np.pi, rel=1e-15)
    near = np.array([[np.sin(1e-9), 0.0, np.cos(1e-9)]])
    assert mf.Sphere(2).distance(north, near) == pytest.approx(1e-9, rel=1e-12)


@pytest.mark.parametrize("manifold", ALL, ids=str)
def test_frames_are_orthonormal_and_tangent(manifold):
    rng = np.random.default_rng(3)
    x = manifold.sample(100, rng)
    x[0] = manifold.check("x", [np.eye(manifold.ambient)[0] * 1.0])[0]
    if isinstance(manifold, mf.Sphere):
        x[1] = -x[0]
    frame = manifold.basis(x)
    assert frame.shape == (100, manifold.dim, manifold.ambient)
    gram = np.einsum("nia,nja->nij", frame, frame)
    assert abs(gram - np.eye(manifold.dim)).max() < 1e-14
    for k in range(manifold.dim):
        assert abs(manifold.project(x, frame[:, k]) - frame[:, k]).max() < 1e-14


@pytest.mark.parametrize("manifold", ALL, ids=str)
def test_projections_are_orthogonal(manifold):
    rng = np.random.default_rng(4)
    x = manifold.sample(100, rng)
    v, w = rng.standard_normal((2, *x.shape))
    P = manifold.project
    assert abs(P(x, P(x, v)) - P(x, v)).max() < 1e-14
    assert abs(np.sum(P(x, v) * w - v * P(x, w), axis=1)).max() < 1e-13
    if isinstance(manifold, mf.Sphere):
        assert abs(np.sum(P(x, v) * x, axis=1)).max() < 1e-14


@pytest.mark.parametrize("manifold", ALL, ids=str)
def test_samples_are_uniform(manifold):
    """Means of functions whose integrals vanish, and of a square, by z-scores."""
    n = 40_000
    x = manifold.sample(n, np.random.default_rng(5))
    if isinstance(manifold, mf.Torus):
        w = 2 * np.pi / manifold.period
        waves = np.concatenate([np.cos(w * x), np.sin(w * x), np.cos(2 * w * x)], axis=1)
        assert abs(waves.mean(0)).max() < 4.5 * np.sqrt(0.5 / n)
    else:
        k = manifold.ambient
        assert abs(x.mean(0)).max() < 4.5 / np.sqrt(k * n)
        spread = np.sqrt((3 / (k * (k + 2)) - 1 / k**2) / n)
        assert abs((x**2).mean(0) - 1 / k).max() < 4.5 * spread


def test_volumes():
    assert mf.Torus(2, 3.0).volume == 9.0
    for d, exact in ((1, 2 * np.pi), (2, 4 * np.pi), (3, 2 * np.pi**2), (4, 8 * np.pi**2 / 3)):
        assert mf.Sphere(d).volume == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize("manifold", ALL, ids=str)
def test_ball_fractions_against_monte_carlo(manifold):
    n = 200_000
    rng = np.random.default_rng(6)
    centre = manifold.sample(1, rng)
    distance = manifold.distance(manifold.sample(n, rng), centre)
    top = np.pi if isinstance(manifold, mf.Sphere) else manifold.period / 2
    for share in (0.2, 0.45, 0.7, 0.95):
        p = manifold.ball_fraction(share * top)
        assert 0 < p < 1
        assert abs((distance < share * top).mean() - p) < 4.5 * np.sqrt(p * (1 - p) / n) + 1e-12


def test_ball_fractions_in_closed_form():
    for r in (1e-6, 0.4, 1.5, 2.0, 3.1):
        assert mf.Sphere(2).ball_fraction(r) == pytest.approx((1 - np.cos(r)) / 2, rel=1e-9)
        assert mf.Sphere(1).ball_fraction(r) == pytest.approx(r / np.pi, rel=1e-9)
        assert mf.Sphere(3).ball_fraction(r) == pytest.approx(
            (r - np.sin(r) * np.cos(r)) / np.pi, rel=1e-3 if r < 1e-3 else 1e-9
        )
        assert mf.Torus(1).ball_fraction(r) == pytest.approx(r / np.pi, rel=1e-14)
    assert mf.Torus(2, 1.0).ball_fraction(0.25) == pytest.approx(np.pi / 16, rel=1e-14)
    assert mf.Torus(3, 1.0).ball_fraction(0.25) == pytest.approx(4 / 3 * np.pi / 64, rel=1e-14)
    for sphere in SPHERES:
        assert sphere.ball_fraction(0.0) == 0 and sphere.ball_fraction(np.pi / 2) == pytest.approx(
            0.5, rel=1e-14
        )
        assert sphere.ball_fraction(np.pi) == 1 and sphere.ball_fraction(9.0) == 1


def test_lengths_that_others_measure_by():
    for manifold, reach, one in (
        (mf.Torus(2), np.pi, 1.0), (mf.Torus(3, 5.0), 2.5, 5 / (2 * np.pi)),
        (mf.Sphere(2), np.pi / 2, 1.0),
    ):  # fmt: skip
        assert manifold.reach == reach and unit(manifold) == pytest.approx(one, rel=1e-15)


def test_points_may_be_off_a_sphere_by_their_rounding_only():
    for off, good in ((0.98e-9, True), (-0.98e-9, True), (1.02e-9, False), (-1.02e-9, False)):
        given = [[0.6 * (1 + off), 0.0, 0.8 * (1 + off)]]
        if good:
            np.testing.assert_allclose(mf.Sphere(2).check("x", given), [[0.6, 0, 0.8]], rtol=1e-15)
            continue
        with pytest.raises(ValueError, match=r"x\[0\] has norm"):
            mf.Sphere(2).check("x", given)
    for units, good in ((7, True), (9, False)):
        given = np.array([[1 + units * 2.0**-23, 0, 0]], dtype=np.float32)
        if good:
            assert mf.Sphere(2).check("x", given).tolist() == [[1, 0, 0]]
            continue
        with pytest.raises(ValueError, match="norm"):
            mf.Sphere(2).check("x", given)


def test_points_are_checked():
    assert mf.Torus(1).check("x", [[-0.5], [7.0]]) == pytest.approx(
        np.array([[2 * np.pi - 0.5], [7 - 2 * np.pi]])
    )
    assert (mf.Torus(1).check("x", [[-1e-20]]) == 0).all()
    with pytest.raises(ValueError, match=r"points\[1\] has norm 2"):
        mf.Sphere(1).check("points", [[1.0, 0.0], [0.0, 2.0]])
    with pytest.raises(ValueError, match="shape"):
        mf.Torus(2).check("points", [0.1, 0.2])
    with pytest.raises(ValueError, match="finite"):
        mf.Torus(1).check("points", [[np.nan]])
    nearly = mf.Sphere(2).check("points", [[0.6, 0.8, 1e-6]])
    assert abs(np.linalg.norm(nearly) - 1) < 1e-15


def test_bad_descriptions():
    for make in (
        lambda: mf.Torus(0),
        lambda: mf.Torus(1, 0.0),
        lambda: mf.Torus(1, np.inf),
        lambda: mf.Sphere(0),
    ):
        with pytest.raises(ValueError):
            make()
    for d in (1.5, np.inf):
        with pytest.raises(ValueError, match="whole"):
            mf.Torus(d)
    with pytest.raises(ValueError, match="period must be finite"):
        mf.Torus(1, 10**400)
    with pytest.raises(ValueError, match="half a period"):
        mf.Torus(2, 1.0).ball_fraction(0.7)
    with pytest.raises(ValueError, match="at least 0"):
        mf.Sphere(2).ball_fraction(-0.1)


NO_NUMBERS = [
    "1",
    b"1",
    True,
    np.True_,
    1j,
    np.complex64(1),
    None,
    [1.0],
    np.array("1", dtype=object),
]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
@pytest.mark.parametrize("check", [real, whole])
def test_what_is_no_number_is_refused(check, value):
    with pytest.raises(TypeError, match="n must be a (whole )?number, got"):
        check("n", value)


@pytest.mark.parametrize(
    "value", ["1", ["1"], [True], [1 + 1j], None, [None, 1.0], np.array(["1", 2], dtype=object)]
)
def test_what_holds_no_numbers_is_refused(value):
    with pytest.raises(TypeError, match="n must be an array of real numbers"):
        finite_array("n", value)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1.5, Fraction(1, 2)])
def test_what_is_not_whole_is_refused(value):
    with pytest.raises(ValueError, match="n must be a whole number, got"):
        whole("n", value)


def test_numbers_of_every_type_are_read():
    assert [whole("n", v) for v in (3, 3.0, np.int8(3), np.array(3), Fraction(3), 2**70)] == [
        3,
        3,
        3,
        3,
        3,
        2**70,
    ]
    assert [real("n", v) for v in (3, np.float32(0.5), np.array(2), Fraction(1, 4))] == [
        3.0,
        0.5,
        2.0,
        0.25,
    ]
    assert finite_array("n", [Fraction(1, 2), 2**70]).tolist() == [0.5, 2.0**70]


def test_differences_of_angles_are_the_shortest_way():
    """|y - x| by the shortest way is the distance, and x + difference is y."""
    torus, rng = mf.Torus(2, period=3.0), np.random.default_rng(0)
    x, y = torus.sample(200, rng), torus.sample(200, rng)
    way = torus.difference(x, y)
    assert way.min() >= -1.5 and way.max() < 1.5
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), torus.distance(x, y), rtol=1e-12)
    assert np.abs(torus.difference(torus.retract(x, way), y)).max() < 1e-14


def test_angles_without_digits_and_periods_without_squares_are_refused():
    circle = mf.Torus(1, period=3.0)
    assert circle.check("points", [[2.9e9]])[0, 0] == np.mod(2.9e9, 3.0)
    with pytest.raises(ValueError, match="points reach 3.1e.09, beyond 1e.09 periods of 3"):
        circle.check("points", [[0.0], [-3.1e9]])
    for period in (1e-320, 1e-101, 1e101):
        with pytest.raises(ValueError, match="period must be from 1e-100 to 1e.100"):
            mf.Torus(2, period=period)
    assert mf.Torus(1, period=1e-100).volume == 1e-100


def test_norms_are_told_to_the_digits_that_matter():
    with pytest.raises(ValueError, match="has norm 1.00000001, so"):
        mf.Sphere(2).check("points", [[0.0, 0.0, 1.00000001]])
