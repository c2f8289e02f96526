"""What linearised flows have in common: eigenvalues, and what they say of small perturbations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meanfield.shown import Shown
from meanfield.storage.results import Result

Complex = NDArray[np.complex128]


class Spectrum(Shown, Result):
    """Mixed into results with `eigenvalues` (k,), the one of largest real part first. There are
    none where nothing can move: the weight of a single atom is always 1.
    """

    eigenvalues: Complex

    @property
    def rate(self) -> float:
        """Small perturbations decay like exp(-rate t); negative where they grow."""
        return 0.0 - float(self.eigenvalues[0].real) if len(self.eigenvalues) else np.inf

    @property
    def frequency(self) -> float:
        """Angular frequency of the leading mode, 0 where it does not turn."""
        return abs(float(self.eigenvalues[0].imag)) if len(self.eigenvalues) else 0.0

    @property
    def leading(self) -> str:
        """The first four eigenvalues in words."""
        first = self.eigenvalues[:4]
        return ", ".join(f"{v.real:.6g}{v.imag:+.6g}i" for v in first) or "none, nothing moves"

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the eigenvalues as `meanfield.plotting.plot_spectrum` does; returns the figure."""
        from meanfield.plotting import plot_spectrum

        return plot_spectrum(self, ax, **options)
