"""`train`: a mixture of GANs from its start to its end, watched, kept in a file, gone on with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from time import perf_counter
from typing import Any

import numpy as np

from meanfield.checks import known_keywords, warn, whole
from meanfield.describe import describe, same
from meanfield.flows import Flow
from meanfield.gan.mixture import Mixture
from meanfield.gan.needs import torch
from meanfield.gan.recipes import GanGame, Images
from meanfield.gan.run import GanRun, critic_values
from meanfield.gan.scores import named
from meanfield.gan.training import Settings, Training, check
from meanfield.machine import made
from meanfield.observables import recorded
from meanfield.progress import bar
from meanfield.storage.keeper import Keeper, checked_pause
from meanfield.trajectory import versions

DYING = 1e-3  # a weight below it has, for all that is known, left the mixture
IMAGES, POINTS = 64, 500  # outputs of each generator that a result holds
USUAL = 50  # saves


@known_keywords()
def train(
    game: GanGame,
    flow: Flow,
    steps: int,
    step: float = 1e-3,
    generators: int = 1,
    critics: int = 1,
    batch: int = 64,
    fakes: int | None = None,
    rule: str = "extra-adam",
    order: str = "simultaneous",
    betas: tuple[float, float] = (0.5, 0.9),
    warm_up: int = 0,
    average: float = 0.0,
    seed: int = 0,
    save_every: int | None = None,
    scores: Sequence[str] | Mapping[str, Callable[[Mixture], Any]] = (),
    callback: Callable[[GanRun], None] | None = None,
    resume: GanRun | None = None,
    compile: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float | None = None,
) -> GanRun:
    """Train a mixture of generators against a mixture of critics.

    Parameters
    ----------
    game : GanGame
        Data, networks and loss.
    flow : Flow
        `WassersteinFisherRao(gamma, alpha)` moves networks at the learning rate gamma * step and
        weights at eta' = alpha * step, each one number or a pair (for generators, for critics);
        `Wasserstein(gamma)` moves networks alone, `MirrorDescent(alpha)` weights alone. A `speed`
        multiplies rates by a function of time, steps * step. A temperature (`Langevin`) adds noise
        to positions, under rules without Adam.
    steps : int
        How many, resumed ones included.
    generators, critics : int
        How many particles each player has; weights begin equal.
    batch, fakes : int
        Data in a batch; noise for each generator (default: as many).
    rule : {"extra-adam", "adam", "extragradient", "gradient"}
        How positions move: with a trial step or without, along Adam's direction or the gradient.
    order : {"simultaneous", "alternating"}
        Alternating: critics first, generators then against the critics that moved.
    betas : (float, float)
        Of Adam.
    warm_up : int
        Steps at the beginning during which weights stay.
    average : float
        The decay of a running average of all parameters, such as 0.999; 0 keeps none.
    save_every : int
        Steps between what is recorded, a fiftieth of all by default.
    scores : names or mapping
        What is recorded beside losses and weights: names of `meanfield.gan.scores`, or functions of
        the mixture.
    callback : function
        Sees the run so far at every saved step.
    resume : GanRun
        An earlier run to go on from, made with the same settings but for `steps`.
    compile : bool
        Whether PyTorch compiles the loss; not with a gradient penalty.
    threads : int
        Of PyTorch. Runs repeat bit for bit on one processor at the same number, and are resumed at
        no other.
    checkpoint, checkpoint_every, progress
        As in `meanfield.simulate`: the file that is kept up to date, from which the same call goes
        on.

    Raises
    ------
    ImportError
        Without PyTorch.
    ValueError, TypeError
        Where an argument is wrong, or something of the flow does not apply to networks.
    FloatingPointError
        When networks diverge.
    """
    steps = whole("steps", steps)
    settings = Settings(
        generators, critics, step, batch, batch if fakes is None else fakes, rule, order, betas,
        warm_up, average, seed, compile, device,
        torch.get_num_threads() if threads is None else threads,
    )  # fmt: skip
    check(game, flow, settings)
    every = max(steps // USUAL, 1) if save_every is None else whole("save_every", save_every)
    watched = named(scores, game)
    options = {**asdict(settings), "steps": steps, "save_every": every, "scores": list(watched)}
    job = {"call": "gan", "game": game, "flow": flow, "options": options}
    if checkpoint is None and checked_pause(checkpoint_every) is not None:
        raise ValueError("checkpoint_every needs checkpoint, the file to keep: give both or none")
    keeper = None if checkpoint is None else Keeper(checkpoint, job, checkpoint_every)
    held: tuple[Any, bool] = (None, False) if keeper is None else keeper.held()
    found, finished = held
    resume = resume if found is None else found
    with using(settings.threads), keeper or nullcontext():
        run = _Run(Training(game, flow, settings), every, watched)
        if resume is not None:
            run.restore(resume)
        if finished:
            return found  # type: ignore[no-any-return]
        run.follow(steps, progress, keeper, callback)
        result = run.result()
        if keeper is not None:
            keeper.finish(result)
    return result


@contextmanager
def using(threads: int) -> Iterator[None]:
    """PyTorch with so many threads, and its global generator left as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_num_threads(before)


