"""A manifold of a user's class, S^2 x S^1 here: bumps, meshes, densities and files of it."""

import numpy as np
import pytest
from scipy.sparse import coo_array

import meanfield as mf
from meanfield.describe import Described, rebuild, same_result
from meanfield.meshes import product_mesh
from meanfield.start import law
from tests.test_looks import Product, loss

BALL, CIRCLE = mf.Sphere(2), mf.Torus(1)
FACTORS = (mf.mesh(BALL, 42), mf.mesh(CIRCLE, 12))


class Meshed(Product):
    """S^2 x S^1 with meshes."""

    def mesh(self, cells=None):
        return product_mesh(self, *FACTORS)


M = Meshed()


def matrix(mesh):
    """Transmissibilities as a symmetric matrix."""
    i, j = mesh.pairs.T
    half = coo_array((mesh.transmissibilities, (i, j)), shape=(len(mesh),) * 2).toarray()
    return half + half.T


def test_a_product_of_circles_is_the_torus():
    whole = mf.mesh(mf.Torus(2), (5, 7))
    made = product_mesh(mf.Torus(2), mf.mesh(CIRCLE, 5), mf.mesh(CIRCLE, 7))
    np.testing.assert_allclose(made.nodes, whole.nodes, atol=1e-14)
    np.testing.assert_allclose(made.volumes, whole.volumes, rtol=1e-14)
    np.testing.assert_allclose(matrix(made), matrix(whole), rtol=1e-13)
    points = mf.Torus(2).sample(200, np.random.default_rng(0))
    np.testing.assert_array_equal(made.locate(points), whole.locate(points))
    order = [np.lexsort(mesh.faces.T.round(9)) for mesh in (made, whole)]
    np.testing.assert_allclose(made.faces[order[0]], whole.faces[order[1]], atol=1e-14)


def test_a_product_that_does_not_add_up_is_refused():
    with pytest.raises(ValueError, match="has 3 coordinates and dimension 2, the product of"):
        product_mesh(BALL, *FACTORS)


def test_without_coupling_the_factors_solve_their_own_equations():
    """l = f + g on factors: the density is the product of theirs."""
    flow, time = mf.Langevin(3.0), 0.3
    start = mf.Start(x=mf.concentrated([0.0, 0.0, 1.0, 1.0], 1.0))

    def on_balls(x, y):
        return x[..., 0] * y[..., 1] + 0.5 * x[..., 2]

    def on_circles(x, y):
        return np.cos(x[..., 0] - y[..., 0]) + 0.4 * np.sin(x[..., 0])

    def both(x, y):
        return on_balls(x[..., :3], y[..., :3]) + on_circles(x[..., 3:], y[..., 3:])

    def bump(manifold, center):
        return mf.Start(x=lambda z: np.exp(-(manifold.distance(z, np.array(center)) ** 2) / 2))

    how = {"time": time, "engine": "finite-volume", "step": 0.05}
    whole = mf.solve(mf.games.function(both, M, M), flow, start, **how)
    parts = [
        mf.solve(mf.games.function(f, N, N), flow, bump(N, c), **how, cells=cells)
        for f, N, c, cells in zip(
            (on_balls, on_circles), (BALL, CIRCLE), ([0, 0, 1.0], [1.0]), FACTORS, strict=True
        )
    ]
    for p in (0, 1):
        product = np.outer(*(part[-1][p].masses for part in parts)).ravel()
        assert np.abs(whole[-1][p].masses - product).sum() < 2e-5


def test_bumps_are_drawn_as_their_density_says():
    center, std = np.array([0.0, 0.0, 1.0, 1.0]), 0.5
    bump = law(mf.concentrated(center, std), M)
    drawn = bump.draw(20_000, np.random.default_rng(0))
    M.check("points", drawn)
    fine = product_mesh(M, mf.mesh(BALL, 2562), mf.mesh(CIRCLE, 256))
    masses = bump.density(fine.nodes) * fine.volumes
    for moment in (lambda z: z[:, 2], lambda z: np.cos(z[:, 3] - 1), lambda z: z[:, 0] ** 2):
        exact = moment(fine.nodes) @ masses / masses.sum()
        values = moment(drawn)
        assert abs(values.mean() - exact) < 4 * values.std() / np.sqrt(len(drawn)) + 1e-3
    with pytest.raises(ValueError, match="too little to be found by uniform points"):
        law(mf.concentrated(center, 1e-3), M).draw(1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="narrower than the cells"):
        law(mf.concentrated(center, 0.3), M).on(M.mesh())


