"""The times at which a run is saved, for particles and densities alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meanfield.checks import Array, real

MOST = 1e6  # saved states
SHORTEST = 1e-300  # time: parts of shorter ones are no normal numbers
USUAL = 50  # saves after the first where none are asked for, at both levels
FEWEST = 10


def saved_times(time: float, save_every: float | None, begin: float = 0.0) -> Array:
    """The times from `begin` on at which a run is saved: multiples of `save_every`, then `time`.

    `save_every` is time / 50 by default. At time = 0 a run that begins there has one state. Raises
    ValueError unless begin < time, 1e-300 <= time and 0 < save_every.
    """
    end = real("time", time, 0.0)
    if end == begin == 0.0:
        return np.zeros(1)
    if end <= begin:
        raise ValueError(
            f"time is {end:g}, but the run already stands at t = {begin:g}; ask for a later time"
        )
    if end < SHORTEST:
        raise ValueError(f"time must be 0 or at least {SHORTEST:g}, got {end:g}")
    gap = end / USUAL if save_every is None else real("save_every", save_every, 0.0, strict=True)
    if end / gap > MOST:
        raise ValueError(
            f"save_every = {gap:g} asks for {end / gap:.3g} saved states; choose a longer interval"
        )
    # Multiples are counted from zero and rounded as one writes them (0.15, not 3 * 0.05, which is
    # off by one rounding), so that a resumed run saves where an uninterrupted one does.
    first = int(np.floor(begin / gap * (1 + 1e-12) + 1e-12)) + 1
    last = int(np.ceil(end / gap * (1 - 1e-12)))
    inner = _as_written(np.arange(first, max(last, first)) * gap)
    return np.concatenate([[begin], inner[inner < end * (1 - 1e-12)], [end]])


def _as_written(times: NDArray[Any]) -> Array:
    """Times as decimal numbers of 12 digits where these are within rounding of them."""
    if not len(times) or not 1e-9 < times[-1] < 1e9:
        return times
    short = np.round(times, 11 - int(np.floor(np.log10(times[-1]))))
    return np.where(np.abs(short - times) <= 4 * np.spacing(times), short, times)
