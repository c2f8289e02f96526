"""A flow linearised at the Gibbs point, in a few slow modes of either player.

With masses m_p (1 + f_p) and g = sqrt(m) f, transport and diffusion are -gamma S (T g_p + B g_q),
B g_q what the opponent's change exerts. S = A'A is symmetric, A = exp(-beta U/2) grad exp(beta U/2)
takes differences of U over a few cells only, and B has the rank of the game. The leading modes
combine the lowest eigenvectors of both S_p and the range of B.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from meanfield.checks import Array, warn
from meanfield.density.coupling import both
from meanfield.equilibria.fixed_point import LinearMaps
from meanfield.equilibria.gibbs import GibbsPoint
from meanfield.equilibria.spectrum import Complex
from meanfield.flows import Flow
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.meshes import Mesh, mesh

ORDER = 8  # of the differences on tori; two-point fluxes elsewhere are of order 2
DENSE = 320  # cells up to which all modes of S are computed
SHIFT = 1e-2  # the sparse eigensolver inverts S + SHIFT
POWERS = 3  # of (S + SHIFT)^{-1} whose images of the forces are in the basis
PECLET = 6.0  # beta |dU| over a cell beyond which the differences see too little of the wells


@dataclass(frozen=True, eq=False)
class Side:
    """One player: A, S = A'A, and an orthonormal basis for its part of the leading modes."""

    A: Any  # sparse
    S: Any  # sparse
    root: Array  # sqrt(m), (N,)
    basis: Array  # (N, k), orthogonal to sqrt(m)
    solve: Callable[[Array], Array]  # (S + SHIFT)^{-1}, orthogonally to sqrt(m)
    maps: LinearMaps


def even(M: Manifold, cells: Any) -> Any:
    """A player's cells, on S^2 the icosahedral mesh, whose cells are of nearly one size."""
    return mesh(M, cells) if Sphere(2) == M else cells


def side_of(point: GibbsPoint, p: int, modes: int) -> Side:
    """Player p, with the slow modes of its own generator."""
    game, (own, other) = point.game, ((point.x, point.y), (point.y, point.x))[p]
    at_nodes, at_faces = (game.cost(p, q, other) for q in (own.mesh.nodes, own.mesh.faces))
    first, second = own.mesh.pairs.T
    peclet = point.beta[p] * float(np.abs(at_nodes[first] - at_nodes[second]).max())
    if peclet > PECLET:
        warn(
            f"beta |dU| of player {'xy'[p]} reaches {peclet:.2g} over one cell: eigenvalues may "
            "err; raise `cells`"
        )
    A = _gradient(own.mesh, 0.5 * point.beta[p] * at_nodes, 0.5 * point.beta[p] * at_faces)
    S, root = (A.T @ A).tocsc(), np.sqrt(own.masses)
    basis, solve = _lowest(S, root, modes)
    maps = LinearMaps.of(game, p, (point.x.mesh, point.y.mesh))
    return Side(A, S, root, basis, solve, maps)


def widened(side: Side, pushed: Array) -> Side:
    """The side with more modes: the forces that the opponent's modes cause, and what S makes of
    them.

    A mode g of eigenvalue v solves (gamma T S + v) g = -gamma S force: slow modes lie next to the
    forces.
    """
    if side.basis.shape[1] == len(side.root) - 1:
        return side
    off_root = pushed - np.outer(side.root, side.root @ pushed)
    U, sizes = _directions(off_root)
    forces = U[:, sizes > 1e-13 * sizes[0]] if sizes[0] > 0 else U[:, :0]
    parts, answer = [side.basis, forces], forces
    for _ in range(POWERS):
        answer = np.stack([side.solve(v) for v in answer.T], 1) if answer.shape[1] else answer
        parts.append(answer / np.maximum(np.linalg.norm(answer, axis=0), 1e-300))
    span, sizes = _directions(np.concatenate(parts, axis=1))
    span = span[:, sizes > 1e-10 * sizes[0]]
    return replace(side, basis=np.linalg.qr(span - np.outer(side.root, side.root @ span))[0])


def _directions(columns: Array) -> tuple[Array, Array]:
    """Left singular vectors and values, by QR iteration: divide and conquer may not converge where
    many values are equal.
    """
    from scipy.linalg import svd

    U, sizes, _ = svd(columns, full_matrices=False, lapack_driver="gesvd")
    return U, sizes


