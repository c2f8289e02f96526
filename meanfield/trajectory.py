"""What a run returns: times, both players' measures, diagnostics and provenance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from meanfield.checks import Array, known_name, real
from meanfield.measures import Measure, mixture
from meanfield.shown import Shown
from meanfield.storage.named import by_name
from meanfield.storage.results import Result

Pair = tuple[Measure, Measure]


def index_at(times: Array, t: float) -> int:
    """The number of the saved time t; ValueError names those around a time that is none."""
    wanted = real("t", t)
    near = np.abs(times - wanted)
    k = int(np.argmin(near))
    if near[k] > 1e-9 * max(abs(wanted), float(times[-1]), 1e-300):
        around = ", ".join(f"{s:.10g}" for s in times[np.sort(np.argsort(near, kind="stable")[:2])])
        raise ValueError(
            f"t = {wanted:.10g} is not among the {len(times)} saved times from {times[0]:.10g} to "
            f"{times[-1]:.10g}; the nearest are {around}: choose one of these, or run again with "
            "another save_every"
        )
    return k


def check_goes_on(run: Any, game: Any, flow: Any, name: str = "resume") -> None:
    """Check that a run can go on.

    TypeError unless it is a trajectory, ValueError unless it was made with this game and flow.
    """
    if not isinstance(run, Trajectory):
        raise TypeError(f"{name} must be a meanfield.Trajectory, got {type(run).__name__}")
    if flow != run.flow:
        raise ValueError(
            f"{name} follows {run.flow}, not {flow}; give the flow that it was made with"
        )
    if game.manifolds != run.game.manifolds:
        raise ValueError(
            f"{name} plays {run.game!r}, not {game!r}; give the game that it was made with"
        )
    run.check_game(game, name)


def check_held(
    run: Any, game: Any, flow: Any, start: Any, first: Callable[[], Pair], path: Any
) -> None:
    """Check that the run of a file can go on.

    A start that was a function is known to the file by name only: ValueError, too, where the first
    states of the run are not those of `start`.
    """
    check_goes_on(run, game, flow, str(path))
    if start is not None and by_name(start):
        check_same_start(run, first(), str(path))


def check_same_start(run: Any, first: Pair, name: str) -> None:
    """ValueError unless the run began with these measures."""
    if not same_measures(run[0], first):
        raise ValueError(
            f"{name} began from another start; give that one, or leave it out, or begin a run of "
            "another name"
        )


def check_same_state(run: Any, time: float, now: Pair) -> None:
    """ValueError unless a state restored from a run is one that its saved times lead to."""
    last = float(run.times[-1])
    if time < last - 1e-9 * max(1.0, abs(last)):
        raise ValueError(
            f"resume has a state that stands at t={time:g}, before its last saved time t={last:g}"
        )
    if time == last and not same_measures(run[-1], now):
        raise ValueError(
            f"resume has a state of another run: its measures at t={time:g} are not those saved"
        )


def same_measures(a: Pair, b: Pair) -> bool:
    """Whether both players' atoms or cells agree, in this order, to nine digits."""
    return all(
        len(mu) == len(nu)
        and np.allclose(mu.points, nu.points, 1e-9, 1e-9)
        and np.allclose(mu.masses, nu.masses, 1e-9, 1e-12)
        for mu, nu in zip(a, b, strict=True)
    )


