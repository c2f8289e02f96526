"""`train`: a mixture of GANs from its start to its end, watched, kept in a file, gone on with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from time import perf_counter
from typing import Any

import numpy as np

from meanfield.checks import known_keywords, real, warn, whole
from meanfield.describe import describe, same
from meanfield.flows import Flow
from meanfield.gan.mixture import Mixture
from meanfield.gan.needs import torch
from meanfield.gan.recipes import GanGame, Images
from meanfield.gan.run import GanRun
from meanfield.gan.scores import named
from meanfield.gan.training import ORDERS, RULES, Settings, Training
from meanfield.machine import made
from meanfield.progress import bar
from meanfield.storage.keeper import Keeper
from meanfield.trajectory import recorded, versions

DYING = 1e-3  # a weight below it has, for all that is known, left the mixture
IMAGES, POINTS = 64, 500  # outputs of each generator that a result holds
USUAL = 50  # saves
RECORDED = ("step", "losses", "weights_x", "spread_x", "weights_y", "spread_y")  # always


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
    _check_flow(flow, rule)
    steps = whole("steps", steps)
    threads = whole("threads", torch.get_num_threads() if threads is None else threads)
    settings = _settings(game, generators=generators, critics=critics, step=step, batch=batch,
        fakes=batch if fakes is None else fakes, rule=rule, order=order, betas=betas,
        warm_up=warm_up, average=average, seed=seed, compile=bool(compile), device=device,
        threads=threads)  # fmt: skip
    every = max(steps // USUAL, 1) if save_every is None else whole("save_every", save_every)
    watched = named(scores, game)
    options = {**asdict(settings), "steps": steps, "save_every": every, "scores": list(watched)}
    job = {"call": "gan", "game": game, "flow": flow, "options": options}
    keeper = None if checkpoint is None else Keeper(checkpoint, job, checkpoint_every)
    if keeper is not None:
        found, finished = keeper.held()
        if finished:
            return found  # type: ignore[no-any-return]
        resume = found if found is not None else resume
    with using(threads), keeper or nullcontext():
        run = _Run(Training(game, flow, settings), every, watched)
        if resume is not None:
            run.restore(resume)
        run.follow(steps, progress, keeper, callback)
        result = run.result()
        if keeper is not None:
            keeper.finish(result)
    return result


def _settings(game: GanGame, **given: Any) -> Settings:
    """Checked settings."""
    if not isinstance(game, GanGame):
        raise TypeError(f"game must be a meanfield.gan.GanGame, got {type(game).__name__}")
    for name in ("generators", "critics", "batch", "fakes"):
        given[name] = whole(name, given[name])
    for name in ("warm_up", "seed"):
        given[name] = whole(name, given[name], 0)
    given["step"] = real("step", given["step"], 0.0, strict=True)
    for name, known in (("rule", tuple(RULES)), ("order", ORDERS)):
        if given[name] not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {given[name]!r}")
    betas = tuple(real("betas", b, 0.0) for b in given["betas"])
    given["betas"], given["average"] = betas, real("average", given["average"], 0.0)
    if len(betas) != 2 or max(betas) >= 1 or given["average"] >= 1:
        raise ValueError("betas must be two numbers below 1, and average below 1")
    if given["compile"] and game.penalty is not None:
        raise ValueError(
            "compile does not go with a gradient penalty, which needs second derivatives that "
            "PyTorch cannot compile; leave one of the two"
        )
    return Settings(**given)


def _check_flow(flow: Flow, rule: str) -> None:
    """TypeError or ValueError for a flow that networks cannot follow."""
    if not isinstance(flow, Flow):
        raise TypeError(
            "flow must be a meanfield flow such as WassersteinFisherRao(gamma, alpha), got "
            f"{type(flow).__name__}"
        )
    if flow.memory is not None or flow.responds:
        raise ValueError(
            f"networks cannot follow {flow}: neither a memory of past opponents nor best responses "
            "exist for them"
        )
    if any(p.temperature > 0 and p.alpha > 0 for p in flow.players):
        raise ValueError(
            f"networks cannot follow {flow}: particles have no log-density to react to"
        )
    if max(flow.temperature) > 0 and RULES.get(rule, (False, False))[1]:
        raise ValueError(
            f"{flow} has noise, which Adam's rescaled steps would make another temperature of; use "
            'rule="gradient" or "extragradient"'
        )


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
                                ("settings", asdict(t.s), old.settings)):  # fmt: skip
            if not same(describe(now), describe(then)):
                raise ValueError(f"resume was made with other {name}: {then!r}, not {now!r}")
        scores = {name for name in old.diagnostics if name not in RECORDED}
        if scores != set(self.scores):
            raise ValueError(
                f"resume recorded the scores {sorted(scores)}, not {sorted(self.scores)}; ask for "
                "the same"
            )
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
                if keeper is not None and t.done < steps and self.rows:
                    keeper.offer(self.result)

    def mixture(self) -> Mixture:
        """The generators now."""
        x = self.training.x
        return Mixture(self.training.game, x.networks, x.weights)

    def save(self) -> None:
        """Record the present state."""
        t = self.training
        row: dict[str, Any] = {}
        row["step"], row["losses"] = t.done, t.sums / t.summed
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
            row[name] = recorded(name, score(self.mixture()), before)
        self.rows.append(row)

    def result(self) -> GanRun:
        """The run so far, with all that is needed to go on from the present state."""
        t = self.training
        columns = {name: np.array([row[name] for row in self.rows]) for name in self.rows[0]}
        about = {
            "level": "networks",
            "wall_time": self.spent + perf_counter() - self.clock,
            "versions": {**versions(), "torch": str(torch.__version__)},
            "made": made(),
        }
        count = IMAGES if isinstance(t.game.data, Images) else POINTS
        outputs = self.mixture().each(count)
        times = columns["step"] * t.s.step
        return GanRun(times, t.game, t.flow, asdict(t.s), columns, outputs, about, t.state())
