"""Signals, while what must not be interrupted runs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import current_thread, main_thread
from typing import Any


@contextmanager
def handlers_wait() -> Iterator[None]:
    """Handlers of signals written in Python are called at the end, in the order of the signals."""
    handlers = {}
    if current_thread() is main_thread():
        for number in signal.valid_signals():
            if callable(handler := signal.getsignal(number)):
                handlers[number] = handler
    seen: list[tuple[Any, Any]] = []
    try:
        for number in handlers:
            signal.signal(number, lambda *given: seen.append(given))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        with ExitStack() as last:  # all are called, also where one raises
            for number, frame in reversed(seen):
                last.callback(handlers[number], number, frame)
