"""What training returns: losses, weights and scores over the steps, and the networks as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.flows import Flow
from meanfield.games.missing import MissingFunction
from meanfield.gan.mixture import Mixture, values
from meanfield.gan.needs import torch
from meanfield.gan.particles import Particles, new_networks
from meanfield.gan.recipes import GanGame, Maker
from meanfield.shown import Shown
from meanfield.storage.results import Result

ALWAYS = ("step", "losses", "weights_x", "spread_x", "weights_y", "spread_y")  # what is recorded
JUDGED = 16  # outputs of each generator by which critics are known again


def critic_values(critics: Mixture, outputs: Any) -> Array:
    """What each critic gives some outputs (p, n, ...) of each generator, (q, p * some)."""
    some = outputs[:, :JUDGED].reshape(-1, *outputs.shape[2:])
    with torch.random.fork_rng():
        torch.manual_seed(0)  # for what critics draw themselves
        return np.stack([values(f, some) for f in critics.networks])


@dataclass
class GanRun(Result, Shown):
    """A trained mixture of GANs and how it came about; needs no PyTorch to be read and drawn.

    times: (S,), step times the numbers in "step". diagnostics: by name, at each of them: "step";
    "losses" (S, p, q), the mean of l(x_i, y_j) over the batches since the time before; "weights_x"
    (S, p), "weights_y" (S, q); "spread_x", "spread_y", the effective number 1/sum w^2; and the
    scores asked for. outputs: (p, n, ...) of each generator at the end, from the same noise. state:
    networks, moments and weights as plain arrays, from which training goes on to the same bits.
    """

    times: Array
    game: GanGame
    flow: Flow
    settings: dict[str, Any]
    diagnostics: dict[str, Array]
    outputs: Any
    provenance: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """What was recorded in one order, whatever that in a file."""
        d = self.diagnostics
        if lost := set(ALWAYS) - set(d):
            raise ValueError(f"the run holds no {' and no '.join(sorted(lost))}")
        if wrong := [name for name, rows in d.items() if len(rows) != len(self.times)]:
            raise ValueError(f"a run of {len(self.times)} times has other lengths of {wrong[0]}")
        self.diagnostics = {name: d[name] for name in (*ALWAYS, *sorted(set(d) - set(ALWAYS)))}

    @property
    def scores(self) -> list[str]:
        """The names of what was recorded beside losses and weights."""
        return [name for name in self.diagnostics if name not in ALWAYS]

    @property
    def value(self) -> Array:
        """L of both mixtures at each time, sum_ij w_i v_j l_ij."""
        d = self.diagnostics
        together = np.einsum("si,sij,sj->s", d["weights_x"], d["losses"], d["weights_y"])
        return np.asarray(together)

    def mixture(self, generator: Maker | None = None, average: bool = False) -> Any:
        """The generators as they are at the end, to sample from; needs PyTorch.

        generator: what made them, where it was a function, of which a file holds the name only.
        average: the running averages of their parameters, where the run kept them.
        """
        return self._rested(
            "x", self.game.generator if generator is None else generator, "generator", average
        )

    def critics(self, critic: Maker | None = None) -> Any:
        """The critics and their weights, as `mixture` gives the generators."""
        return self._rested("y", self.game.critic if critic is None else critic, "critic", False)

    def _rested(self, player: str, make: Maker, name: str, average: bool) -> Any:
        if isinstance(make, MissingFunction):
            raise ValueError(
                f"the {name} {make.__name__!r} was given as a function, which a file cannot hold; "
                f"give it again: {name}=..."
            )
        held = self.state[player]
        if average and held["mean"] is None:
            raise ValueError("this run kept no average; train with average=0.999, say")
        made = Particles(new_networks(make, len(held["at"]), 0))
        made.restore(held)
        found = Mixture(self.game, made.networks, made.weights)
        if player == "x":
            then, now = self.outputs, found.each(self.outputs.shape[1])
        else:
            then, now = held["values"], critic_values(found, self.outputs)
        if not np.allclose(now, then, 1e-3, 1e-3):
            raise ValueError(
                f"with the same parameters this {name} gives other values than the one of the run; "
                f"give the one that it was made with: {name}=..."
            )
        if average:
            made.settle()
        return found

    def plot(self, title: str = "", figsize: Any = None) -> Any:
        """Losses, weights, scores, and who makes what; see `meanfield.gan.pictures`."""
        from meanfield.gan.pictures import plot_run

        return plot_run(self, title, figsize)

    def __repr__(self) -> str:
        s, d = self.settings, self.diagnostics
        ways = (("clip", self.game.clip), ("penalty", self.game.penalty))
        held = "".join(f", {name} {value:g}" for name, value in ways if value is not None)
        lines = [
            f"GanRun: {s['generators']} generators, {s['critics']} critics, "
            f"{int(d['step'][-1]):,} steps of {s['step']:g}",
            f"  |-- data: {self.game.data!r}",
            f"  |-- generator: {self.game.generator!r}",
            f"  |-- critic: {self.game.critic!r}{held}",
            f"  |-- flow: {self.flow!r}",
            f"  |-- {s['rule']}, {s['order']}, batch {s['batch']}, seed {s['seed']}, "
            f"{s['threads']} threads on {s['device']}",
            f"  '-- weights of generators: {', '.join(f'{w:.3g}' for w in d['weights_x'][-1])}",
        ]
        return "\n".join(lines)
