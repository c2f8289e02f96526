"""What all engines share: how steps are chosen and end in time, and how a state is saved.

An `Engine` carries both players' measures through time. A `Controlled` engine only says what one
step would give and how far that errs; lengths are proposed, shortened where a step is refused, and
fitted to the time asked for here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from meanfield.checks import Array, NotConverged, real, warn
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.laws import Law
from meanfield.measures import Measure
from meanfield.run import Saved

TRIES = 40  # attempts at one step before the run is given up
# A run has collapsed where each of two windows of so many steps covers less than this part of the
# time that is left, and the later one hardly more than the one before.
WINDOW, HOPELESS, GROWS = 32, 1e-6, 1.2


class Engine(ABC):
    """A mean field on its way from `time` 0 onwards.

    Parameters
    ----------
    game, flow : what is played, and how both players move.
    laws : the two laws to start from, `start.laws(X, Y)`.
    cells : for each player the resolution, as the engine takes it; None leaves it to the engine.
    step : a fixed step, or None for steps controlled by the error estimate.
    tol : the estimated local error allowed, in L1, per unit of time unless the engine says
        otherwise; None for its usual one.
    options : what `begin` of the engine takes.

    An engine lists in `saved` the attributes (arrays, numbers, tuples and dictionaries of them)
    that make up its state besides the time. `cure` says what helps where no step is short enough.
    """

    name = ""
    usual_tol, smallest_tol = 1e-6, 0.0
    saved: tuple[str, ...] = ()
    cure = "use a larger tol"

    def __init__(
        self, game: Game, flow: Flow, laws: tuple[Law, Law], cells: tuple[Any, Any] = (None, None),
        step: float | None = None, tol: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        self.game, self.flow, self.players = game, flow, flow.players
        self.laws, self.cells, self.options = laws, cells, options
        self.step = None if step is None else real("step", step, 0.0, strict=True)
        low = self.smallest_tol
        self.tol = real("tol", self.usual_tol if tol is None else tol, low, strict=low == 0)
        self.time, self.last, self.proposal = 0.0, 0.0, 0.0
        self.counts = {"steps": 0, "rejected": 0}
        self.warned = False
        self._pace = Pace()
        self.begin(**options)

    @abstractmethod
    def begin(self) -> None:
        """Check that game and flow are for this engine, and set up the state at time 0."""

    @abstractmethod
    def move(self, until: float) -> float:
        """Take a step or more, not beyond `until`; returns the time reached."""

    @abstractmethod
    def measures(self) -> tuple[Measure, Measure]:
        """Both players' measures now."""

    @abstractmethod
    def diagnostics(self) -> dict[str, float]:
        """Numbers that are recorded with every saved state."""

    def watch(self) -> None:  # noqa: B027
        """Warn where the state is not resolved; called at the end of `advance`."""

    def advance(self, until: float) -> None:
        """Move to the time `until` exactly.

        Raises ValueError when it lies before the present time, NotConverged where no step is short
        enough or where steps are so short that the end would never be reached.
        """
        until = real("until", until)
        if until < self.time:
            raise ValueError(
                f"until is {until:g}, before the present time {self.time:g}; restore an earlier "
                "state to go back"
            )
        if self.time < until:
            self.reach(until)
            self.watch()

    def reach(self, until: float) -> None:
        """Take all steps up to a later time."""
        while self.time < until:
            self.time = self.move(until)
            if self.step is None and self._pace.hopeless(self.time, until):
                raise self.collapsed(self.time, until)

    def through(self, times: Array) -> list[Saved]:
        """Move on to the first of these times, or to as many as are reached at once: what is saved
        at each. Of what is saved nothing depends on how many there are.
        """
        self.advance(float(times[0]))
        return [Saved.now(self)]

    def collapsed(self, time: float, until: float) -> NotConverged:
        """The error to raise where steps are too short to ever come to `until`."""
        return NotConverged(
            f"steps have collapsed at time {time:g}: they have become so short that {until:g} "
            f"would not be reached; {self.cure}"
        )

    def warn_once(self, message: str) -> None:
        """Warn, unless this run has warned before."""
        if not self.warned:
            self.warned = True
            warn(message)

    def state(self) -> dict[str, Any]:
        """A copy of all that `restore` needs to go on to the same bits."""
        return {name: _copied(getattr(self, name)) for name in self._names}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state of an engine with the same game, flow and cells.

        Raises ValueError for a state whose arrays have other shapes.
        """
        for name in self._names:
            setattr(self, name, _like(getattr(self, name), state[name], name))
        self._pace = Pace()

    @property
    def _names(self) -> tuple[str, ...]:
        return ("time", "last", "proposal", "counts", "warned", *self.saved)


class Controlled(Engine):
    """An engine that tries a step, and takes it or tries a shorter one.

    `order` is the power of the step that its error per unit of time goes with.
    """

    order = 1

    @abstractmethod
    def attempt(self, dt: float) -> Any:
        """The outcome of one step of length dt, with its estimated `error` as an attribute.

        None where dt is far too long; half of it is tried next.
        """

    @abstractmethod
    def accept(self, trial: Any, dt: float) -> None:
        """Make the outcome of `attempt` the present state."""

    def first(self, left: float) -> float:
        """The length of the first controlled step of a run that has a time `left` to go."""
        return left

    def move(self, until: float) -> float:
        """Take one step, not beyond `until`; the time at its end."""
        left = until - self.time
        dt = self.propose(left)
        # A step cut short to land on `until` says nothing against the longer one proposed before.
        cut = dt < 0.9 * self.proposal
        for _ in range(TRIES):
            trial = self.attempt(dt)
            good, following = self.judge(trial, dt)
            if good:
                self.proposal = max(following, self.proposal if cut else 0.0)
                self.accept(trial, dt)
                self.last = dt
                self.counts["steps"] += 1
                return until if dt == left else self.time + dt
            dt, cut = following, False
        raise NotConverged(
            f"the step fell to {dt:.2e} at time {self.time:g} and is still too long; the game's "
            f"loss may not be smooth here: {self.cure}"
        )

    def propose(self, left: float) -> float:
        """The next step, an equal part of the time `left`."""
        longest = self.step or self.proposal or self.first(left)
        if not (longest > 0.0 and left / longest < math.inf):
            raise NotConverged(f"no step is short enough at time {self.time:g}: {self.cure}")
        return left / parts(left, longest)

    def judge(self, trial: Any, dt: float) -> tuple[bool, float]:
        """Whether a step of length dt is accepted, and the length to try next."""
        if trial is None:
            self.counts["halved"] += 1
            return False, dt / 2
        if self.step:
            return True, dt
        excess = max(trial.error / (dt * self.tol), 1e-8)
        longer = float(min(max(0.9 * excess ** (-1 / self.order), 0.2), 3.0))
        self.counts["rejected"] += not longer >= 0.9
        return longer >= 0.9, dt * longer


def parts(time: float, longest: float) -> int:
    """Into how many equal steps a time is cut so that none is longer than `longest`."""
    return max(1, math.ceil(time / longest * (1 - 1e-9)))


class Pace:
    """How fast a run comes on, judged once in a window of steps."""

    def __init__(self) -> None:
        self.steps, self.begin, self.gone = 0, math.nan, math.nan

    def hopeless(self, time: float, until: float) -> bool:
        """Whether one more step, which ended at `time`, shows that `until` is out of reach."""
        self.steps += 1
        if self.steps % WINDOW > 0:
            return False
        before, self.gone, self.begin = self.gone, time - self.begin, time
        return self.gone < HOPELESS * (until - time) and self.gone < GROWS * before


def _copied(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_copied(one) for one in value)
    return value.copy() if isinstance(value, (np.ndarray, dict)) else value


def _like(present: Any, saved: Any, name: str) -> Any:
    """A saved value in the type and shape of the present one."""
    if isinstance(present, tuple):
        return tuple(_like(p, s, name) for p, s in zip(present, saved, strict=True))
    if isinstance(present, dict):
        return {key: _like(value, saved[key], name) for key, value in present.items()}
    if not isinstance(present, np.ndarray):
        return type(present)(saved)
    array = np.array(saved, dtype=present.dtype)
    if array.shape != present.shape:
        raise ValueError(
            f"the state's {name} have shape {array.shape}, this engine's {present.shape}: other "
            "game or cells?"
        )
    return array
