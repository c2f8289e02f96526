"""What the pictures of claims share.

Import it within `draw`: at the top of a claim it would stamp its stored parts.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from matplotlib.ticker import NullFormatter

# Okabe and Ito's colours in the order of the figures, and two more, as many as matplotlib's own.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5f6368", "#8C6D1F",
          "#7F3C8D", "#222222")  # fmt: skip


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


def styled() -> Any:
    """The context in which claims are drawn: the style and the colours of the figures."""
    import matplotlib
    from cycler import cycler

    from meanfield.plotting.style import STYLE

    cycle = cycler(color=COLORS)
    return matplotlib.rc_context({**STYLE, "axes.prop_cycle": cycle})


def typeset(figure: Any) -> None:
    """Formulas in titles, labels and legends as mathematics."""
    from matplotlib.text import Text

    from validation.notation import mathtext

    for text in figure.findobj(Text):
        text.set_text(mathtext(text.get_text()))
