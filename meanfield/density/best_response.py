"""The best-response flow d_t mu = rho (delta_best - mu) on a mesh: fictitious play in continuous
time.
"""

from __future__ import annotations

from meanfield.checks import Array
from meanfield.density.coupling import both
from meanfield.density.engine import parts
from meanfield.density.equation import unanswered
from meanfield.density.on_meshes import OnMeshes
from meanfield.measures import Density


class FictitiousPlay(OnMeshes):
    """Both players move towards the node of least cost, at rate rho, by exact relaxation.

    A step takes m to exp(-rho dt) m + (1 - exp(-rho dt)) delta_best, with the best response of its
    beginning: first order in dt, positive and conservative for every dt. Without a given step, dt =
    tol / rho. Best responses and errors are those of the game restricted to the mesh's nodes.
    """

    name = "best-response"
    usual_tol = 1e-3

    def begin(self) -> None:
        """Both players' masses; ValueError for flows that do more than respond."""
        if self.flow.transports or self.flow.reacts:
            raise ValueError(
                "the best-response engine moves by response alone; set gamma and alpha to zero"
            )
        self.step = self.step or self.tol / max(self.flow.response)
        self.set_up(self.asked_meshes())

    def costs(self, p: int) -> Array:
        """U_p at the nodes of p's mesh, shape (N,)."""
        return self.coupling.cost(p, self.masses[1 - p])

    def move(self, until: float) -> float:
        """All equal steps up to `until`: `responded` towards point masses changes one entry only.

        A step costs a few microseconds, less than what the other engines do around theirs.
        """
        left = until - self.time
        count = parts(left, self.step)  # type: ignore[arg-type]
        remain = both(lambda p: unanswered(self.players[p], left / count))
        x, y = self.masses
        for _ in range(count):
            best_x, best_y = self.costs(0).argmin(), self.costs(1).argmin()
            for m, best, remains in ((x, best_x, remain[0]), (y, best_y, remain[1])):
                m *= remains
                m[best] += 1 - remains
        self.counts["steps"] += count
        return until

    def measures(self) -> tuple[Density, Density]:
        """Both players' masses on their meshes."""
        return both(lambda p: Density(self.masses[p] / self.masses[p].sum(), self.meshes[p]))

    def diagnostics(self) -> dict[str, float]:
        """Steps taken, and the Nikaido-Isoda error of the game on the nodes."""
        ni = -float(self.costs(0).min() + self.costs(1).min())
        return {"steps": self.counts["steps"], "ni": ni}
