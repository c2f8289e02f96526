"""One progress bar for every long run: shown on terminals, silent elsewhere."""

from __future__ import annotations

import sys
from typing import Any


def bar(total: float, label: str, show: bool | None, initial: float = 0) -> Any:
    """A tqdm bar over `total` units; with show=None it is shown where errors go to a terminal."""
    from tqdm import tqdm

    # The error stream may be closed, or somebody's own.
    visible = bool(getattr(sys.stderr, "isatty", bool)()) if show is None else show
    layout = "{desc} {percentage:3.0f}%|{bar:24}| {elapsed}<{remaining}"
    how: Any = {"disable": not visible, "leave": False, "bar_format": layout}
    return tqdm(total=total, initial=initial, desc=label, **how)
