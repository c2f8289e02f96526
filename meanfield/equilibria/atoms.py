"""Linear stability of the flows with weights, (8) and its kin, at a Nash equilibrium of atoms.

Atoms x_i with weights w_i move by dx_i/dt = -gamma grad U(x_i) and d log w_i/dt = -alpha (U(x_i) -
sum_k w_k U(x_k)), U the player's cost against the other's atoms. At an equilibrium both vanish, and
small perturbations of positions and weights follow the derivative of this velocity. Weights alone
(gamma = 0) turn and never settle, as their part is antisymmetric; what damps them are positions
that give way (partial curvature: Wang & Chizat, arXiv:2211.01280). New atoms elsewhere are not
looked at: where U exceeds its minimum by d they die out at the rate alpha d.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.density.coupling import both
from meanfield.equilibria.nash import Equilibrium, nash
from meanfield.equilibria.spectrum import Complex, Spectrum
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.measures import Measure

NUDGE = 1e-5  # of the difference quotients
ROUNDING = 1e-11  # part of an eigenvalue, relative to the largest, that is none
STILL = 1e-6  # velocity, relative to the Jacobian, up to which a pair counts as at rest


@dataclass(frozen=True, eq=False)
class AtomStability(Spectrum):
    """Spectrum of a flow with weights, linearised at an equilibrium of atoms.

    eigenvalues (k,): all of them, largest real part first; those of conserved mass are left out.
    x, y: the equilibrium. residual: how fast its atoms and log-weights still move.
    """

    eigenvalues: Complex
    x: Measure = field(repr=False)
    y: Measure = field(repr=False)
    residual: float
    game: Game = field(repr=False)
    flow: Flow

    @property
    def stable(self) -> bool:
        """Whether all perturbations decay, beyond what rounding makes of those that only turn."""
        return self.rate > 1e-8 * float(np.abs(self.eigenvalues).max())

    def __repr__(self) -> str:
        return (
            f"AtomStability: rate {self.rate:.6g}, frequency {self.frequency:.6g} with "
            f"{len(self.x)} and {len(self.y)} atoms; leading eigenvalues {self.leading}"
        )


def atom_stability(game: Game, flow: Flow, near: Any = None) -> AtomStability:
    """The spectrum of a flow with weights at a Nash equilibrium of atoms; see `stability`."""
    with_weights(flow)
    point = nash(game) if near is None else near
    if not isinstance(point, Equilibrium):
        raise TypeError(f"near must be what nash returns, got {type(point).__name__}")
    if (point.x.manifold, point.y.manifold) != game.manifolds:
        raise ValueError(
            f"near is an equilibrium on {point.x.manifold} and {point.y.manifold}, but the game "
            f"has {game.X} and {game.Y}"
        )
    sides = both(lambda p: _Atoms(game, flow, p, (point.x, point.y)[p]))
    J = _jacobian(game, sides)
    at_rest = _velocity(game, sides, [np.zeros(side.size) for side in sides])
    speed = float(np.abs(at_rest).max(initial=0.0))
    if speed > STILL * max(1.0, float(np.abs(J).max(initial=0.0))):
        raise ValueError(
            f"atoms or weights of the equilibrium still move, by {speed:.1e}: polish it first "
            "(`mf.polish`), or ask `mf.nash` for a smaller tol"
        )
    values = _settled(np.linalg.eigvals(J).astype(complex))
    values = values[np.lexsort((-values.imag, -values.real))]
    return AtomStability(values, point.x, point.y, speed, game, flow)


def with_weights(flow: Flow) -> None:
    """ValueError for flows that have no spectrum at a Nash equilibrium."""
    if not flow.reacts or flow.diffuses or flow.composite or flow.responds:
        raise ValueError(
            "the spectrum at a Nash equilibrium is that of flows with weights and without noise, "
            "such as WassersteinFisherRao and MirrorDescent, that at a Gibbs point of flows with "
            f"a temperature for both players; got {flow.name!r}"
        )


def _settled(values: Complex) -> Complex:
    """Eigenvalues without the parts that are rounding of the difference quotients."""
    least = ROUNDING * float(np.abs(values).max(initial=0.0))
    real, imag = (np.where(np.abs(v) < least, 0.0, v) for v in (values.real, values.imag))
    return np.asarray(real + 1j * imag)


class _Atoms:
    """One player's atoms in coordinates: along the tangent spaces, and of log-weights but for a
    constant that they all share.
    """

    def __init__(self, game: Game, flow: Flow, p: int, mu: Measure) -> None:
        self.mu, self.p = mu, p
        self.gamma, self.alpha = flow.players[p].gamma, flow.players[p].alpha
        N = len(mu)
        self.basis = mu.manifold.basis(mu.points)  # (N, dim, ambient)
        self.moving = N * mu.manifold.dim if self.gamma > 0 else 0
        self.weighing = N - 1 if self.alpha > 0 else 0
        # Orthonormal columns across the constant vector.
        self.across = np.linalg.qr(np.column_stack([np.ones(N), np.eye(N)[:, 1:]]))[0][:, 1:]
        self.size = self.moving + self.weighing

    def at(self, s: Array) -> Measure:
        """The atoms at coordinates s (size,)."""
        points, masses = self.mu.points, self.mu.masses
        if self.moving:
            along = s[: self.moving].reshape(len(points), -1)
            step = np.einsum("nd,nda->na", along, self.basis)
            points = self.mu.manifold.retract(points, step)
        if self.weighing:
            raised = masses * np.exp(self.across @ s[self.moving :])
            masses = raised / raised.sum()
        return Measure(points, masses, self.mu.manifold)

    def velocity(self, game: Game, own: Measure, other: Measure) -> Array:
        """The velocity (size,) in these coordinates, to first order."""
        parts = []
        if self.moving:
            slope = game.gradient(self.p, own.points, other)
            parts.append(-self.gamma * np.einsum("nda,na->nd", self.basis, slope).ravel())
        if self.weighing:
            cost = game.cost(self.p, own.points, other)
            parts.append(-self.alpha * self.across.T @ (cost - own.masses @ cost))
        return np.concatenate(parts) if parts else np.empty(0)


def _velocity(game: Game, sides: tuple[_Atoms, _Atoms], s: list[Array]) -> Array:
    x, y = (side.at(part) for side, part in zip(sides, s, strict=True))
    return np.concatenate([sides[0].velocity(game, x, y), sides[1].velocity(game, y, x)])


def _jacobian(game: Game, sides: tuple[_Atoms, _Atoms]) -> Array:
    """The derivative of the velocity at the equilibrium, by central differences."""
    n, cut = sides[0].size + sides[1].size, [sides[0].size]
    columns = []
    for e in np.eye(n):
        ahead, back = (_velocity(game, sides, np.split(h * e, cut)) for h in (NUDGE, -NUDGE))
        columns.append((ahead - back) / (2 * NUDGE))
    return np.stack(columns, axis=1) if n else np.empty((0, 0))
