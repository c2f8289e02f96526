"""What every mean-field engine offers to `solve`.

An engine is built from a game, a flow, the two starting laws and its resolution; it holds the
current state and moves it. Engines are independent second opinions: they share this protocol and
the game, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from meanfield.measures import Measure


class Engine(Protocol):
    """A state of the mean field at `time` that can be moved, read, saved and restored."""

    name: str
    time: float

    def advance(self, until: float) -> None:
        """Move to `until` exactly, by given or controlled steps."""

    def measures(self) -> tuple[Measure, Measure]:
        """Both players' measures now."""

    def diagnostics(self) -> dict[str, float]:
        """What the engine watches: steps taken, spectral tail, smallest mass, largest cell Peclet number."""

    def state(self) -> dict[str, Any]:
        """Copies of all that `restore` needs to go on to the same bits: arrays and numbers."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state."""
