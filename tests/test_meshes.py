"""Meshes against the manifold they stand for: volumes, faces, the Laplacian they imply."""

from __future__ import annotations

import numpy as np
import pytest

from meanfield.manifolds import Sphere, Torus
from meanfield.meshes import Mesh, mesh, quadrature_mesh
from tests.convergence import fitted_order

TORI = [
    (Torus(1), 37),
    (Torus(1, period=1.0), 8),
    (Torus(2), (12, 9)),
    (Torus(2, period=3.0), 7),
    (Torus(3), (3, 4, 5)),
]


def laplacian(on: Mesh, u: np.ndarray) -> np.ndarray:
    """The two-point-flux Laplacian: (1/vol_i) sum_j T_ij (u_j - u_i)."""
    flux = on.transmissibilities * (u[on.pairs[:, 1]] - u[on.pairs[:, 0]])
    size = len(on)
    return (
        np.bincount(on.pairs[:, 0], flux, size) - np.bincount(on.pairs[:, 1], flux, size)
    ) / on.volumes


@pytest.mark.parametrize(("torus", "cells"), TORI)
def test_volumes_sum_to_the_manifold(torus: Torus, cells: int) -> None:
    on = mesh(torus, cells)
    assert on.volumes.sum() == pytest.approx(torus.volume, rel=1e-12)
    assert (on.volumes > 0).all() and (on.transmissibilities > 0).all()
    assert len(on.pairs) == len(on.faces) == len(on.transmissibilities) == torus.d * len(on)


@pytest.mark.parametrize(("torus", "cells"), TORI)
def test_faces_are_half_way_between_their_nodes(torus: Torus, cells: int) -> None:
    on = mesh(torus, cells)
    first, second = on.nodes[on.pairs[:, 0]], on.nodes[on.pairs[:, 1]]
    apart = torus.distance(first, second)
    assert np.allclose(torus.distance(first, on.faces), apart / 2, rtol=0, atol=1e-12)
    assert np.allclose(torus.distance(second, on.faces), apart / 2, rtol=0, atol=1e-12)
    # Transmissibility = area/distance, and area times distance over d, summed, is the volume.
    assert (on.transmissibilities * apart**2).sum() / torus.d == pytest.approx(
        torus.volume, rel=1e-12
    )


@pytest.mark.parametrize(
    ("torus", "mode"), [(Torus(1), (1,)), (Torus(1, period=1.0), (2,)), (Torus(2), (1, 2))]
)
def test_laplacian_is_second_order(torus: Torus, mode: tuple[int, ...]) -> None:
    """cos(k.x) is an eigenfunction with -|k|^2; the mesh must find it with an error O(h^2)."""
    k = 2 * np.pi / torus.period * np.array(mode)
    sizes, errors = (16, 32, 64), []
    for n in sizes:
        on = mesh(torus, n)
        u = np.cos(on.nodes @ k)
        errors.append(np.abs(laplacian(on, u) + k @ k * u).max())
    assert fitted_order(sizes, errors) == pytest.approx(-2.0, abs=0.05)


def test_laplacian_on_unequal_axes_is_that_of_the_axes() -> None:
    """On a 12 x 9 grid each axis has its own closed eigenvalue 4 sin^2(k h/2)/h^2."""
    torus = Torus(2)
    on = mesh(torus, (12, 9))
    for axis, count in enumerate((12, 9)):
        h = torus.period / count
        u = np.cos(2 * on.nodes[:, axis])
        assert np.allclose(laplacian(on, u), -4 * np.sin(h) ** 2 / h**2 * u, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("torus", "cells"), TORI)
def test_neighbours_say_what_pairs_say(torus: Torus, cells: int) -> None:
    on = mesh(torus, cells)
    table, faces = on.neighbours
    seen = set()
    for i in range(len(on)):
        for j, f in zip(table[i], faces[i], strict=True):
            face, side = (f, 0) if f >= 0 else (-2 - f, 1)
            assert j >= 0
            assert on.pairs[face, side] == i and on.pairs[face, 1 - side] == j
            seen.add((int(face), side))
    assert len(seen) == 2 * len(on.pairs)


def test_neighbours_are_padded_where_cells_have_fewer() -> None:
    """A chain of three cells: the ends have one neighbour, the middle two."""
    line = Mesh(
        Torus(1),
        np.array([[0.0], [1.0], [2.0]]),
        np.ones(3),
        np.array([[0, 1], [1, 2]]),
        np.ones(2),
        np.array([[0.5], [1.5]]),
    )
    table, faces = line.neighbours
    assert table.tolist() == [[1, -1], [0, 2], [1, -1]] or table.tolist() == [
        [1, -1],
        [2, 0],
        [1, -1],
    ]
    assert faces[0].tolist() == [0, -1] and faces[2].tolist() == [-3, -1]
    assert sorted(faces[1].tolist()) == [-2, 1]


@pytest.mark.parametrize(("torus", "cells"), TORI)
def test_locate_finds_the_nearest_node(torus: Torus, cells: int) -> None:
    on = mesh(torus, cells)
    assert np.array_equal(on.locate(on.nodes), np.arange(len(on)))
    points = torus.sample(200, np.random.default_rng(0))
    nearest = np.argmin(torus.distance(points[:, None], on.nodes[None]), axis=1)
    assert np.array_equal(on.locate(points), nearest)