@dataclass(frozen=True, eq=False)
class Trajectory(Shown, Result):
    """The saved states of a run, as `simulate` and `solve` return it.

    `run[k]` is the pair of measures at times[k].

    Attributes
    ----------
    times : (S,)
    x, y : list of Measure
        The players' measures at each saved time.
    game, flow
        What was played, and how.
    diagnostics : dict of arrays (S, ...)
    provenance : dict
        Start, scheme, step, seed, versions; "made": date, processor, system, Python, linear
        algebra and commit.
    state : dict
        The final state, from which `simulate(..., resume=run)` or `solve(..., resume=run)` goes on
        to the same bits as an uninterrupted run.
    """

    times: Array
    x: list[Measure]
    y: list[Measure]
    game: Any
    flow: Any
    diagnostics: dict[str, Array] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """ValueError where what was recorded does not go together."""
        times, S = np.asarray(self.times), len(self.times)
        if not S or times.ndim != 1 or not np.all(np.diff(times) > 0):
            raise ValueError(f"a trajectory needs saved times that increase, got {times}")
        lengths = {"x": len(self.x), "y": len(self.y)}
        lengths |= {name: len(rows) for name, rows in self.diagnostics.items()}
        if wrong := [f"{n} of {name}" for name, n in lengths.items() if n != S]:
            raise ValueError(f"a trajectory has {S} saved times, but {', '.join(wrong)}")

    def check_game(self, game: Any, where: str) -> None:
        """ValueError unless a game has the values that were recorded: the last, and the farthest
        from it, for at the equilibrium alone many games agree. To nine digits of the loss.

        Two games may share a name, functions above all.
        """
        values = np.asarray(self.diagnostics.get("value", ()), np.float64)
        if not len(values):
            return
        last, farthest = len(values) - 1, int(np.argmax(np.abs(values - values[-1])))
        for k in (last, farthest):
            now, then = game.value(*self[k]), float(values[k])
            few = (mu.points[:: max(1, len(mu.points) // 64)] for mu in self[k])
            size = max(abs(now), float(np.abs(game.moving_loss(*few)).max()))
            if not abs(now - then) <= 1e-9 * size:
                raise ValueError(
                    f"{where} plays {self.game!r}, not {game!r} as it is now: its value at "
                    f"t={self.times[k]:g} was {then:.10g}, not {now:.10g}; give the game that it "
                    "was made with"
                )

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, k: int) -> tuple[Measure, Measure]:
        return self.x[k], self.y[k]

    def __iter__(self) -> Iterator[tuple[Measure, Measure]]:
        return iter(zip(self.x, self.y, strict=True))

    def __repr__(self) -> str:
        lines = [
            f"Trajectory: {len(self)} states over t in [{self.times[0]:g}, {self.times[-1]:g}]"
        ]
        lines += [f"  |-- {key}: {_told(value)}" for key, value in self.provenance.items()]
        lines += [f"  |-- x: {self.x[-1]}, y: {self.y[-1]}"]
        return "\n".join([*lines, f"  '-- diagnostics: {', '.join(self.diagnostics) or 'none'}"])

    def at(self, t: float) -> tuple[Measure, Measure]:
        """Both players' measures at time t, which must be a saved one to nine digits.

        Nothing is interpolated: between saved states there is no run to look at.

        Raises
        ------
        ValueError
            For another time; the message names the saved times around it.
        """
        return self[index_at(self.times, t)]

    def average(self, kind: str = "measures", last: int = -1) -> tuple[Measure, Measure]:
        """The time averages over [times[0], times[last]] of both players.

        Parameters
        ----------
        kind : {"measures", "weights"}
            "measures": (1/T) int_0^T mu_t dt, positions and weights, as Theorem 2 has it, by the
            trapezoid rule over the saved times. "weights": the last positions with their weights
            averaged over every step, as the paper's experiments have it (particles only).
        last : int
            The number of the last saved time that counts.

        Raises
        ------
        ValueError
            For another kind, and "weights" for runs whose weights are not averaged.
        """
        end = range(len(self))[last]
        if known_name("kind", kind, ("measures", "weights")) == "weights":
            if "mean_weights" not in self.state:
                raise ValueError(
                    'average("weights") needs particles that carry weights; use "measures"'
                )
            means = zip(self[end], self.state["mean_weights"][end], strict=True)
            a, b = (Measure(m.points, w / w.sum(), m.manifold) for m, w in means)
            return a, b
        if end == 0:
            return self[0]
        half = np.diff(self.times[: end + 1]) / 2
        w = np.append(0.0, half) + np.append(half, 0.0)
        w /= w.sum()
        return mixture(self.x[: end + 1], w), mixture(self.y[: end + 1], w)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw the run as `meanfield.plotting.plot_trajectory` does; returns the figure.

        ax=, times=, title=, figsize=, snapshots=, bins=, view= are those of that function.
        """
        from meanfield.plotting import plot_trajectory

        return plot_trajectory(self, ax, **options)


def _told(value: Any) -> Any:
    """A table on one line, without its keys where they go without saying."""
    if not isinstance(value, dict) or "processor" not in value:
        return value
    return ", ".join(value.values())


@cache
def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    return {name: _version(name) for name in ("meanfield-zerosum", "numpy", "scipy", "numba")}