def _gradient(mesh: Mesh, nodes: Array, faces: Array) -> Any:
    """exp(-W) grad exp(W) from nodes to faces, sparse, for W at nodes (N,) and at faces (F,).

    Takes exponentials of differences only; W = beta U/2.
    """
    from scipy.sparse import coo_matrix

    rows, columns, weights = (np.concatenate(part) for part in zip(*_stencil(mesh), strict=True))
    entries = weights * np.exp(nodes[columns] - faces[rows])
    if not np.isfinite(entries).all():
        raise ValueError("beta |dU| overflows over one cell: use more cells or a smaller beta")
    return coo_matrix((entries, (rows, columns)), shape=(len(mesh.faces), len(mesh))).tocsr()


def _stencil(mesh: Mesh) -> list[tuple[Any, Any, Any]]:
    """(faces, nodes, weights) of differences that act on sqrt(m) = sqrt(density) sqrt(volume)."""
    face = np.arange(len(mesh.pairs))
    first, second = mesh.pairs.T
    torus, shape = mesh.manifold, mesh.shape
    if not (isinstance(torus, Torus) and shape is not None and min(shape) >= 2 * ORDER):
        flux = np.sqrt(mesh.transmissibilities)
        return [
            (face, second, flux / np.sqrt(mesh.volumes[second])),
            (face, first, -flux / np.sqrt(mesh.volumes[first])),
        ]
    from meanfield.density.stencils import WEIGHTS

    number, terms = np.arange(len(mesh)).reshape(shape), []
    for axis, n in enumerate(shape):
        own, h = face[axis * len(mesh) : (axis + 1) * len(mesh)], torus.period / n
        for s, w in enumerate(WEIGHTS[ORDER], start=1):
            for sign, away in ((1, s), (-1, 1 - s)):
                node = np.roll(number, -away, axis).ravel()
                terms.append((own, node, np.full(len(own), sign * w / h)))
    return terms


def _lowest(S: Any, root: Array, modes: int) -> tuple[Array, Callable[[Array], Array]]:
    """The lowest eigenvectors of S, the zero of sqrt(m) left out, and (S + SHIFT)^{-1}."""
    N = len(root)
    if max(DENSE, modes + 2) >= N:
        # With its eigenvalue lifted, sqrt(m) is the last eigenvector instead of one among others
        # near zero.
        lift = float(np.abs(S).sum(axis=1).max()) + 1.0
        return np.linalg.eigh(S.toarray() + lift * np.outer(root, root))[1][:, : N - 1], lambda v: v
    from scipy.sparse import identity
    from scipy.sparse.linalg import LinearOperator, eigsh, splu

    shifted, symmetric = (S + SHIFT * identity(N)).tocsc(), {"SymmetricMode": True}
    factors = splu(shifted, permc_spec="MMD_AT_PLUS_A", options=symmetric)

    def solve(v: Array) -> Array:
        # S maps sqrt(m) to zero only up to rounding; the projections keep it out.
        solution = factors.solve(v - root * (root @ v))
        return np.asarray(solution - root * (root @ solution), dtype=float)

    start, inverse = np.random.default_rng(0).standard_normal(N), LinearOperator((N, N), solve)
    return eigsh(inverse, k=modes, which="LM", v0=start)[1], solve


def coupling(sides: tuple[Side, Side], p: int, g: Any) -> Any:
    """B_p g_q for columns of the opponent's g (M, k)."""
    me, other = sides[p], sides[1 - p]
    return me.root[:, None] * (me.maps.costs @ other.maps.moments(other.root[:, None] * g))