@pytest.mark.parametrize("space", [Torus(1), Torus(3), Sphere(1), Sphere(3)])
def test_more_cells_than_fit_are_refused(space: Torus | Sphere) -> None:
    with pytest.raises(ValueError, match="cells on .* need .* GB, this machine has"):
        mesh(space, 1e90)  # type: ignore[arg-type]


def test_locate_without_a_grid_finds_the_nearest_node() -> None:
    sphere = Sphere(2)
    nodes = sphere.sample(50, np.random.default_rng(1))
    empty = np.empty((0, 2), dtype=np.int64)
    on = Mesh(sphere, nodes, np.full(50, sphere.volume / 50), empty, np.empty(0), np.empty((0, 3)))
    points = sphere.sample(300, np.random.default_rng(2))
    nearest = np.argmin(sphere.distance(points[:, None], nodes[None]), axis=1)
    assert np.array_equal(on.locate(points), nearest)
    assert np.array_equal(on.locate(nodes), np.arange(50))


@pytest.mark.parametrize("n", [2, 7, 36])
def test_a_quadrature_of_the_sphere_is_exact_and_its_cells_hold_its_nodes(n: int) -> None:
    on = quadrature_mesh(n)
    assert on.by_parallels and on.shape == (n, 2 * n) and not mesh(Sphere(2), 42).by_parallels
    assert np.array_equal(on.locate(on.nodes), np.arange(len(on)))
    # int (x.a)^k = 4 pi/(k + 1) for even k, in any direction a, up to degree 2n - 1.
    for a in np.eye(3)[0], np.eye(3)[2], np.array([0.48, -0.6, 0.64]):
        for k in range(2 * n):
            exact = 0.0 if k % 2 else 4 * np.pi / (k + 1)
            assert abs(on.volumes @ (on.nodes @ a) ** k - exact) < 1e-13 * 4 * np.pi
    # A cell's share of the sphere is that of the uniform points located in it.
    points = Sphere(2).sample(4000, np.random.default_rng(0))
    rows = np.bincount(on.locate(points) // (2 * n), minlength=n) / 4000
    share = on.volumes.reshape(n, 2 * n).sum(axis=1) / (4 * np.pi)
    assert np.abs(rows - share).max() < 0.03
    assert (
        len(on.pairs) == len(on.faces) == 2 * n * (2 * n - 1) and (on.transmissibilities > 0).all()
    )
    assert np.abs(np.linalg.norm(on.faces, axis=1) - 1).max() < 1e-15
    # Each face point lies on its face: just off it towards either node is in that node's cell.
    for side in (0, 1):
        near = on.faces + 1e-6 * (on.nodes[on.pairs[:, side]] - on.faces)
        near /= np.linalg.norm(near, axis=1, keepdims=True)
        assert np.array_equal(on.locate(near), on.pairs[:, side])


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_two_point_fluxes_on_a_quadrature_of_the_sphere_are_of_second_order(degree: int) -> None:
    """The Dirichlet form of a harmonic is l(l + 1) times its square's integral."""
    sizes, errors = (9, 18, 36), []
    for n in sizes:
        on = quadrature_mesh(n)
        u = on.nodes[:, :degree].prod(axis=1)
        form = on.transmissibilities @ np.diff(u[on.pairs], axis=1)[:, 0] ** 2
        errors.append(abs(form / (on.volumes @ u**2) - degree * (degree + 1)))
    assert fitted_order(sizes, errors) == pytest.approx(-2.0, abs=0.15)


def test_same_compares_nodes_and_manifold() -> None:
    assert mesh(Torus(1), 16).same(mesh(Torus(1), 16))
    assert not mesh(Torus(1), 16).same(mesh(Torus(1), 17))
    assert not mesh(Torus(1), 16).same(mesh(Torus(1, period=1.0), 16))
    assert not mesh(Torus(2), (4, 8)).same(mesh(Torus(2), (8, 4)))


@pytest.mark.parametrize("cells", [2, 0, -4, 3.5, "many", (8, 8), (8, 2.5)])
def test_bad_cells_are_refused(cells: object) -> None:
    with pytest.raises((ValueError, TypeError), match="cells"):
        mesh(Torus(1), cells)  # type: ignore[arg-type]


def test_a_manifold_without_a_mesh_is_refused() -> None:
    for manifold in (Torus(4), Sphere(9)):
        with pytest.raises(ValueError, match="no mesh for"):
            mesh(manifold)


@pytest.mark.parametrize(("manifold", "cells"), [(Torus(2), 4), (Sphere(1), 5), (Sphere(2), 12)])
def test_what_measures_share_is_not_written_to(manifold, cells):
    on = mesh(manifold, cells)
    for array in (on.nodes, on.volumes, on.pairs, on.transmissibilities, on.faces, on.points):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    mine = np.array(on.nodes)
    own = Mesh(manifold, mine, on.volumes, on.pairs, on.transmissibilities, on.faces)
    assert mine.flags.writeable and not own.nodes.flags.writeable
