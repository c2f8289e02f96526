"""The one measure of convergence that every scheme's tests use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def fitted_order(sizes: Sequence[float], errors: Sequence[float]) -> float:
    """Slope p of log(error) = p log(size) + const by least squares.

    sizes: steps or mesh widths (the error falls with them, p > 0) or numbers of cells, steps or
    particles (p < 0). Raises ValueError for fewer than two points, for sizes or errors that are
    not positive and finite (an error of zero says that the test measures nothing).
    """
    h, e = np.asarray(sizes, dtype=float), np.asarray(errors, dtype=float)
    if h.ndim != 1 or h.shape != e.shape or len(h) < 2:
        raise ValueError(
            f"sizes and errors must be two sequences of one length >= 2, got {h.shape} and "
            f"{e.shape}"
        )
    if not (np.isfinite(h).all() and np.isfinite(e).all() and (h > 0).all() and (e > 0).all()):
        raise ValueError(f"sizes and errors must be positive and finite, got {h} and {e}")
    slope, _ = np.polyfit(np.log(h), np.log(e), 1)
    return float(slope)
