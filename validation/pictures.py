"""What the pictures of claims share.

Import it within `draw`: at the top of a claim it would stamp its stored parts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from matplotlib.ticker import NullFormatter


def legends(axes: Iterable[Any], room: float = 0.0, **how: Any) -> None:
    """A legend each, with `room` above the curves as a share of what they span in logarithms; minor
    ticks unnamed.
    """
    for ax in axes:
        if room:
            low, high = ax.get_ylim()
            ax.set_ylim(low, high * (high / low) ** room)
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.legend(**how)
