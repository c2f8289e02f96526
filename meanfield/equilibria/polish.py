"""From a run's particles to the exact equilibrium nearby.

Atoms are merged, by a few radii. On each set of supports weights solve the matrix game, and then
positions and weights the equilibrium equations, by Newton. The double oracle goes on from the best
pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from meanfield.checks import Array, allow_underflow, real
from meanfield.equilibria.nash import Equilibrium, matrix_game, nash
from meanfield.equilibria.support import refine
from meanfield.games.base import Game, a_game
from meanfield.measures import Measure
from meanfield.metrics.nikaido import NikaidoIsoda
from meanfield.shown import Shown
from meanfield.storage.results import Result

RADII = (0.001, 0.01, 0.03, 0.1, 0.3)  # of the manifold's reach
MOST = 400  # atoms a player that the linear program is given


@dataclass(frozen=True, eq=False)
class Polished(Shown, Result):
    """The equilibrium near a pair of measures, and how the pair compares with it.

    before, merged, after: NI of the pair given, of its merged atoms with their weights by linear
    programming, and of the equilibrium. moved: for each player, how far the farthest atom of the
    equilibrium lies from the given ones. merged_x, merged_y: the merged pair.
    """

    equilibrium: Equilibrium
    before: float
    merged: float
    after: float
    merged_x: Measure
    merged_y: Measure
    moved: tuple[float, float]

    @property
    def x(self) -> Measure:
        return self.equilibrium.x

    @property
    def y(self) -> Measure:
        return self.equilibrium.y

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the equilibrium as `meanfield.plotting.plot_equilibrium` does; the figure."""
        return self.equilibrium.plot(ax, **options)

    def __repr__(self) -> str:
        atoms = f"{len(self.merged_x)} and {len(self.merged_y)}"
        return (
            f"Polished: NI {self.before:.3g} before, {self.merged:.3g} on {atoms} merged atoms, "
            f"{self.after:.3g} now; atoms of the equilibrium within {self.moved[0]:.2g} and "
            f"{self.moved[1]:.2g} of the given ones; {self.equilibrium!r}"
        )


@allow_underflow
def polish(game: Game, mu_x: Measure, mu_y: Measure, tol: float = 1e-9) -> Polished:
    """The exact equilibrium nearby: from particles, say, of a Wasserstein-Fisher-Rao run.

    Parameters
    ----------
    game : Game
    mu_x, mu_y : Measure
    tol : float
        The certificate wanted, relative to the losses met.

    Returns
    -------
    Polished

    Raises
    ------
    TypeError, ValueError
        For measures that are not on the game's manifolds.
    """
    tol, error = real("tol", tol, 0.0, strict=True), NikaidoIsoda(a_game(game), tight=True)
    before = error(mu_x, mu_y).value
    tried = [_solved(game, mu_x, mu_y, radius) for radius in RADII]
    errors = [error(*pair).value for pair in tried]
    best = tried[int(np.argmin(errors))]
    refined = [pair for t in tried if (pair := refine(game, *t)) is not None]
    start = min([*refined, best], key=lambda pair: error(*pair).value)
    exact = nash(game, tol, start=start)
    moved = _farthest(exact.x, mu_x), _farthest(exact.y, mu_y)
    after = error(exact.x, exact.y).value
    return Polished(exact, before, min(errors), after, *best, moved)


def _solved(game: Game, mu_x: Measure, mu_y: Measure, radius: float) -> tuple[Measure, Measure]:
    """Atoms merged within a radius, those without use dropped, weights by linear programming."""
    return matrix_game(game, [merged(mu, radius * mu.manifold.reach) for mu in (mu_x, mu_y)])


def merged(mu: Measure, radius: float) -> Array:
    """The centres of groups of atoms, each around the heaviest atom left; heaviest groups first."""
    left, centres, weights = np.argsort(-mu.masses, kind="stable"), [], []
    left = left[mu.masses[left] > 0]
    while len(left):
        head = mu.points[left[0]]
        near = mu.manifold.distance(mu.points[left], head) < radius
        group, masses = mu.points[left[near]], mu.masses[left[near]]
        offsets = mu.manifold.difference(np.broadcast_to(head, group.shape), group)
        mean = masses @ offsets / masses.sum()
        centres.append(mu.manifold.retract(head[None], mean[None])[0])
        weights.append(masses.sum())
        left = left[~near]
    return np.array(centres)[np.argsort(-np.array(weights), kind="stable")[:MOST]]


def _farthest(exact: Measure, given: Measure) -> float:
    return max(float(exact.manifold.distance(given.points, q).min()) for q in exact.points)
