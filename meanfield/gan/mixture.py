"""A mixture of generators, to sample from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from meanfield.checks import Array, whole
from meanfield.gan.needs import torch
from meanfield.gan.recipes import GanGame

CHUNK = 500  # outputs made at a time


class Mixture:
    """sum_i w_i g_i: generators with weights, that are not trained any more.

    game: GanGame; networks: modules; weights: (p,) that sum to one. BatchNorm uses its running
    averages, so that a sample does not depend on those made beside it.
    """

    def __init__(self, game: GanGame, networks: Sequence[Any], weights: Array) -> None:
        self.game, self.networks, self.weights = game, list(networks), np.asarray(weights)

    def __len__(self) -> int:
        return len(self.networks)

    def sample(self, count: int, seed: int = 0) -> tuple[Any, Any]:
        """Independent outputs (count, ...), and the number of the generator that made each."""
        rng = np.random.default_rng(whole("seed", seed, 0))
        p = self.weights / self.weights.sum()
        which = rng.choice(len(self), size=whole("count", count), p=p)
        found: Any = np.empty((count, *self.game.point), np.float32)
        for i in np.unique(which):
            found[which == i] = self._outputs(i, int((which == i).sum()), rng)
        return found, which

    def each(self, count: int, seed: int = 0) -> Any:
        """Outputs of every generator, (p, count, ...), from the same noise."""
        rngs = [np.random.default_rng(whole("seed", seed, 0)) for _ in self.networks]
        return np.stack([self._outputs(i, whole("count", count), g) for i, g in enumerate(rngs)])

    def _outputs(self, i: int, count: int, rng: np.random.Generator) -> Any:
        noise = rng.standard_normal((count, self.game.noise), dtype=np.float32)
        with torch.random.fork_rng():
            # for what modules draw themselves; the next noise does not depend on it
            torch.manual_seed(int(rng.spawn(1)[0].integers(1 << 62)))
            return through(self.networks[i], noise)


def through(network: Any, points: Any) -> Any:
    """What a network makes of points (n, ...), some at a time, as an array."""
    device = next(network.parameters()).device
    parts = torch.from_numpy(np.ascontiguousarray(points, np.float32)).split(CHUNK)
    with resting(network):
        return np.concatenate([network(part.to(device)).cpu().numpy() for part in parts])


def values(critic: Any, points: Any) -> Array:
    """The number that a critic gives each of n points, (n,) float64."""
    return np.asarray(through(critic, points).reshape(-1), dtype=np.float64)


@contextmanager
def resting(network: Any) -> Iterator[Any]:
    """The network as it is used: without gradients, BatchNorm at its running averages."""
    was = network.training
    network.eval()
    try:
        with torch.no_grad():
            yield network
    finally:
        network.train(was)