class Reduced:
    """The linearised flow -G F in both players' bases, G by parts, F the forces.

    With memory what either player remembers of the other has its own part: as many numbers as the
    forces have dimensions.
    """

    def __init__(self, point: GibbsPoint, sides: tuple[Side, Side], flow: Flow) -> None:
        from scipy.linalg import block_diag

        self.sides = sides
        sizes = [side.basis.shape[1] for side in sides]
        own = both(lambda p: np.eye(sizes[p]) / point.beta[p])
        C = both(lambda p: sides[p].basis.T @ coupling(sides, p, sides[1 - p].basis))
        G = [_mobility(point, sides[p], flow, p) for p in (0, 1)]
        at_once = np.repeat([p.response == np.inf for p in flow.players], sizes)
        self.seen: tuple[Array, Array] | None = None
        self.F = np.block([[own[0], C[0]], [C[1], own[1]]])
        if flow.memory is not None:
            (L0, R0), (L1, R1) = map(_factors, C)
            self.seen = R0, R1
            self.F = np.block([
                [own[0], np.zeros_like(C[0]), L0, np.zeros((sizes[0], len(R1)))],
                [np.zeros_like(C[1]), own[1], np.zeros((sizes[1], len(R0))), L1],
                [np.zeros((len(R0), sizes[0])), -R0, np.eye(len(R0), len(R0) + len(R1))],
                [-R1, np.zeros((len(R1), sizes[1] + len(R0))), np.eye(len(R1))],
            ])  # fmt: skip
            remembered = len(R0) + len(R1)
            G.append(float(flow.memory.rate or 0.0) * np.eye(remembered))
            at_once = np.append(at_once, np.zeros(remembered, dtype=bool))
        self.G, self.at_once = block_diag(*G), at_once
        self.ends = np.cumsum([*sizes, *map(len, self.seen or ())])

    def spectrum(self) -> tuple[Complex, Complex]:
        """Eigenvalues and eigenvectors, a player who answers at once eliminated."""
        late, once = ~self.at_once, self.at_once
        answer = -np.linalg.solve(self.F[once][:, once], self.F[once][:, late])
        forces = self.F[late][:, late] + self.F[late][:, once] @ answer
        values, found = _spectrum(self.G[late][:, late], forces)
        vectors = np.empty((len(late), len(values)), dtype=complex)
        vectors[late], vectors[once] = found, answer @ found
        return values, vectors

    def on_meshes(self, vectors: Complex) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """Both players' g, and what either one sees of the other's."""
        parts = np.split(vectors, self.ends[:-1])
        g = both(lambda p: self.sides[p].basis @ parts[p])
        if self.seen is None:
            return g, g[::-1]
        remembered, sides = self.seen, self.sides
        return g, both(lambda p: sides[1 - p].basis @ (remembered[p].T @ parts[2 + p]))


def _mobility(point: GibbsPoint, side: Side, flow: Flow, p: int) -> Array:
    """G_p in the player's basis; without the response of a player who is at it at all times."""
    rates = flow.players[p]
    # Formed from A, whose singular value is 1e-7 where S has an eigenvalue of 1e-14.
    steep = side.A @ side.basis
    local = rates.alpha + (rates.response * point.beta[p] if rates.response < np.inf else 0.0)
    with np.errstate(over="ignore"):  # told where the spectrum is sought
        return rates.gamma * np.asarray(steep.T @ steep) + local * np.eye(steep.shape[1])


def missed(
    point: GibbsPoint, sides: tuple[Side, Side], flow: Flow, p: int, g: tuple[Any, Any],
    seen: tuple[Any, Any], values: Complex,
) -> Any:  # fmt: skip
    """What modes miss of player p's equation on its mesh."""
    rates, side = flow.players[p], sides[p]
    force = g[p] / point.beta[p] + coupling(sides, p, seen[p])
    force = force - np.outer(side.root, side.root @ force)
    if rates.response == np.inf:
        return force
    local = rates.alpha + rates.response * point.beta[p]
    return rates.gamma * (side.S @ force) + local * force + g[p] * values


def _factors(C: Array) -> tuple[Array, Array]:
    """C = L R with orthonormal rows of R, as many as C has dimensions."""
    from scipy.linalg import qr

    Q, triangle, _ = qr(C.T, mode="economic", pivoting=True)
    sizes = np.abs(np.diag(triangle))
    R = Q[:, sizes > 1e-13 * sizes[0]].T
    return C @ R.T, R


def _spectrum(G: Array, F: Array) -> tuple[Complex, Complex]:
    """Eigenvalues and eigenvectors of -G F; those near zero by its inverse, which keeps digits."""
    with np.errstate(over="ignore", invalid="ignore"):
        moved = -G @ F
    if not np.isfinite(moved).all():
        raise ValueError(
            "the linearised flow overflows: gamma, alpha or the response is too large; eigenvalues "
            "grow like these rates, so take smaller ones"
        )
    values, vectors = np.linalg.eig(moved)
    edge = np.sqrt(np.finfo(float).eps) * float(np.abs(values).max())
    slow = np.abs(values) < edge
    if not slow.any():
        return values.astype(complex), vectors.astype(complex)
    inverse, others = np.linalg.eig(-np.linalg.solve(F, np.linalg.inv(G)))
    slowest = np.argsort(-np.abs(inverse))[: int(slow.sum())]
    joined = np.concatenate([values[~slow], 1 / inverse[slowest]]).astype(complex)
    return joined, np.concatenate([vectors[:, ~slow], others[:, slowest]], axis=1).astype(complex)
