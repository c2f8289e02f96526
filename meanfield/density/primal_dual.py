"""Primal-dual steps on a mesh: a solver of (9), and the limit of the particles' steps."""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.density.coupling import Pair, both
from meanfield.density.engine import parts
from meanfield.density.on_meshes import OnMeshes
from meanfield.flows.primal_dual import (
    check_entropic,
    checked,
    in_words,
    interaction,
    lengths,
    longest,
    strength,
)
from meanfield.metrics.energy import gibbs_masses

STEEP = 6.0  # change of a log-density from a cell to the next: a bump two deviations a cell
CHARGED = np.log(1e-3)  # log-density, relative to its largest, of cells that are looked at
MOST = 256  # nodes of a player at which losses are looked at


class PrimalDual(OnMeshes):
    """The steps of `meanfield.flows.primal_dual` by exact Gibbs measures, from any density above 0.

    Unlike those of other engines, they go to (9) at any length up to the stated one, at that length
    fastest: it is taken where no step is given. In the limit of short steps they follow the flow,
    to order one.

    extrapolation: theta; by default the least for which a rate is stated.
    """

    name = "primal-dual"
    saved = ("masses", "logs", "before")

    def begin(self, extrapolation: float | None = None) -> None:
        """Both players' densities; ValueError where a step would not know their logarithms."""
        check_entropic(self.flow)
        self.theta = checked(extrapolation)
        self.set_up(self.asked_meshes())
        for name, m in zip("xy", self.masses, strict=True):
            if not m.min() > 0:
                raise ValueError(
                    f"primal-dual steps begin with the log-density, and start.{name} has none at "
                    f"{int(np.sum(m <= 0))} nodes of {len(m)}: take a wider start, or the uniform"
                )
        self.logs: Pair = both(lambda p: np.log(self.masses[p] / self.meshes[p].volumes))
        self.before = self.masses[0].copy()  # x's masses before the last step
        some = (mesh.nodes[:: -(-len(mesh) // MOST)] for mesh in self.meshes)
        self.norm = interaction(self.game.moving_loss(*some))
        good = longest(self.flow, self.norm, self.theta)
        if self.step is None:
            self.step = good
        elif self.step > good * (1 + 1e-9):
            self.warn_once(
                f"step = {self.step:g} is longer than the longest for which primal-dual steps are "
                f"known to converge, {in_words(good)}"
            )

    def move(self, until: float) -> float:
        """All equal steps up to `until`."""
        left = until - self.time
        count = parts(left, self.step)  # type: ignore[arg-type]
        self.last = left / count
        (s_x, s_y), theta = lengths(self.flow, self.last, self.theta)
        for _ in range(count):
            x, before = self.masses[0], self.before
            new_y = self._answer(1, x + theta * (x - before), s_y)
            self.before = x
            self.masses = self._answer(0, new_y, s_x), new_y
        self.counts["steps"] += count
        self._watch(until)
        return until

    def _watch(self, time: float) -> None:
        """Warn, once, of laws that are narrow for their cells."""
        for log, mesh in zip(self.logs, self.meshes, strict=True):
            first, second = mesh.pairs.T
            charged = np.maximum(log[first], log[second]) > CHARGED
            widest = np.abs(log[first] - log[second])[charged].max(initial=0.0)
            if widest > STEEP:
                self.warn_once(
                    f"log-densities change by {widest:.3g} from a cell to the next at time "
                    f"{time:g}; beyond {STEEP:g} sums over cells are far from integrals: use "
                    f"about {widest / STEEP:.2g} times as many cells per axis"
                )

    def _answer(self, p: int, opponent: Array, s: float) -> Array:
        """Player p's masses after its step against these masses, and `logs` of them."""
        beta, mesh = 1 / self.players[p].temperature, self.meshes[p]
        log = (1 - s) * self.logs[p] - s * beta * self.coupling.cost(p, opponent)
        log -= log.max()
        self.logs = (log, self.logs[1]) if p == 0 else (self.logs[0], log)
        return gibbs_masses(-log, mesh)

    def diagnostics(self) -> dict[str, float]:
        """Steps taken, and theta tau sigma L^2 of the last, at most 1 where a rate is stated."""
        held = strength(self.flow, self.last, self.norm, self.theta)
        return {"steps": self.counts["steps"], "strength": held}
