"""The Gibbs fixed point (9) followed in beta, to show the trade-off of Theorem 1 on one game.

The smaller the temperature, the nearer the fixed point is to a Nash equilibrium, and the longer the
flow (7) takes to reach it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from meanfield.checks import Array, NotConverged, allow_underflow, finite_array, truth
from meanfield.equilibria.gibbs import GibbsPoint, gibbs
from meanfield.equilibria.stability import Stability, stability
from meanfield.games.base import Game, a_game
from meanfield.metrics.energy import free_energy
from meanfield.metrics.nikaido import NikaidoIsoda, NikaidoIsodaError
from meanfield.progress import bar
from meanfield.shown import Shown
from meanfield.storage.results import Result


@dataclass(frozen=True, eq=False)
class GibbsPath(Shown, Result):
    """Fixed points (9) at rising `beta` (B,), and what is known of each.

    value: L. free_energy: L_beta. entropy (B, 2): H of x and of y. ni, ni_upper: the Nikaido-Isoda
    error and its certificate. residual: as of `gibbs`. rate, frequency: of the linearised (7), None
    unless asked for.
    """

    beta: Array
    value: Array
    free_energy: Array
    entropy: Array
    ni: Array
    ni_upper: Array
    residual: Array
    rate: Array | None
    frequency: Array | None
    points: list[GibbsPoint] = field(repr=False)

    def __repr__(self) -> str:
        return (
            f"GibbsPath: {len(self.beta)} fixed points, beta from {self.beta[0]:g} to "
            f"{self.beta[-1]:g}, NI from {self.ni[0]:.3g} to {self.ni[-1]:.3g}, residuals up to "
            f"{self.residual.max():.1e}"
        )

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw value, entropies, NI and rate as `meanfield.plotting.plot_path` does."""
        from meanfield.plotting import plot_path

        return plot_path(self, ax, **options)


@allow_underflow
def gibbs_path(
    game: Game,
    betas: ArrayLike,
    cells: Any = None,
    tol: float = 1e-12,
    spectrum: bool = False,
    progress: bool | None = None,
) -> GibbsPath:
    """Gibbs fixed points (9) at rising inverse temperatures, each started from the one before.

    Parameters
    ----------
    game : Game
    betas : (B,)
        Above 0 and rising.
    cells, tol
        As of `gibbs`.
    spectrum : bool
        Whether the leading eigenvalue of the linearised (7) is computed at each, too.
    progress : bool, optional
        A bar, by default on terminals.

    Returns
    -------
    GibbsPath

    Raises
    ------
    ValueError
        For betas that do not rise.
    NotConverged
        With the beta reached.
    """
    a_game(game)
    at = finite_array("betas", betas, (None,))
    if not len(at) or at[0] <= 0 or (np.diff(at) <= 0).any():
        raise ValueError(f"betas must be above 0 and rise, got {at}")
    truth("spectrum", spectrum)
    points: list[GibbsPoint] = []
    errors: list[NikaidoIsodaError] = []
    leading: list[Stability] = []
    error = NikaidoIsoda(game, tight=True)
    with bar(len(at), "Gibbs points", progress) as shown:
        for beta in at:
            begun = (points[-1].x, points[-1].y) if points else None
            try:
                points.append(gibbs(game, float(beta), cells, tol, begun))
            except NotConverged as lost:
                reached = f"{points[-1].beta[0]:g}" if points else "none"
                raise NotConverged(
                    f"at beta = {beta:g}, the last reached being {reached}: {lost}"
                ) from None
            errors.append(error(points[-1].x, points[-1].y))
            if spectrum:
                leading.append(stability(game, points[-1], count=1))
            shown.update(1)

    def column(of: Callable[[Any], Any], rows: Sequence[Any] = points) -> Array:
        return np.array([of(row) for row in rows])

    return GibbsPath(
        at,
        column(lambda p: game.value(p.x, p.y)),
        column(lambda p: free_energy(game, p.beta, p.x, p.y)),
        column(lambda p: (p.x.entropy(), p.y.entropy())),
        column(lambda p: p.value, errors),
        column(lambda p: p.upper, errors),
        column(lambda p: p.residual),
        column(lambda p: p.rate, leading) if spectrum else None,
        column(lambda p: p.frequency, leading) if spectrum else None,
        points,
    )
