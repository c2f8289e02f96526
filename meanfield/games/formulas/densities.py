"""Densities given as text, such as "1 + 0.5*cos(x)", through the grammar of losses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from meanfield.checks import Array
from meanfield.games.formulas.grammar import ExpressionError, Parsed, at_the_call, parse


@at_the_call
def density(text: str, **constants: float) -> TextDensity:
    """The function of points (n, a) with the formula `text`, for `Start` and `Measure.integrate`.

    Coordinates are x1, x2, ... (x when there is one); y1, y2, ... mean the same, so that a density
    of the second player reads like one. The grammar is that of `expression`.

    Parameters
    ----------
    text : str
    **constants : float

    Returns
    -------
    TextDensity

    Raises
    ------
    ExpressionError
        For text outside the grammar, for a formula that mixes x and y, and for constants that it
        does not use.

    Examples
    --------
    >>> import numpy as np
    >>> import meanfield as mf
    >>> mf.games.density("1 + a*x", a=0.5)(np.array([[2.0]]))
    array([2.])
    """
    return TextDensity(text, tuple(sorted(constants.items())))


@dataclass(frozen=True)
class TextDensity:
    """A formula of one point's coordinates; made by `density`."""

    text: str
    constants: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if len({player for (player, _), _ in self._parsed.names}) > 1:
            raise ExpressionError(
                f"the density {self.text!r} mixes x and y; it is a function of one point"
            )

    @property
    def __name__(self) -> str:
        return self.text

    @cached_property
    def _parsed(self) -> Parsed:
        return parse(self.text, dict(self.constants))

    def __call__(self, points: Array) -> Array:
        a = points.shape[1]
        for (player, k), _ in self._parsed.names:
            if k >= a:
                raise ExpressionError(
                    f"the density {self.text!r} uses {'xy'[player]}{k + 1}, "
                    f"but points there have {a} coordinates"
                )
        variables = {(p, k): column for p in (0, 1) for k, column in enumerate(points.T)}
        with np.errstate(all="ignore"):  # what is not finite is refused where the values are used
            (values,) = self._parsed.graph.evaluate([self._parsed.root], variables)
        return np.array(np.broadcast_to(values, (len(points),)))