class _Run:
    """A training and what was saved of it."""

    def __init__(
        self, training: Training, every: int, scores: Mapping[str, Callable[[Mixture], Any]]
    ) -> None:
        self.training, self.every, self.scores = training, every, scores
        self.rows: list[dict[str, Any]] = []
        self.spent, self.clock, self.warned = 0.0, perf_counter(), False

    def restore(self, old: GanRun) -> None:
        """Go on from an earlier run; ValueError where it was made otherwise."""
        if not isinstance(old, GanRun):
            raise TypeError(f"resume must be a meanfield.gan.GanRun, got {type(old).__name__}")
        t = self.training
        for name, now, then in (("game", t.game, old.game), ("flow", t.flow, old.flow),
                                ("settings", asdict(t.s), old.settings),
                                ("scores", sorted(self.scores), old.scores)):  # fmt: skip
            if not same(describe(now), describe(then)):
                raise ValueError(
                    f"resume was made with other {name}: {then!r}, not {now!r}; give the same"
                )
        # Functions are the same by their names so far; what they make is compared here.
        old.mixture(t.game.generator), old.critics(t.game.critic)
        t.restore(old.state)
        columns = old.diagnostics.items()
        self.rows = [{name: rows[k] for name, rows in columns} for k in range(len(old.times))]
        self.spent = float(old.provenance.get("wall_time", 0.0))

    def follow(
        self, steps: int, progress: bool | None, keeper: Keeper | None,
        callback: Callable[[GanRun], None] | None,
    ) -> None:  # fmt: skip
        """Up to step number `steps`."""
        t = self.training
        if t.done >= steps:
            raise ValueError(f"steps is {steps}, but the run has {t.done} already; ask for more")
        label = f"{t.s.generators} generators, {t.s.critics} critics"
        with bar(steps, label, progress, initial=t.done) as shown:
            while t.done < steps:
                t.advance()
                shown.update(1)
                if t.done % self.every == 0 or t.done == steps:
                    self.save()
                    if callback is not None:
                        callback(self.result())
                if keeper is not None and t.done < steps:
                    keeper.offer(self.result) if self.rows else keeper.obey()

    def save(self) -> None:
        """Record the present state."""
        t = self.training
        row: dict[str, Any] = {"step": t.done, "losses": t.sums / t.summed}
        t.sums, t.summed = np.zeros_like(t.sums), 0
        for name, player in (("x", t.x), ("y", t.y)):
            w = player.weights
            row[f"weights_{name}"], row[f"spread_{name}"] = w, 1 / float((w**2).sum())
            if w.min() < DYING and not self.warned:
                self.warned = True
                who = "generator" if name == "x" else "critic"
                warn(
                    f"the weight of a {who} is {w.min():.2g} at step {t.done}: it has left the "
                    "mixture, and rarely comes back; take a smaller alpha or a warm_up",
                    UserWarning,
                )
        for name, score in self.scores.items():
            before = [r[name] for r in self.rows[:1]]
            row[name] = recorded(name, score(t.mixture(t.x)), before)
        self.rows.append(row)

    def result(self) -> GanRun:
        """The run so far, with all that is needed to go on from the present state."""
        t = self.training
        columns = {name: np.array([row[name] for row in self.rows]) for name in self.rows[0]}
        about = {
            "level": "networks",
            "wall_time": self.spent + perf_counter() - self.clock,
            "versions": {**versions(), "torch": str(torch.version.__version__)},
            "made": made(),
        }
        outputs = t.mixture(t.x).each(IMAGES if isinstance(t.game.data, Images) else POINTS)
        state = t.state()
        values = state["y"]["values"] = critic_values(t.mixture(t.y), outputs)
        t.require_finite(
            "an output is", bool(np.isfinite(outputs).all() and np.isfinite(values).all())
        )
        times = columns["step"] * t.s.step
        return GanRun(times, t.game, t.flow, asdict(t.s), columns, outputs, about, state)
