"""One progress bar for every long run: on terminals and in notebooks; a line at times in logs."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from meanfield.checks import truth

PATIENCE = 30.0  # seconds before a log's first line, and between its first lines
LATER = 0.1  # of the time spent so far, the least wait between later ones
FIRST = 1.25  # times the time of the first unit: what came by then says nothing of the pace


def bar(total: float, label: str, show: bool | None, initial: float = 0) -> Any:
    """A tqdm bar over `total` units.

    show=None: a bar on terminals and in notebooks, and elsewhere, in logs, a line from time to
    time once half a minute has passed. True: a bar everywhere. False: nothing. How long is left is
    told by the pace after the first unit, during which kernels compile.
    """
    show = None if show is None else truth("progress", show)
    how: Any = {"total": total, "initial": initial, "desc": label, "leave": False}
    layout = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    line = "{desc} {percentage:3.0f}% after {elapsed}, about {remaining} to go"
    if in_notebook() and show is not False:
        from tqdm.auto import tqdm as notebook

        return _paced(notebook)(bar_format=layout, **how)
    # The error stream may be closed, or somebody's own.
    if show is None and not getattr(sys.stderr, "isatty", bool)():
        closed = sys.stderr is None or getattr(sys.stderr, "closed", False)
        how |= {"mininterval": PATIENCE, "miniters": 0, "delay": PATIENCE, "disable": closed}
        return _log()(bar_format=line, file=sys.stderr, **how)
    from tqdm import tqdm

    drawn = layout.replace("{bar}", "{bar:24}")
    return _paced(tqdm)(bar_format=drawn, disable=show is False, **how)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "IPKernelApp" in getattr(shell, "config", {})


@cache  # tqdm keeps a thread for each kind
def _paced(kind: Any) -> Any:
    """A kind of bar whose pace is that since its first units, which workers may finish together."""

    class Paced(kind):  # type: ignore[misc]
        first = 0.0  # seconds to the first unit
        begun = (0.0, 0.0)  # seconds, and units done by then, from which the pace counts

        def update(self, n: float = 1) -> bool | None:
            if n > 0 and not self.disable:
                spent = self._time() - self.start_t
                self.first = self.first or spent
                if spent <= FIRST * self.first:
                    self.begun = spent, self.n + n
            return super().update(n)  # type: ignore[no-any-return]

        @property
        def format_dict(self) -> dict[str, Any]:
            now = super().format_dict
            since, done = now["elapsed"] - self.begun[0], now["n"] - self.begun[1]
            return {**now, "rate": done / since if self.first and since > 0 else 0.0}

    return Paced


@cache
def _log() -> Any:
    """A kind of bar that writes whole lines, rarer and rarer; none into a stream that is closed."""
    from tqdm import tqdm

    class Log(_paced(tqdm)):  # type: ignore[misc]
        @staticmethod
        def status_printer(file: Any) -> Any:
            return lambda text: print(text, file=file, flush=True) if text.strip() else None

        def display(self, msg: str | None = None, pos: int | None = None) -> bool | None:
            spent = self.format_dict["elapsed"]
            if msg is not None or spent < PATIENCE:  # the empty line that wipes a bar away
                return None
            self.mininterval = max(PATIENCE, LATER * spent)
            return super().display(msg, 0)  # of bars at once, too, each writes lines

    return Log
