"""The axes in which particles of games on spheres move: the eigenvectors of a player's quadratic
form.

Where a player's squared coordinates x^2 appear in no cost, its cost a'x + q x'Sx + constant and the
law of its noise know no axes. In the basis of eigenvectors, x = E z and S = E diag(lambda) E', the
game is one of the same kind with diag(lambda) in place of S, and a step takes O(d) operations a
particle, not O(d^2). Starts are turned before the first step, noise is drawn along the
eigenvectors, and what is saved is turned back. For another frame the same seed gives other noise of
the same law: runs of one game share theirs, runs of games with different S do not.

The eigenvectors are those of LAPACK's eigh, whose bits may depend on the library and its threads:
one thread and two gave the same at d <= 120, but not at d = 300. A run's axes are stored with it
and used when it is resumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from meanfield.aligned import copied
from meanfield.checks import Array
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.games.bases import QuadraticBasis
from meanfield.games.lowrank import LowRank
from meanfield.particles.simd.product import products

Axes = tuple[Array | None, Array | None]  # eigenvectors in columns, None where x itself moves


@dataclass(frozen=True, eq=False)
class Frame:
    """`game` in the coordinates of `axes`."""

    game: Game
    axes: Axes = (None, None)

    def into(self, p: int, x: Array) -> Array:
        """Blocks (blocks, a, lanes) of player p's points or vectors, turned into the frame; x
        itself without axes.
        """
        E = self.axes[p]
        return x if E is None else copied(_apply(np.ascontiguousarray(E.T), x))

    def back(self, p: int, z: Array) -> Array:
        """Blocks in the frame, turned back."""
        E = self.axes[p]
        return z if E is None else _apply(E, z)

    def coefficients(self, p: int, C: Array) -> Array:
        """Coefficients (..., K_p) of a cost of player p for the features in the frame."""
        E = self.axes[p]
        if E is None:
            return C
        d = len(E)
        return np.concatenate([C[..., :1], C[..., 1 : d + 1] @ E, C[..., d + 1 :]], axis=-1)

    def axes_by_name(self) -> dict[str, Any]:
        """The axes as part of a state that can be resumed."""
        return {f"axes_{name}": E for name, E in zip("xy", self.axes, strict=True) if E is not None}


def spherical(game: Game) -> bool:
    """Whether both players live on spheres and have quadratic features."""
    return game.bases is not None and all(type(b) is QuadraticBasis for b in game.bases)


def frame(game: Game, flow: Flow, kept: Any = None) -> Frame:
    """The frame in which particles of this flow move; `kept` holds the axes of a run to be resumed.

    Responses jump to the nodes of a mesh, which are not turned: their flows stay in the game's own
    frame, as do players that do not move.
    """
    if not spherical(game) or flow.responds:
        return Frame(game)
    own: Any = game
    C, bases, axes = own.C.copy(), list(own.bases), []
    for p, basis in enumerate(own.bases):
        d = basis.manifold.ambient
        E = (
            _axes(own, p)
            if kept is None and flow.players[p].gamma > 0
            else (kept or {}).get(f"axes_{'xy'[p]}")
        )
        axes.append(E)
        if E is None:
            continue
        linear = (slice(1, d + 1), slice(None)) if p == 0 else (slice(None), slice(1, d + 1))
        C[linear] = _times(E.T, C[linear]) if p == 0 else _times(C[linear], E)
        bases[p] = QuadraticBasis(basis.manifold, np.diag(np.sum(E * _times(basis.S, E), axis=0)))
    moving = (
        game if axes[0] is None and axes[1] is None else LowRank(bases[0], bases[1], C, game.name)
    )
    return Frame(moving, (axes[0], axes[1]))


def _axes(game: Any, p: int) -> Array | None:
    """Eigenvectors of player p's form, the largest entry of each positive; None where they are not
    wanted.
    """
    S = game.bases[p].S
    squares = game.C[len(S) + 1 : -1] if p == 0 else game.C[:, len(S) + 1 : -1]
    if squares.any() or not (S - np.diag(np.diag(S))).any():
        return None
    E = np.linalg.eigh(S)[1]
    signs = np.sign(E[np.abs(E).argmax(axis=0), np.arange(len(E))])
    return np.ascontiguousarray(E * signs)


def _times(A: Array, B: Array) -> Array:
    """A B to the same bits for any number of threads."""
    return np.einsum("ik,kj->ij", A, B)


def _apply(M: Array, x: Array) -> Array:
    out = np.empty_like(x)
    products(M, x, out)
    return out
