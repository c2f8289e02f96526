"""Linear stability of the Gibbs point (9) under equation (7), and of its slow modes.

With masses m_p (1 + f_p) and the Gibbs masses m_p, (7) is, to first order in f,

    m_p df_p/dt = gamma_p div(m_p grad(T_p f_p + u_p)),    u_p = U_p[m_q f_q].

Written for g = sqrt(m) f this is dg_p/dt = -gamma_p S_p (T_p g_p + B_p g_q). S = A'A is symmetric,
A = exp(-beta U/2) grad exp(beta U/2) takes differences of U over a few cells only, and B has the
rank of the game. The leading modes are combinations of the lowest eigenvectors of both S_p and of
the range of B.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np

from meanfield.checks import Array, allow_underflow, warn, whole
from meanfield.density.coupling import both
from meanfield.density.inputs import per_player
from meanfield.equilibria.atoms import AtomStability, atom_stability
from meanfield.equilibria.gibbs import GibbsPoint, LinearMaps, gibbs
from meanfield.equilibria.nash import Equilibrium
from meanfield.equilibria.spectrum import Complex, Spectrum
from meanfield.flows import Flow, Number, pair
from meanfield.games.base import Game, a_game
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Density
from meanfield.meshes import Mesh, mesh

ORDER = 8  # of the differences on tori; two-point fluxes elsewhere are of order 2
DENSE = 320  # cells up to which all modes of S are computed
SHIFT = 1e-2  # the sparse eigensolver inverts S + SHIFT
POWERS = 3  # of (S + SHIFT)^{-1} whose images of the forces are in the basis
PECLET = 6.0  # beta |dU| over a cell beyond which the differences see too little of the wells


@dataclass(frozen=True, eq=False)
class Stability(Spectrum):
    """Leading spectrum of the linearised (7) at the Gibbs point.

    eigenvalues (k,): largest real part first, the two zeros of conserved mass left out. residuals
    (k,): |L v - lambda v| / |v| on the meshes, which tells what the truncation to `modes` misses.
    modes_x (k, N), modes_y (k, M): the eigenvectors as changes of the cell masses.
    """

    eigenvalues: Complex
    residuals: Array
    modes_x: Complex = field(repr=False)
    modes_y: Complex = field(repr=False)
    point: GibbsPoint = field(repr=False)
    gamma: tuple[float, float] = (1.0, 1.0)

    @property
    def stable(self) -> bool:
        return self.rate > 0

    def perturbed(self, amplitude: float, k: int = 0) -> tuple[Density, Density]:
        """The Gibbs point moved along mode k, so that the largest relative change of a density is
        `amplitude`.
        """
        moves = (self.point.x, self.modes_x[k].real), (self.point.y, self.modes_y[k].real)
        charged = ((v[mu.masses > 0], mu.masses[mu.masses > 0]) for mu, v in moves)
        size = max(float(np.abs(v / m).max()) for v, m in charged)

        def moved(mu: Density, v: Array) -> Density:
            masses = mu.masses + amplitude / size * v
            return Density(masses / masses.sum(), mu.mesh)

        return moved(*moves[0]), moved(*moves[1])

    def __repr__(self) -> str:
        return (
            f"Stability at beta = {self.point.beta}: rate {self.rate:.6g}, frequency "
            f"{self.frequency:.6g}; leading eigenvalues {self.leading} (residuals up to "
            f"{self.residuals.max():.1e})"
        )


@overload
def stability(
    game: Game,
    beta: Number | GibbsPoint,
    cells: Any = None,
    count: int = 6,
    gamma: Number = 1.0,
    modes: int = 40,
) -> Stability: ...
@overload
def stability(game: Game, beta: Flow, *, near: Equilibrium | None = None) -> AtomStability: ...
@allow_underflow
def stability(
    game: Game,
    beta: Number | GibbsPoint | Flow,
    cells: Any = None,
    count: int = 6,
    gamma: Number = 1.0,
    modes: int = 40,
    near: Equilibrium | None = None,
) -> Stability | AtomStability:
    """How (7) returns to the Gibbs point (9): leading eigenvalues and modes of its linearisation.

    For a flow with weights and no noise in the place of beta, such as (8), the spectrum of its
    linearisation at the equilibrium `near` (by default that of `nash`), as
    `meanfield.equilibria.AtomStability` describes it.

    Differences are of order 8 on tori and of order 2 elsewhere.

    Parameters
    ----------
    game : Game
    beta : float, pair, GibbsPoint or Flow
        An inverse temperature, one or one a player, a Gibbs point that is known already, or a flow
        with weights and without noise.
    cells
        As for `gibbs`.
    count : int
        How many eigenvalues.
    gamma : float or pair
        The players' transport rates.
    modes : int
        How many eigenvectors of each player's own generator carry the coupled modes on meshes of
        more than 320 cells; raise it when `residuals` are large.
    near : Equilibrium, optional
        With a flow alone: where its spectrum is wanted.

    Returns
    -------
    Stability, or AtomStability with a flow

    Raises
    ------
    ValueError, NotConverged
        What `gibbs` raises.

    Warns
    -----
    UnderResolved
        Where beta |dU| over one cell exceeds 6.
    """
    a_game(game)
    if isinstance(beta, Flow):
        if (cells, count, gamma, modes) != (None, 6, 1.0, 40):
            raise TypeError("with a flow, stability takes near= alone: the flow has its own gamma")
        return atom_stability(game, beta, near)
    if near is not None:
        raise TypeError("near= is for flows with weights, given in the place of beta")
    count, modes = whole("count", count), whole("modes", modes, 2)
    rates = pair("gamma", gamma, strict=True)
    if isinstance(beta, GibbsPoint) and cells is not None:
        raise ValueError(
            "a Gibbs point has its cells already; give an inverse temperature, or leave cells out"
        )
    on = tuple(map(_even, game.manifolds, per_player(cells)))
    point = beta if isinstance(beta, GibbsPoint) else gibbs(game, beta, on)
    if point.game is not game and point.game.manifolds != game.manifolds:
        raise ValueError(f"the Gibbs point is one of {point.game!r}, not of {game!r}")
    sides = both(lambda p: _side(point, p, modes))
    pushed = both(lambda p: _coupling(sides, p, sides[1 - p].basis))
    sides = both(lambda p: _widened(sides[p], pushed[p]))
    values, vectors = _spectrum(*_reduced(point, sides, rates))
    order = np.lexsort((-values.imag, -values.real))[:count]
    values, vectors = values[order], vectors[:, order]
    k = sides[0].basis.shape[1]
    g = sides[0].basis @ vectors[:k], sides[1].basis @ vectors[k:]

    def generated(p: int) -> Any:
        force = g[p] / point.beta[p] + _coupling(sides, p, g[1 - p])
        return -rates[p] * (sides[p].S @ force)

    moved = both(generated)
    # |g| = 1: the bases are orthonormal, and vectors in them have length one.
    missed = np.linalg.norm(np.concatenate(moved) - np.concatenate(g) * values, axis=0)
    x, y = both(lambda p: (sides[p].root[:, None] * g[p]).T.astype(complex))
    return Stability(values.astype(complex), missed, x, y, point, rates)


@dataclass(frozen=True, eq=False)
class _Side:
    """One player: A, S = A'A, and an orthonormal basis for its part of the leading modes."""

    A: Any  # sparse
    S: Any  # sparse
    root: Array  # sqrt(m), (N,)
    basis: Array  # (N, k), orthogonal to sqrt(m)
    solve: Callable[[Array], Array]  # (S + SHIFT)^{-1}, orthogonally to sqrt(m)
    maps: LinearMaps


