"""Equilibria refined on their supports: the equations of a mixed equilibrium, solved by Newton.

At an equilibrium with atoms x_i, y_j: grad V_x(x_i) = 0, V_x(x_i) = v, grad V_y(y_j) = 0,
V_y(y_j) = v, and both players' weights sum to one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.games.base import SIGNS, Game
from meanfield.manifolds import unit
from meanfield.measures import Measure
from meanfield.responses import Response, loss_size

NEAR = 1e-3  # distance of atoms that stand for one, in the manifold's unit
LIGHT = 1e-9  # mass of atoms that stand for none
ROUNDS = 12  # of Newton's method


def losses(game: Game, x: Array, y: Array) -> float:
    """The range of losses among these points and among a few others: what errors are measured by.

    A constant added to the loss does not change it.
    """
    return max(float(np.ptp(game.moving_loss(x, y))), loss_size(game)) or 1.0


def clustered(mu: Measure) -> Measure:
    """The measure with atoms lighter than 1e-9 dropped, and near ones merged into the heaviest."""
    near = NEAR * unit(mu.manifold)
    order = np.argsort(-mu.masses, kind="stable")
    order = order[mu.masses[order] > LIGHT]
    points: list[Array] = []
    masses: list[float] = []
    for i in order:
        gaps = [float(mu.manifold.distance(mu.points[i], q)) for q in points]
        if gaps and min(gaps) < near:
            masses[int(np.argmin(gaps))] += float(mu.masses[i])
        else:
            points.append(mu.points[i])
            masses.append(float(mu.masses[i]))
    total = np.array(masses)
    return Measure(np.array(points), total / total.sum(), mu.manifold)


def refine(game: Game, mu_x: Measure, mu_y: Measure) -> tuple[Measure, Measure] | None:
    """The pair moved to where the equilibrium equations hold; None if weights become negative.

    Newton's steps are of least squares, so that equilibria of a continuum are approached too.
    """
    unknown = Unknowns(game, mu_x, mu_y)
    z = np.zeros(unknown.size)
    residual = unknown.residual(z)
    for _ in range(ROUNDS):
        move = np.linalg.lstsq(unknown.jacobian(z), -residual, rcond=1e-12)[0]
        after = unknown.residual(z + move)
        if not np.linalg.norm(after) < np.linalg.norm(residual):
            break
        z, residual = z + move, after
    return unknown.pair(z)


def uniqueness(
    game: Game, mu_x: Measure, mu_y: Measure, responses: tuple[Response, Response], error: float
) -> tuple[bool | None, str]:
    """Whether the equilibrium is the only one (None where that is not decided), and why.

    Equilibria of zero-sum games interchange: another mu_x' would be supported on the minimisers of
    V_x against mu_y, and hold mu_y's atoms at stationary points of one value. Where the minimisers
    are the atoms, and curve upwards, that leaves linear equations for the weights: a full rank
    means that there is one solution, a lower one a continuum of equilibria.
    """
    scale = losses(game, mu_x.points, mu_y.points)
    if not error <= 1e-6 * scale:
        return None, "not near enough to an equilibrium to tell whether it is unique"
    slack, pair = 10 * error + 1e-9 * scale, (mu_x, mu_y)
    for p, response in enumerate(responses):
        name, own = "xy"[p], pair[p]
        if not _strict(game, p, own, pair[1 - p], scale):
            return None, f"degenerate: {name}'s best responses may be a continuum"
        ties = response.minimisers[response.values <= response.value + slack]
        near = NEAR * unit(own.manifold)
        if any(own.manifold.distance(own.points, q).min() > near for q in ties):
            return None, f"degenerate: {name} has a best response that carries no weight"
    free = [len(mu) - _rank(game, p, mu, pair[1 - p], scale) for p, mu in enumerate(pair)]
    if any(free):
        where = f"{free[0]} and {free[1]} directions"
        return False, f"one of a continuum of equilibria: weights are free in {where}"
    return True, "the only equilibrium"


def _strict(game: Game, p: int, own: Measure, other: Measure, scale: float) -> bool:
    """Whether the cost curves upwards at every atom."""
    curvature = np.linalg.eigvalsh(game.hessian(p, own.points, other)) * unit(own.manifold) ** 2
    return bool(curvature.min() > 1e-6 * scale)


def _rank(game: Game, p: int, own: Measure, other: Measure, scale: float) -> int:
    """Rank of the equations that hold the opponent's atoms, in the weights of p's atoms."""
    q, manifold = 1 - p, own.manifold
    one = [Measure(x[None], None, manifold) for x in own.points]
    frame = unit(other.manifold) * game.manifolds[q].basis(other.points)
    columns = [
        np.concatenate([
            game.cost(q, other.points, mu) - game.cost(q, other.points, one[0]),
            np.einsum("nia,na->ni", frame, game.gradient(q, other.points, mu)).ravel(), [scale],
        ]) for mu in one
    ]  # fmt: skip
    # All opponent's atoms have one value, which is free.
    level = np.repeat([scale, 0.0], [len(other), other.manifold.dim * len(other) + 1])
    return int(np.linalg.matrix_rank(np.stack([*columns, level], 1), tol=1e-7 * scale)) - 1


class Unknowns:
    """Tangent displacements and weight changes of all atoms, and the value, as one vector.

    Lengths are in the manifolds' units, losses in that of the game. value, scale: the value that
    changes are counted from and what losses are measured by, if they are known.
    """

    def __init__(
        self, game: Game, mu_x: Measure, mu_y: Measure,
        value: float | None = None, scale: float | None = None,
    ) -> None:  # fmt: skip
        self.game, self.start = game, (mu_x, mu_y)
        self.units = unit(game.X), unit(game.Y)
        self.bases = [
            u * mu.manifold.basis(mu.points) for u, mu in zip(self.units, self.start, strict=True)
        ]
        self.value = game.moving_value(mu_x, mu_y) if value is None else value
        self.losses = losses(game, mu_x.points, mu_y.points) if scale is None else scale
        dims = [len(mu) * (M.dim + 1) for M, mu in zip(game.manifolds, self.start, strict=True)]
        self.ends = np.cumsum(dims)
        self.size = int(self.ends[-1]) + 1

    def atoms(self, z: Array, p: int) -> tuple[Array, Array]:
        """Points and (possibly negative) weights of player p."""
        M, mu = self.game.manifolds[p], self.start[p]
        part = z[(0, self.ends[0])[p] : self.ends[p]].reshape(len(mu), M.dim + 1)
        moved = M.retract(mu.points, np.einsum("ni,nia->na", part[:, :-1], self.bases[p]))
        return moved, mu.masses + part[:, -1]

    def residual(self, z: Array) -> Array:
        """The equilibrium equations, (size + 1,): slopes and cost of each atom, then the masses."""
        rows = []
        (x, w), (y, u) = self.atoms(z, 0), self.atoms(z, 1)
        for p, own, other, weights in ((0, x, y, u), (1, y, x, w)):
            sign = SIGNS[p]
            opponent = Signed(other, weights, self.game.manifolds[1 - p])
            basis = self.units[p] * self.game.manifolds[p].basis(own)
            costs, gradients = self.game.cost_and_gradient(p, own, opponent)
            slopes = np.einsum("nia,na->ni", basis, gradients)
            off = costs - sign * (self.value + self.losses * z[-1])
            rows.append(np.column_stack([slopes, off]).ravel() / self.losses)
        return np.concatenate([*rows, [w.sum() - 1, u.sum() - 1]])

    def jacobian(self, z: Array) -> Array:
        """Derivatives of the equations, (size + 1, size).

        The frames along which slopes are taken turn as atoms move. What that adds is left out: it
        vanishes at an equilibrium, so that Newton converges as fast.
        """
        places = self.atoms(z, 0), self.atoms(z, 1)
        mixed = self.game.mixed(places[0][0], places[1][0])
        second = mixed, -mixed.transpose(2, 3, 0, 1)
        pairs = [self._pairs(p, places[p][0], places[1 - p][0]) for p in (0, 1)]
        turns = [self._turns(z, p, places[p][0]) for p in (0, 1)]
        J, ends = np.zeros((self.size + 1, self.size)), (0, *self.ends)
        for p, q in ((0, 1), (1, 0)):
            opponent = Signed(*places[q], self.game.manifolds[q])
            own, others = slice(ends[p], ends[p + 1]), slice(ends[q], ends[q + 1])
            J[own, own] = self._by_own(p, places[p][0], opponent, pairs[p], turns[p])
            J[own, others] = self._by_others(p, second[p], pairs, opponent.masses, turns[q])
            width = pairs[p].shape[2]
            J[own, -1][width - 1 :: width] = -SIGNS[p]
            J[p - 2, own][width - 1 :: width] = 1.0
        return J

    def _by_own(self, p: int, x: Array, opponent: Measure, pairs: Array, turns: Array) -> Array:
        """How p's slopes and costs change with the positions of its own atoms: those of an atom
        with its own position alone.
        """
        (n, _, width), each = pairs.shape, np.arange(len(x))
        slopes = np.einsum("nmi,m->ni", pairs, opponent.masses)[:, None, :-1]
        H = self.game.hessian(p, x, opponent)
        found = np.zeros((n, width, n, width))
        found[each, :, each, :-1] = np.concatenate([H, slopes], axis=1) @ turns
        found[:, :-1] *= self.units[p]
        return found.reshape(n * width, -1) / self.losses

    def _by_others(
        self, p: int, mixed: Array, pairs: list[Array], masses: Array, turns: Array
    ) -> Array:
        """How p's slopes and costs change with the opponent's atoms: positions, then the weight of
        each.
        """
        own, other = pairs[p], pairs[1 - p]
        n, m, width = own.shape
        # The opponent's cost is minus p's, and so are its slopes.
        moves = np.concatenate([mixed, -other[..., None, :-1].transpose(1, 2, 0, 3)], axis=1)
        found = np.empty((n, width, m, other.shape[2]))
        found[..., :-1] = np.einsum("nimj,m,mjk->nimk", moves, masses, turns)
        found[..., -1] = own.transpose(0, 2, 1)
        found[:, :-1] *= self.units[p]
        return found.reshape(n * width, -1) / self.losses

    def _pairs(self, p: int, own: Array, other: Array) -> Array:
        """Slopes along the frames, and costs, of p's atoms against each of the other's, shape
        (n, m, dim + 1).
        """
        game, M = self.game, self.game.manifolds[1 - p]
        frame, columns = game.manifolds[p].basis(own), []
        for point in other:
            costs, gradients = game.cost_and_gradient(p, own, Measure(point[None], None, M))
            slopes = np.einsum("nia,na->ni", frame, gradients)
            columns.append(np.column_stack([slopes, costs]))
        return np.stack(columns, 1)

    def _turns(self, z: Array, p: int, points: Array, h: float = 1e-7) -> Array:
        """How atoms move with their coordinates, in the frames where they are, (n, dim, dim): at
        z = 0 a multiple of the identity.
        """
        M, n, columns = self.game.manifolds[p], len(points), []
        for k in range(M.dim):
            nudged = z.copy()
            nudged[(0, self.ends[0])[p] : self.ends[p]].reshape(n, -1)[:, k] += h
            columns.append(M.difference(points, self.atoms(nudged, p)[0]) / h)
        return np.einsum("nia,kna->nik", M.basis(points), np.array(columns))

    def pair(self, z: Array) -> tuple[Measure, Measure] | None:
        """Both measures; None where a weight is negative."""
        measures = []
        for p in (0, 1):
            points, weights = self.atoms(z, p)
            if not np.isfinite(weights).all() or weights.min() < -LIGHT:
                return None
            weights = np.maximum(weights, 0.0)
            measures.append(Measure(points, weights / weights.sum(), self.game.manifolds[p]))
        return measures[0], measures[1]


class Signed(Measure):
    """A measure in the middle of an iteration, when weights need not be a probability's."""

    def __init__(self, points: Array, masses: Array, manifold: Any) -> None:
        for name, value in (("points", points), ("masses", masses), ("manifold", manifold)):
            object.__setattr__(self, name, value)
