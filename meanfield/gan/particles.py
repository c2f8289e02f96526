"""A player's networks as weighted particles: each is a row of one matrix, with its log-weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from meanfield.checks import Array
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
            if not isinstance(made[-1], nn.Module):
                kind = type(made[-1]).__name__
                raise TypeError(f"a network must be a torch.nn.Module, got {kind}")
    if len({id(m) for m in made}) < count:
        raise ValueError("one module was returned for two particles; make a new one at each call")
    check_unshared(*made)
    if any(map(nn.parameter.is_lazy, chain(*(chain(m.parameters(), m.buffers()) for m in made)))):
        raise ValueError(
            "a network has layers whose sizes are not known yet (LazyLinear and its like); give "
            "the sizes, or call it once on an example before it is returned"
        )
    return made


def check_unshared(*networks: Any) -> None:
    """ValueError where a parameter or buffer belongs to two networks."""
    owned = [{id(t) for t in chain(m.parameters(), m.buffers())} for m in networks]
    if len(set().union(*owned)) < sum(map(len, owned)):
        raise ValueError(
            "two networks share a parameter or a buffer, and would move each other; make new "
            "layers at each call"
        )


class Particles:
    """n networks of one shape: what is trained of each is a row of `at` (n, P), its gradient one of
    `slope`.

    The modules' own parameters are views into these matrices, so that a step of an optimiser is a
    few operations on a matrix. Frozen parameters (requires_grad=False) and buffers stay with the
    modules. first, second: Adam's moments, `moves` how often they were updated. mean: running
    averages of parameters and buffers, where they are kept. log_weights: (n,), double precision.
    """

    def __init__(self, networks: Sequence[Any], device: str = "cpu") -> None:
        self.networks = [net.to(device).train() for net in networks]
        first = dict(self.networks[0].named_parameters())
        self.trained = self._trainable(self.networks[0])
        layouts = [self._layout(net) for net in self.networks]
        odd = any(self._trainable(net) != self.trained for net in self.networks)
        if odd or not self.trained or any(one != layouts[0] for one in layouts):
            raise ValueError(
                "the networks of one player must have the same parameters, the same of them "
                "frozen, and some that are not frozen: the particles of a mixture are points of "
                "one space"
            )
        self.layout = layouts[0]
        if other := {first[name].dtype for name in self.trained} - {torch.float32}:
            raise TypeError(f"parameters must be torch.float32, got {other.pop()}")
        rows = [self._parameters(net) for net in self.networks]
        self.at = torch.stack([_flat(row) for row in rows])
        self.slope, self.first, self.second = (torch.zeros_like(self.at) for _ in range(3))
        self.moves = 0
        self.log_weights: Array = np.full(len(networks), -np.log(len(networks)))
        self.mean: Any = None
        for row, at, slope in zip(rows, self.at, self.slope, strict=True):
            for t, value, grad in zip(row, _pieces(at, row), _pieces(slope, row), strict=True):
                t.data, t.grad = value, grad

    @staticmethod
    def _trainable(net: Any) -> list[str]:
        """Names of what is not frozen in a network."""
        return [name for name, t in net.named_parameters() if t.requires_grad]

    def _layout(self, net: Any) -> list[str]:
        """What a network consists of, in words: names and shapes of parameters and buffers."""
        return [
            f"{name} {tuple(t.shape)}{'' if name in self.trained else ', not trained'}"
            for name, t in chain(net.named_parameters(), net.named_buffers())
        ]

    def _parameters(self, net: Any) -> list[Any]:
        """What is trained of a network."""
        return [t for name, t in net.named_parameters() if name in self.trained]

    def _untrained(self, net: Any) -> dict[str, Any]:
        """Buffers and frozen parameters of a network."""
        all_of = chain(net.named_parameters(), net.named_buffers())
        return {name: t for name, t in all_of if name not in self.trained}

    def _averaged(self, net: Any) -> list[Any]:
        return [t for t in self._untrained(net).values() if t.is_floating_point()]

    @property
    def weights(self) -> Array:
        """The weights (n,), which sum to one."""
        return np.exp(self.log_weights)

    @property
    def seen(self) -> Any:
        """The weights in single precision, as the loss multiplies with them."""
        small = np.maximum(self.weights, TINY).astype(np.float32)
        return torch.from_numpy(small).to(self.at.device)

    def learn(self, wanted: bool) -> None:
        """Whether gradients with respect to what is trained are formed."""
        for net in self.networks:
            for t in self._parameters(net):
                t.requires_grad_(wanted)

    def adam(self, betas: tuple[float, float]) -> Any:
        """The direction of Adam (Kingma & Ba 2015) along `slope`; updates both moments."""
        a, b = betas
        self.moves += 1
        self.first.mul_(a).add_(self.slope, alpha=1 - a)
        self.second.mul_(b).addcmul_(self.slope, self.slope, value=1 - b)
        spread = (self.second / (1 - b**self.moves)).sqrt_().add_(1e-8)
        return (self.first / (1 - a**self.moves)).div_(spread)

    def average(self, decay: float) -> None:
        """Move the running averages towards the present parameters and buffers."""
        nets = zip(self.at, self.networks, strict=True)
        now = torch.stack([_flat([row, *self._averaged(net)]) for row, net in nets])
        self.mean = now if self.mean is None else self.mean.lerp_(now, 1 - decay)

    def settle(self) -> None:
        """Put the running averages in the place of parameters and buffers."""
        self.at.copy_(self.mean[:, : self.at.shape[1]])
        for net, row in zip(self.networks, self.mean[:, self.at.shape[1] :], strict=True):
            held = self._averaged(net)
            for t, value in zip(held, _pieces(row, held), strict=True):
                t.copy_(value)

    def finite(self, buffers: bool = False) -> bool:
        """Whether parameters, moments and weights are finite, and on request buffers, too."""
        rest = chain(*map(self._averaged, self.networks)) if buffers else ()
        held = all(bool(torch.isfinite(t).all()) for t in (self.at, self.second, *rest))
        return held and bool(np.isfinite(self.log_weights).all())

    def state(self) -> dict[str, Any]:
        """Copies of all that `restore` needs, as plain arrays."""
        rows = [self._untrained(net) for net in self.networks]
        rest = {name: np.stack([_array(row[name]) for row in rows]) for name in rows[0]}
        matrices = {"at": self.at, "first": self.first, "second": self.second, "mean": self.mean}
        held = {name: None if m is None else _array(m) for name, m in matrices.items()}
        more = {"moves": self.moves, "log_weights": self.log_weights.copy()}
        return {**held, **more, "untrained": rest, "layout": list(self.layout)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go to a stored state; ValueError where it is one of other networks."""
        there, here = list(state.get("layout", ())), self.layout
        if there != here or len(state["at"]) != len(self.networks):
            pairs = ((there, here), (here, there))
            other, mine = ("; ".join(sorted({*a} - {*b})) or "nothing else" for a, b in pairs)
            raise ValueError(
                f"{len(state['at'])} stored networks have {other}, these {len(self.networks)} "
                f"have {mine}; give those that the run was made with"
            )
        for name in ("at", "first", "second"):
            getattr(self, name).copy_(torch.from_numpy(np.array(state[name])))
        for row, net in enumerate(self.networks):
            for name, t in self._untrained(net).items():
                t.copy_(torch.from_numpy(np.array(state["untrained"][name][row])))
        self.moves, self.log_weights = int(state["moves"]), np.array(state["log_weights"])
        if state["mean"] is not None:
            self.mean = torch.from_numpy(np.array(state["mean"])).to(self.at.device)


def _flat(tensors: Sequence[Any]) -> Any:
    return torch.cat([t.detach().reshape(-1) for t in tensors])


def _pieces(row: Any, like: Sequence[Any]) -> list[Any]:
    """Views into a row, in the shapes of these tensors."""
    parts = row.split([t.numel() for t in like])
    return [part.view(t.shape) for part, t in zip(parts, like, strict=True)]


def _array(tensor: Any) -> Any:
    return tensor.detach().cpu().numpy().copy()
