"""Forces between all pairs of particles on a graphics processor: simulate(..., device="cuda").

An optional part: numba's CUDA target and an NVIDIA driver. Where steps are taken on the processor,
"strang" and those on other manifolds, each sends (n + m) points and fetches as many forces; Euler's
stay on the device (`meanfield.particles.on_device.DevicePairs`).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np

from meanfield.checks import Array
from meanfield.measures import Measure
from meanfield.sums import total

# Blocks of threads that keep any device busy: with few own points the opponent's are shared out.
BLOCKS = 1024


def target() -> Any:
    """numba's CUDA target, ready for use; ImportError or RuntimeError says what is missing."""
    try:
        from numba import cuda

        if getattr(cuda, "implementation", "") == "NVIDIA":
            # What the first kernel imports: with numpy 2.5, numba-cuda 0.30 finds no np.row_stack.
            import_module("numba.cuda.np.arrayobj")
    except (ImportError, AttributeError) as error:
        raise ImportError(
            f'device="cuda" needs numba\'s CUDA target ({error}; numpy is {np.__version__}): '
            "pip install 'meanfield-zerosum[cuda]' brings it, and a numpy that it works with"
        ) from None
    if not cuda.is_available():
        raise RuntimeError(
            'device="cuda" needs an NVIDIA graphics processor with its driver and the '
            "CUDA compiler, and numba finds "
            "them not to be usable here: pip install 'meanfield-zerosum[cuda]' brings the "
            "compiler, the driver comes "
            'with the system; leave device at "cpu" otherwise'
        )
    return cuda


def sized(kernel: Any, blocks: Any, threads: int) -> Any:
    """A kernel, to be launched with so many blocks: few of a small run, of which numba would warn
    each time.
    """
    with catch_warnings():
        simplefilter("ignore")
        return kernel[blocks, threads]


class Cuda:
    """In place of a game: its costs and gradients between atoms, computed on the device; single:
    see `choose`.
    """

    shares_pairs = True  # out among the device's own threads

    def __init__(self, game: Any, single: bool = False) -> None:
        self.game, self.single, self.cuda = game, single, target()
        self.kernels = [self._kernel(p, single) for p in (0, 1)]
        self.room: dict[int, Any] = {}  # for the sums of each player

    def _kernel(self, p: int, single: bool) -> Any:
        """Player p's kernel and its threads a block; compiled when it is first launched.

        Kept with the game: every replica would compile it again.
        """
        from meanfield.games.formulas.cuda import device_kernel

        def made() -> Any:
            look, threads = device_kernel(self.game, p, single)
            return self.cuda.jit(look), threads

        return self.game.kernel(("cuda", p, single), made)

    def both_forces(self, x: Array, y: Array, masses_x: Array, masses_y: Array) -> Any:
        """Costs (n,) and gradients (n, a) of both players at x, y, all atoms of both."""
        x, y, masses_x, masses_y = (self._sent(v) for v in (x, y, masses_x, masses_y))
        sums = self.launched(0, x, y, masses_y), self.launched(1, y, x, masses_x)
        return tuple(_fetched(s) for s in sums)

    def value(self, mu: Measure, nu: Measure) -> float:
        """L(mu, nu), in double precision: what tells a run to be resumed from that of another
        game.
        """
        given = (self._sent(v) for v in (mu.points, nu.points, nu.masses))
        cost, _ = _fetched(self._sums(0, self._kernel(0, False), *given))
        return total(mu.masses, cost)

    def _sent(self, v: Array) -> Any:
        return self.cuda.to_device(np.ascontiguousarray(v, dtype=np.float64))

    def launched(self, p: int, points: Any, nodes: Any, masses: Any) -> Any:
        """Sums (parts, 1 + a, n) on the device, perhaps still to come, until the next ones."""
        return self._sums(p, self.kernels[p], points, nodes, masses)

    def _sums(self, p: int, kernel: Any, points: Any, nodes: Any, masses: Any) -> Any:
        look, threads = kernel
        n, m = points.shape[0], nodes.shape[0]
        blocks, tiles = -(-n // threads), -(-m // threads)
        # By the sizes alone: the same parts, and sums, on every device.
        share = -(-tiles // min(tiles, max(1, BLOCKS // blocks))) * threads
        parts = -(-m // share)
        shape = parts, 1 + points.shape[1], n
        if p not in self.room or self.room[p].shape != shape:
            self.room[p] = self.cuda.device_array(shape, np.float64)
        out = self.room[p]
        sized(look, (blocks, parts), threads)(points, nodes, masses, share, out)
        return out


def _fetched(sums: Any) -> tuple[Array, Array]:
    total = sums.copy_to_host().sum(axis=0)
    return total[0].copy(), np.ascontiguousarray(total[1:].T)
