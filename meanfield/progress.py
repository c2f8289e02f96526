"""One progress bar for every long run: shown on terminals, silent elsewhere."""

from __future__ import annotations

import sys
from typing import Any


def bar(total: float, label: str, show: bool | None, initial: float = 0) -> Any:
    """A tqdm bar over `total` units; `show` None means when the error stream is a terminal."""
    from tqdm import tqdm

    # The error stream may be closed, or somebody's own.
    visible = bool(getattr(sys.stderr, "isatty", bool)()) if show is None else show
    layout = "{desc} {percentage:3.0f}%|{bar:24}| {elapsed}<{remaining}"
    return tqdm(
        total=total,
        initial=initial,
        desc=label,
        disable=not visible,
        leave=False,
        bar_format=layout,
    )
