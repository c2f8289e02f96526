"""What results share that can be drawn: a table with a picture in notebooks, and `savefig`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Shown:
    """Mixed into measures and results; those that have a picture draw it in `plot`."""

    plot: Callable[..., Any]

    def savefig(self, fname: Any, **options: Any) -> None:
        """Draw with the usual options and save; options are those of matplotlib's savefig."""
        self.plot().savefig(fname, **options)

    def _repr_html_(self) -> str:
        """What notebooks show: a small table, and the picture folded in below it."""
        from meanfield.plotting.summary import summary

        return summary(self)
