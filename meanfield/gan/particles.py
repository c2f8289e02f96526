"""A player's networks as weighted particles: each is a row of one matrix, with its log-weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.density.equation import react
from meanfield.gan.needs import nn, torch

TINY = 1e-20  # weights below it count as this in single precision, where products would vanish


def seed_of(*numbers: int) -> int:
    """A seed for PyTorch from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def new_networks(make: Callable[[], Any], count: int, *seed: int) -> list[Any]:
    """`count` modules; the i-th has the same parameters whatever the count."""
    made = []
    with torch.random.fork_rng():
        for i in range(count):
            torch.manual_seed(seed_of(*seed, i))
            made.append(make())
    if odd := [m for m in made if not isinstance(m, nn.Module)]:
        raise TypeError(f"a network must be a torch.nn.Module, got {type(odd[0]).__name__}")
    if len({id(m) for m in made}) < count:
        raise ValueError("one module was returned for two particles; make a new one at each call")
    return made


class Particles:
    """n networks of one shape: parameters are rows of `at` (n, P), gradients rows of `slope`.

    The modules' own parameters are views into these matrices, so that a step of an optimiser is a
    few operations on a matrix and a file holds one. first, second: Adam's moments, `moves` how
    often they were updated. log_weights: (n,) in double precision.
    """

    def __init__(self, networks: Sequence[Any], device: str = "cpu") -> None:
        self.networks = [net.to(device).train() for net in networks]
        shapes = [[tuple(t.shape) for t in net.parameters()] for net in self.networks]
        if any(s != shapes[0] for s in shapes) or not shapes[0]:
            raise ValueError(
                "the networks of one player must have the same parameters, and some: the particles "
                "of a mixture are points of one space"
            )
        if odd := {t.dtype for net in networks for t in net.parameters()} - {torch.float32}:
            raise TypeError(f"parameters must be torch.float32, got {odd.pop()}")
        self.at = torch.stack([_flat(net.parameters()) for net in self.networks]).detach()
        self.slope, self.first, self.second = (torch.zeros_like(self.at) for _ in range(3))
        self.moves = 0
        self.log_weights: Array = np.full(len(networks), -np.log(len(networks)))
        self.mean: Any = None  # the running average of `at`, where one is kept
        for row, net in enumerate(self.networks):
            begin = 0
            for t in net.parameters():
                end = begin + t.numel()
                t.data = self.at[row, begin:end].view(t.shape)
                t.grad = self.slope[row, begin:end].view(t.shape)
                begin = end

    def __len__(self) -> int:
        return len(self.networks)

    @property
    def weights(self) -> Array:
        """The weights (n,), which sum to one."""
        return np.exp(self.log_weights)

    @property
    def seen(self) -> Any:
        """The weights in single precision, as the loss multiplies with them."""
        small = np.maximum(self.weights, TINY).astype(np.float32)
        return torch.from_numpy(small).to(self.at.device)

    def forget(self) -> None:
        """Set gradients to zero."""
        self.slope.zero_()

    def learn(self, wanted: bool) -> None:
        """Whether gradients with respect to the parameters are formed."""
        for net in self.networks:
            net.requires_grad_(wanted)

    def adam(self, betas: tuple[float, float]) -> Any:
        """The direction of Adam (Kingma & Ba 2015) along `slope`; updates both moments."""
        a, b = betas
        self.moves += 1
        self.first.mul_(a).add_(self.slope, alpha=1 - a)
        self.second.mul_(b).addcmul_(self.slope, self.slope, value=1 - b)
        spread = (self.second / (1 - b**self.moves)).sqrt_().add_(1e-8)
        return (self.first / (1 - a**self.moves)).div_(spread)

    def react(self, costs: Array, rate: float) -> None:
        """The multiplicative update of Algorithm 2 at the given costs (n,)."""
        self.log_weights = react(self.log_weights, costs, rate)

    def state(self) -> dict[str, Any]:
        """Copies of all that `restore` needs, as plain arrays."""
        rows = [dict(net.named_buffers()) for net in self.networks]
        buffers = {name: np.stack([_array(row[name]) for row in rows]) for name in rows[0]}
        matrices = {"at": self.at, "first": self.first, "second": self.second, "mean": self.mean}
        held = {name: None if m is None else _array(m) for name, m in matrices.items()}
        weights = self.log_weights.copy()
        return {**held, "moves": self.moves, "log_weights": weights, "buffers": buffers}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a stored state; ValueError where it is one of other networks."""
        for name in ("at", "first", "second"):
            held, mine = state[name], getattr(self, name)
            if np.shape(held) != tuple(mine.shape):
                raise ValueError(
                    f"the stored networks have {np.shape(held)} parameters, these "
                    f"{tuple(mine.shape)}; give the networks that the run was made with"
                )
            mine.copy_(torch.from_numpy(np.array(held)))
        for row, net in enumerate(self.networks):
            mine = dict(net.named_buffers())
            if set(mine) != set(state["buffers"]):
                raise ValueError("the stored networks have other buffers than these")
            for name, buffer in mine.items():
                buffer.copy_(torch.from_numpy(np.array(state["buffers"][name][row])))
        self.moves, self.log_weights = int(state["moves"]), np.array(state["log_weights"])
        if state["mean"] is not None:
            self.mean = torch.from_numpy(np.array(state["mean"])).to(self.at.device)


def _flat(tensors: Any) -> Any:
    return torch.cat([t.detach().reshape(-1) for t in tensors])


def _array(tensor: Any) -> Any:
    return tensor.detach().cpu().numpy().copy()
