"""A task of a sweep: what it computes, the key that tells it from all others, and how it is run."""

from __future__ import annotations

import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from inspect import signature
from time import perf_counter
from typing import Any

from meanfield.checks import Array, known_name, refuse_unknown
from meanfield.describe import Described, describe
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.machine import made
from meanfield.packing import Packed, digest, fingerprint, pack
from meanfield.start import Start
from meanfield.studies.resume import diagnostics_of
from meanfield.studies.sweep.numbers import numbers_of

# What can be swept: call -> its module, and whether it takes a flow and a start.
CALLS = {
    "simulate": ("particles.simulate", True), "solve": ("density.solve", True),
    "compare": ("studies.compare", True), "check": ("studies.check", True),
    "gibbs": ("equilibria", False), "nash": ("equilibria", False),
}  # fmt: skip
# What a call is told besides, and its result does not depend on.
BESIDE = (
    "progress", "checkpoint", "checkpoint_every", "threads", "executor", "callback", "out",
)  # fmt: skip
FUNCTIONS = ("diagnostics", "stop", "resume")  # for which no key could speak
# What a sweep over files calls it, and what to do instead.
RENAMED = {"replicas": 'give over={"replica": range(3)} for three of each'}


@dataclass(frozen=True)
class Task:
    """One computation: a call, what it is given, and the values of the swept parameters."""

    call: str
    game: Game
    flow: Flow | None
    start: Start | None
    options: dict[str, Any]
    labels: dict[str, Any]
    key: str = ""

    def keyed(self) -> Task:
        """The task with its key; TypeError or ValueError for options that its call has not."""
        return replace(self, key=digest({**self.job(), **self._besides()}))

    def job(self) -> dict[str, Any]:
        """All that is run, as plain data."""
        parts = {"game": self.game, "flow": self.flow, "start": self.start}
        return describe({"call": self.call, **parts, "options": self.all_options()})  # type: ignore[no-any-return]

    def _besides(self) -> dict[str, Any]:
        from meanfield import __version__

        return {"values": fingerprint(self.game, self.start), "version": __version__}

    def all_options(self) -> dict[str, Any]:
        """The options with the defaults of those left out."""
        given = {key: value for key, value in self.options.items() if key != "record"}
        for name in (*BESIDE, *FUNCTIONS):
            if name in given:
                raise ValueError(f"{name} is no option of a sweep's tasks")
        call = function(self.call)
        refuse_unknown(self.call, given, vars(call)["keywords"], RENAMED)
        bound = signature(call).bind(*self.arguments(), **given)
        bound.apply_defaults()
        taken = ("game", "flow", "start", *BESIDE, *FUNCTIONS)
        if self.call in ("gibbs", "nash"):
            bound.arguments.pop("start", None)
        found = {key: value for key, value in bound.arguments.items() if key not in taken}
        return {**found, "record": list(self.options.get("record", []))}

    def arguments(self) -> tuple[Any, ...]:
        """What the call takes before its options."""
        return (self.game, self.flow, self.start) if CALLS[self.call][1] else (self.game,)


@dataclass
class Outcome:
    """What became of a task. error: the traceback of one that failed, empty for one that is done.

    numbers, curves: see `numbers_of`; seconds: its time in the worker; made: where and with what.
    """

    key: str
    labels: dict[str, Any]
    call: str = ""
    numbers: dict[str, float] = field(default_factory=dict)
    curves: dict[str, Array] = field(default_factory=dict)
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)
    error: str = ""
    made: dict[str, Any] = field(default_factory=dict)


@dataclass
class Outcomes:
    """Tasks that were finished together: what one file of a sweep's folder holds."""

    rows: list[Outcome]


@dataclass(frozen=True)
class Sent:
    """A task on its way to a worker."""

    call: str
    game: Packed
    flow: Packed
    start: Packed
    options: dict[str, Any]


def packer(remote: bool) -> Callable[[Task], Sent]:
    """Tasks made ready for workers; what many of them share is described once."""
    kept: dict[int, tuple[Any, Packed]] = {}

    def packed(value: Any) -> Packed:
        if not remote:
            return Packed("", value)
        if id(value) not in kept:
            kept[id(value)] = value, pack(value)  # the value too, so that its id stays its own
        return kept[id(value)][1]

    return lambda t: Sent(t.call, packed(t.game), packed(t.flow), packed(t.start), t.options)


def function(call: str) -> Callable[..., Any]:
    """The function that a call names."""
    known_name("call", call, CALLS)
    return getattr(import_module(f"meanfield.{CALLS[call][0]}"), call)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Compute:
    """Tasks in the worker.

    whole: return results, too; halt: called by runs at their saved times.
    """

    whole: bool = False
    halt: Callable[..., Any] | None = None

    def __call__(self, sent: Sent) -> tuple[Outcome, Described | None]:
        """What became of a task; its errors are part of that."""
        clock, outcome, kept = perf_counter(), Outcome("", {}), None
        with recorded(outcome.warnings):
            try:
                result = self._result(sent)
                outcome.numbers, outcome.curves = numbers_of(result)
                kept = describe(result) if self.whole else None
            except Exception:
                outcome.error = traceback.format_exc()
        outcome.seconds, outcome.made = perf_counter() - clock, made()
        return outcome, kept

    def _result(self, sent: Sent) -> Any:
        game, how = sent.game.open(), dict(sent.options)
        record = how.pop("record", [])
        if sent.call in ("simulate", "solve"):
            how |= {"diagnostics": diagnostics_of(record, game), "callback": self.halt}
        if sent.call in ("compare", "check"):
            how["threads"] = 1
        if sent.call != "gibbs":
            how["progress"] = False
        given = (game, sent.flow.open(), sent.start.open()) if CALLS[sent.call][1] else (game,)
        return function(sent.call)(*given, **how)


_recording = threading.Lock()
_lists = threading.local()
_before: list[Any] = []  # a thread's entry for every list under way; the first holds Python's own


@contextmanager
def recorded(into: list[str]) -> Iterator[None]:
    """Put the warnings of this thread into a list, a line each, whatever other threads do."""
    with _recording:
        if not _before:
            held = warnings.catch_warnings()
            held.__enter__()
            warnings.simplefilter("always")
            _before.append((held, warnings.showwarning))
            warnings.showwarning = _note
        _before.append(None)
    _lists.into = into
    try:
        yield
    finally:
        _lists.into = None
        with _recording:
            _before.pop()
            if len(_before) == 1:
                _before.pop()[0].__exit__(*sys.exc_info())


def _note(message: Any, category: Any, *rest: Any, **how: Any) -> None:
    into = getattr(_lists, "into", None)
    if into is None:
        _before[0][1](message, category, *rest, **how)
        return
    line = f"{category.__name__}: {' '.join(str(message).split())}"
    if line not in into:
        into.append(line)
