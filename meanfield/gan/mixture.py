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
        rng = np.random.default_rng(seed)
        p = self.weights / self.weights.sum()
        which = rng.choice(len(self), size=whole("count", count), p=p)
        found: Any = None
        for i in np.unique(which):
            made = self._outputs(i, int((which == i).sum()), rng)
            found = np.empty((count, *made.shape[1:]), made.dtype) if found is None else found
            found[which == i] = made
        return found, which

    def each(self, count: int, seed: int = 0) -> Any:
        """Outputs of every generator, (p, count, ...), from the same noise."""
        rngs = (np.random.default_rng(seed) for _ in self.networks)
        return np.stack([self._outputs(i, count, rng) for i, rng in enumerate(rngs)])

    def alone(self, i: int) -> Mixture:
        """The i-th generator by itself."""
        return Mixture(self.game, [self.networks[i]], np.ones(1))

    def _outputs(self, i: int, count: int, rng: np.random.Generator) -> Any:
        noise = torch.from_numpy(rng.standard_normal((count, self.game.noise), dtype=np.float32))
        device = next(self.networks[i].parameters()).device
        with resting(self.networks[i]) as net:
            made = [net(part.to(device)).cpu().numpy() for part in noise.split(CHUNK)]
        return np.concatenate(made)


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
