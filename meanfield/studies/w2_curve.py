"""`w2_curve`: how far two runs are apart over time, at times that both of them saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meanfield.checks import Array, allow_underflow, finite_array
from meanfield.measures import Measure
from meanfield.metrics.w2.distance import w2
from meanfield.shown import Shown
from meanfield.trajectory import Trajectory, index_at


@dataclass(frozen=True, eq=False)
class W2Curve(Shown):
    """The distances of two runs over time.

    Attributes
    ----------
    times : (T,)
    x, y : (T,)
        W2 between the runs' measures of either player, not squared.
    runs
        What was compared, as given to `w2_curve`.
    """

    times: Array
    x: Array
    y: Array
    runs: Any = field(default=None, repr=False)

    @property
    def squared(self) -> Array:
        """W2^2_x + W2^2_y at each time, (T,), as Theorem 3 has it."""
        return self.x**2 + self.y**2

    def __repr__(self) -> str:
        rows = [f"W2Curve: {len(self.times)} times in [{self.times[0]:g}, {self.times[-1]:g}]"]
        for name in "xy":
            values = getattr(self, name)
            rows.append(f"  |-- {name}: {values[-1]:.4g} at the end, {values.max():.4g} at most")
        return "\n".join([*rows, f"  '-- W2^2 of both: {self.squared[-1]:.4g} at the end"])

    def plot(self, ax: Any = None, *, title: str | None = None, figsize: Any = None) -> Any:
        """Draw both distances over time, on matplotlib's axes if given; returns the figure."""
        from meanfield.plotting.style import PLAYERS, panel, styled
        from meanfield.plotting.words import of_pair

        if title is None:
            title = "distance of two runs" if self.runs is None else of_pair(*self.runs)
        with styled():
            ax = panel(5.0, 3.4, ax, figsize)
            for name, color in PLAYERS:
                label = rf"$W_2(\mu_{name}, \nu_{name})$"
                ax.plot(self.times, getattr(self, name), color=color, label=label)
            ax.set(xlabel="time $t$", ylabel="distance", title=title)
            ax.set_ylim(0, None)
            if len(self.times) > 1:
                ax.set_xlim(self.times[0], self.times[-1])
            ax.legend()
        return ax.figure


@allow_underflow
def w2_curve(
    a: Trajectory,
    b: Trajectory | tuple[Measure, Measure],
    times: Sequence[float] | Array | None = None,
) -> W2Curve:
    """W2 between two runs at each time that both saved, for each player.

    States are paired by their times, never by their numbers: two runs that are saved at different
    times share fewer.

    Parameters
    ----------
    a, b : Trajectory
        Runs of one game's manifolds, particles or mean fields; b may be a pair of measures, such as
        a Gibbs point's, from which a's distance is taken at all times.
    times : (T,), optional
        Times that both runs saved; by default all of them.

    Returns
    -------
    W2Curve

    Raises
    ------
    TypeError
        For other arguments.
    ValueError
        Where the runs share no time but the start, and for times that one of them did not save.

    Examples
    --------
    >>> import meanfield as mf
    >>> game, flow = mf.games.oscillator(), mf.Langevin(beta=25.0)
    >>> start = game.answers["start"]
    >>> field = mf.solve(game, flow, start, time=0.5, cells=128)
    >>> swarm = mf.simulate(game, flow, start, time=0.5, step=0.01, particles=2000)
    >>> curve = mf.w2_curve(swarm, field)
    >>> len(curve.times), bool(curve.x.max() < 0.1)
    (51, True)
    """
    for name, given in (("a", a), ("b", b)):
        pair = name == "b" and isinstance(given, tuple) and len(given) == 2
        pair = pair and all(isinstance(mu, Measure) for mu in given)
        if not (isinstance(given, Trajectory) or pair):
            also = " or a pair of measures" if name == "b" else ""
            raise TypeError(
                f"{name} must be a meanfield.Trajectory{also}, got {type(given).__name__}"
            )
    if times is not None:
        wanted = finite_array("times", times, (None,))  # type: ignore[arg-type]
        if not len(wanted):
            raise ValueError("times are empty; leave them out for all that both runs saved")
    else:
        wanted = a.times if isinstance(b, tuple) else _shared(a.times, b.times)
    found = np.array([_apart(a.at(t), b if isinstance(b, tuple) else b.at(t)) for t in wanted])
    x, y = found.reshape(-1, 2).T
    return W2Curve(wanted, x, y, (a, b))


def _apart(p: tuple[Measure, Measure], q: tuple[Measure, Measure]) -> tuple[float, float]:
    return w2(p[0], q[0]), w2(p[1], q[1])


def _shared(a: Array, b: Array) -> Array:
    """The times of a that b has, too; ValueError where that is the start alone."""
    found = []
    for t in a:
        try:
            index_at(b, float(t))
        except ValueError:
            continue
        found.append(t)
    if len(found) < min(2, len(a), len(b)):
        gaps = ", ".join(f"{t[1] - t[0]:.6g}" for t in (a, b) if len(t) > 1)
        raise ValueError(
            f"the runs were saved at different times (every {gaps}), of which they share "
            f"{len(found)}; run one of them again with the other's save_every"
        )
    return np.array(found)
