"""Atoms shared out among the nodes around them."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.meshes import hopf_mesh, mesh, quadrature_mesh
from meanfield.meshes.sharing import shared

RNG = np.random.default_rng(0)
MESHES = [
    mesh(mf.Torus(1), 7),
    mesh(mf.Torus(2, period=3.0), (6, 9)),
    mesh(mf.Torus(3), 4),
    mesh(mf.Sphere(1), 12),
    mesh(mf.Sphere(2), 162),
    quadrature_mesh(9),
    hopf_mesh(3),
]


@pytest.mark.parametrize("on", MESHES)
def test_masses_are_those_of_the_atoms(on):
    points, masses = on.manifold.sample(200, RNG), RNG.dirichlet(np.ones(200))
    found = shared(on, points, masses)
    assert found.min() >= 0.0 and abs(found.sum() - 1.0) < 1e-14


@pytest.mark.parametrize("on", MESHES)
def test_an_atom_at_a_node_stays_there(on):
    for k in (0, len(on) // 2, len(on) - 1):
        found = shared(on, on.nodes[[k]], np.ones(1))
        assert found[k] == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("on", MESHES[:3])
def test_on_grids_the_mean_place_stays(on):
    for point in on.manifold.sample(50, RNG):
        found = shared(on, point[None], np.ones(1))
        held = np.flatnonzero(found)
        assert len(held) == 2**on.manifold.dim
        way = on.manifold.difference(
            np.broadcast_to(point, (len(held), len(point))), on.nodes[held]
        )
        np.testing.assert_allclose(found[held] @ way, 0.0, atol=1e-14)


def test_on_the_sphere_atoms_lie_in_the_triangles_of_three_neighbours():
    on = MESHES[4]
    for point in on.manifold.sample(100, RNG):
        found = shared(on, point[None], np.ones(1))
        held = np.flatnonzero(found > 1e-15)
        assert len(held) <= 3
        (home,) = on.locate(point[None])
        assert {*held} <= {home, *on.neighbours[0][home]}
        inside = found @ on.nodes  # under the point, by as much as the triangle is below the sphere
        off = point - inside / np.linalg.norm(inside)
        assert np.linalg.norm(off) < 0.02 * on.radius


@pytest.mark.parametrize(
    ("game", "sizes", "start"),
    [
        (
            mf.games.expression("exp(cos(x - y)) + 0.5*sin(x)*exp(cos(y))"),
            (64, 128, 256),
            ([[1.013]], [[0.3], [2.0]]),
        ),
        (mf.games.polynomial("a"), (642, 2562), ([[0.48, 0.6, 0.64]], [[0, 0.6, 0.8], [1, 0, 0]])),
    ],
)
def test_fields_from_atoms_converge_with_order_two(game, sizes, start):
    """Against coefficients, in which atoms are exact."""
    begin = mf.Start(*(mf.Measure(p, None, M) for p, M in zip(start, game.manifolds, strict=True)))
    how = {"time": 0.3, "save_every": 0.1, "tol": 1e-7}
    text = game.name
    exact = game if game.bases else mf.games.expression(text, truncate=1e-12)
    wanted = mf.solve(exact, mf.Langevin(5.0), begin, **how).diagnostics["value"]
    errors = []
    for n in sizes:
        run = mf.solve(game, mf.Langevin(5.0), begin, engine="finite-volume", cells=n, **how)
        errors.append(np.abs(run.diagnostics["value"] - wanted).max())
    h = np.array(sizes, float) ** (-1 / game.X.dim)
    assert np.polyfit(np.log(h), np.log(errors), 1)[0] > 1.7
