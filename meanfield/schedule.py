"""The times at which a run is saved, for particles and densities alike."""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array, real

MOST = 1e6  # saved states


def saved_times(time: float, save_every: float | None, begin: float = 0.0) -> Array:
    """begin, then every multiple of `save_every` (default: time / 100), then `time` itself.

    Raises ValueError unless begin < time and 0 < save_every.
    """
    end = real("time", time, 0.0, strict=True)
    if end <= begin:
        raise ValueError(
            f"time is {end:g}, but the run already stands at t = {begin:g}; ask for a later time"
        )
    gap = end / 100 if save_every is None else real("save_every", save_every, 0.0, strict=True)
    if end / gap > MOST:
        raise ValueError(
            f"save_every = {gap:g} asks for {end / gap:.3g} saved states; choose a longer interval"
        )
    # Multiples are counted from zero, so that a resumed run saves where an uninterrupted one does.
    first = int(np.floor(begin / gap * (1 + 1e-12) + 1e-12)) + 1
    last = int(np.ceil(end / gap * (1 - 1e-12)))
    inner = np.arange(first, max(last, first)) * gap
    return np.concatenate([[begin], inner[inner < end * (1 - 1e-12)], [end]])
