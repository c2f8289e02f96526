"""What a run takes of memory and disk, said before anything large is built.

Counted: the arrays of saved states, of the state that moves, of players' costs on meshes, and their
copies while a file is written. What engines hold besides, for each node, was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meanfield.checks import within_memory
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.manifolds import Torus

NUMBER = 8.0  # bytes
PROCESS = 1.85e8  # bytes of a process that has run something small, with kernels and libraries
WEIGHTS = 4e7  # more of them where weights are compared at both levels, measured
FILE = 8e4  # bytes of what describes a run
# Numbers that an engine holds for each node of a mesh of dimension 1 and of a higher one, beside
# saved states and costs.
ENGINES = {
    "galerkin": (37, 47),
    "harmonics": (370, 370),
    "finite-volume": (47, 53),
    "staggered": (85, 114),
    "muscl": (26, 64),
    "splitting": (23, 43),
    "best-response": (23, 43),
    "primal-dual": (23, 43),
    "characteristics": (81, 114),
}
FEATURES = 1 << 20  # at a player's nodes that are kept, for the values of saved states
CURVED = 50  # more of them where a mesh is no grid, whose edges are kept
AT_FACES = ("finite-volume", "staggered")  # engines that ask for costs at faces, too
WITHOUT_COSTS = ("galerkin", "harmonics", "characteristics")  # that keep no costs at nodes


@dataclass(frozen=True)
class Needs:
    """Bytes of memory, those of the process itself among them, and bytes of the result's file."""

    memory: float
    disk: float

    def check(self, what: str, advice: str) -> Needs:
        """ValueError where this machine has not the memory."""
        within_memory(what, self.memory, advice)
        return self


def of_particles(
    game: Game, flow: Flow, counts: Sequence[int], saves: int, turned: bool, file: bool
) -> Needs:
    """A run of n and m particles with so many saved states, written to a file or not.

    A particle with a coordinates has a + 1 numbers in every saved state, one more where weights
    move, and 4a + 7 in the states that move and in what a resumed run goes on from. A file is
    written from copies. turned: whether players move in axes of their own, which are kept as well.
    """
    memory = disk = 0.0
    w = int(flow.reacts)  # masses and mean weights of every saved state are stored, or masses once
    for n, M in zip(counts, game.manifolds, strict=True):
        a = M.ambient
        stored = saves * (a + 2 * w) + 1 - w
        held = saves * (a + 1 + w) + 4 * a + 7 + 1.4 * a * turned
        memory += NUMBER * n * (held + (stored + w if file else 0))
        disk += NUMBER * n * (stored + 2 + a * (1 + turned))
    return Needs(PROCESS + memory, FILE + disk)


def of_densities(
    game: Game, engine: str, nodes: Sequence[float], saves: int, largest: float, file: bool
) -> Needs:
    """A mean field on meshes of so many nodes with so many saved states, written to a file or not.

    largest: numbers of a cost matrix that are kept; a larger one is formed in pieces.
    """
    memory = disk = 0.0
    for p, (N, M) in enumerate(zip(nodes, game.manifolds, strict=True)):
        state = 1 + M.ambient * (engine == "characteristics")  # atoms move, nodes stay
        own = ENGINES[engine][M.dim > 1]
        mesh = M.ambient
        if not isinstance(M, Torus):
            own, mesh = own + CURVED, M.ambient + 1 + 3 * (3 + M.ambient)
        memory += NUMBER * N * (saves * state * (1 + file) + own)
        disk += NUMBER * N * (saves * state + 1 + mesh)
        if game.bases is not None and N * game.bases[p].size <= FEATURES:
            memory += NUMBER * N * game.bases[p].size
        if engine not in WITHOUT_COSTS:
            points = N * (1 + M.dim * (engine in AT_FACES))
            if game.bases is not None:
                memory += NUMBER * (points + N) * game.bases[1 - p].size
            else:  # the second matrix stands twice while it is made
                memory += NUMBER * min(points * nodes[1 - p], largest) * (1 + p)
    return Needs(PROCESS + memory, FILE + disk)