def _even(M: Manifold, cells: Any) -> Any:
    """A player's cells, on S^2 the icosahedral mesh, whose cells are of nearly one size."""
    return mesh(M, cells) if Sphere(2) == M else cells


def _side(point: GibbsPoint, p: int, modes: int) -> _Side:
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
    return _Side(A, S, root, basis, solve, maps)


def _widened(side: _Side, pushed: Array) -> _Side:
    """The side with more modes: the forces that the opponent's modes cause, and what S makes of
    them.

    A mode g of eigenvalue v solves (gamma T S + v) g = -gamma S force: slow modes lie next to the
    forces.
    """
    if side.basis.shape[1] == len(side.root) - 1:
        return side
    off_root = pushed - np.outer(side.root, side.root @ pushed)
    U, sizes, _ = np.linalg.svd(off_root, full_matrices=False)
    forces = U[:, sizes > 1e-13 * sizes[0]] if sizes[0] > 0 else U[:, :0]
    parts, answer = [side.basis, forces], forces
    for _ in range(POWERS):
        answer = np.stack([side.solve(v) for v in answer.T], 1) if answer.shape[1] else answer
        parts.append(answer / np.maximum(np.linalg.norm(answer, axis=0), 1e-300))
    span, sizes, _ = np.linalg.svd(np.concatenate(parts, axis=1), full_matrices=False)
    span = span[:, sizes > 1e-10 * sizes[0]]
    return replace(side, basis=np.linalg.qr(span - np.outer(side.root, side.root @ span))[0])


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


def _coupling(sides: tuple[_Side, _Side], p: int, g: Any) -> Any:
    """B_p g_q for columns of the opponent's g (M, k)."""
    me, other = sides[p], sides[1 - p]
    return me.root[:, None] * (me.maps.costs @ other.maps.moments(other.root[:, None] * g))


def _reduced(
    point: GibbsPoint, sides: tuple[_Side, _Side], gamma: tuple[float, float]
) -> tuple[Array, Array]:
    """The generator in both players' bases as -G F: G = gamma V'SV by players, F the forces."""
    sizes = [side.basis.shape[1] for side in sides]
    G, F = np.zeros((2, sum(sizes), sum(sizes)))
    ends = (slice(0, sizes[0]), slice(sizes[0], None))
    for p, side in enumerate(sides):
        # Formed from A, whose singular value is 1e-7 where S has an eigenvalue of 1e-14.
        steep = side.A @ side.basis
        G[ends[p], ends[p]] = gamma[p] * (steep.T @ steep)
        F[ends[p], ends[p]] = np.eye(sizes[p]) / point.beta[p]
        F[ends[p], ends[1 - p]] = side.basis.T @ _coupling(sides, p, sides[1 - p].basis)
    return G, F


def _spectrum(G: Array, F: Array) -> tuple[Complex, Complex]:
    """Eigenvalues and eigenvectors of -G F; those near zero by its inverse, which keeps digits."""
    values, vectors = np.linalg.eig(-G @ F)
    edge = np.sqrt(np.finfo(float).eps) * float(np.abs(values).max())
    slow = np.abs(values) < edge
    if not slow.any():
        return values.astype(complex), vectors.astype(complex)
    inverse, others = np.linalg.eig(-np.linalg.solve(F, np.linalg.inv(G)))
    slowest = np.argsort(-np.abs(inverse))[: int(slow.sum())]
    joined = np.concatenate([values[~slow], 1 / inverse[slowest]]).astype(complex)
    return joined, np.concatenate([vectors[:, ~slow], others[:, slowest]], axis=1).astype(complex)