def test_meshes_of_another_manifold_are_refused():
    class Wrong(Product):
        def mesh(self, cells=None):
            return FACTORS[1]

    with pytest.raises(TypeError, match="must return a Mesh of it"):
        mf.mesh(Wrong())
    with pytest.raises(ValueError, match=r"manifolds with a method mesh\(cells\)"):
        mf.mesh(Product())


@pytest.fixture(scope="module")
def game():
    return mf.games.function(loss, M, M)


def run(game, time=0.2, **how):
    start = mf.Start(x=mf.concentrated([0.0, 0.0, 1.0, 1.0], 0.6))
    how = {"step": 1e-2, "particles": 30, "seed": 3, **how}
    return mf.simulate(game, mf.Langevin(5.0), start, time, **how)


def test_results_are_saved_and_read_back(game, tmp_path):
    made = run(game)
    made.save(tmp_path / "run.h5")
    assert same_result(mf.load(tmp_path / "run.h5", game=game), made)
    with pytest.warns(UserWarning, match="was a function"):
        known = mf.load(tmp_path / "run.h5")
    assert "Meshed" in repr(known.x[-1])
    np.testing.assert_array_equal(known.x[-1].points, made.x[-1].points)
    with pytest.raises(ValueError, match="class of its user's, which a file cannot hold"):
        mf.w2(known.x[0], known.x[-1])


def test_densities_are_saved_with_their_mesh(game, tmp_path):
    made = mf.gibbs(game, mf.Langevin(5.0))
    made.save(tmp_path / "gibbs.h5")
    again = mf.load(tmp_path / "gibbs.h5", game=game)
    assert same_result(again, made)
    assert again.x.manifold is M and again.x.mesh.manifold is M
    points = M.sample(50, np.random.default_rng(1))
    np.testing.assert_array_equal(again.x(points), made.x(points))


def test_a_stopped_run_goes_on_from_its_file(game, tmp_path):
    def stop(time, *_):
        if time > 0.1:
            raise KeyboardInterrupt

    path = tmp_path / "run.h5"
    with pytest.raises(KeyboardInterrupt):
        run(game, checkpoint=path, checkpoint_every=0, callback=stop)
    assert same_result(run(game, checkpoint=path, checkpoint_every=0), run(game))


def test_files_of_a_manifold_with_other_sizes_are_refused(game, tmp_path):
    class Larger(Product):
        volume = 9.0

    run(game).save(tmp_path / "run.h5")
    other = mf.games.function(loss, Larger(), Larger())
    with pytest.raises(ValueError, match="game lives on"):
        mf.load(tmp_path / "run.h5", game=other)


@pytest.mark.parametrize(
    "wrong", [{"name": [1]}, {"dim": -1}, {"ambient": "four"}, {"volume": float("nan")}]
)
def test_files_cannot_hold_what_is_no_manifold(wrong):
    sizes = {"name": "mine", "dim": 3, "ambient": 4, "volume": 1.0}
    with pytest.raises(ValueError):
        rebuild(Described("MissingManifold", {**sizes, **wrong}))


def test_bumps_are_drawn_where_one_of_a_hundred_thousand_points_falls_in():
    """The volume 8 pi^2 over that of the bump, (sqrt(2 pi) std)^3."""
    center = np.array([0.0, 0.0, 1.0, 1.0])
    for tries in (0.98e5, 1.02e5):
        std = (8 * np.pi**2 / tries) ** (1 / 3) / np.sqrt(2 * np.pi)
        bump = law(mf.concentrated(center, std), M)
        if tries < 1e5:
            drawn = bump.draw(3, np.random.default_rng(0))
            assert drawn.shape == (3, 4) and M.distance(drawn, center).max() < 6 * std
        else:
            with pytest.raises(ValueError, match=r"fills 1/1e\+05 of"):
                bump.draw(1, np.random.default_rng(0))
