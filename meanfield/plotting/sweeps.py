"""The picture of a sweep: a number against one parameter, or over two."""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.plotting.checks import draws
from meanfield.plotting.style import (
    BLUE,
    GREY,
    in_decades,
    logarithmic,
    panel,
    shades,
    styled,
    ticks_at,
    wide,
)

# What replicas differ in: a picture shows their mean and its standard error.
REPLICAS = ("seed", "replica")
NAMES = {
    "ni": "Nikaido-Isoda error", "value": r"expected loss $L(\mu_x, \mu_y)$",
    "exponent": r"exponent of $W_2^2$ in $n$",
}  # fmt: skip
FEW = 5  # values of a second parameter that are drawn as curves rather than as colours
MARKED = 8  # up to so many values of a parameter have a tick each


@draws("a Sweep, as meanfield.sweep returns", "numbers", "labels", "status")
def plot_sweep(
    sweep: Any, ax: Any = None, *, number: str | None = None, title: str | None = None,
    figsize: Any = None,
) -> Any:  # fmt: skip
    """Draw a number of every task over the swept parameters.

    One parameter: a curve. Two: a curve for each value of the shorter axis where it has at most
    five values, colours otherwise. Over seeds and replicas the mean is drawn with two standard
    errors.

    Parameters
    ----------
    sweep : Sweep
    number : str, optional
        Which number; by default the sweep's `main`.
    ax, title, figsize
        As of `plot_trajectory`.

    Returns
    -------
    matplotlib figure

    Raises
    ------
    ValueError
        For more parameters, and where there is nothing to draw.
    """
    name = sweep.main if number is None else number
    if name not in sweep.numbers:
        known = ", ".join(sweep.numbers) or "none: no task is done"
        raise ValueError(f"the sweep has no number {name!r}; it has {known}")
    values, axes = averaged(sweep, name)
    with styled():
        ax = panel(5.6, 3.8, ax, figsize)
        if len(axes) == 0:
            ax.plot(np.arange(values.shape[-1]), values, "o", color=BLUE)
            ax.set(xlabel="replica")
        elif len(axes) == 1:
            _curve(ax, axes[0], values, BLUE)
            _legend(ax, values)
        elif len(axes) == 2:
            _two(ax, axes, values, name)
        else:
            many = ", ".join(axis[0] for axis in axes)
            raise ValueError(f"a picture shows one or two parameters, this sweep has {many}")
        if ax.get_ylabel() == "":
            ax.set_ylabel(NAMES.get(name, name))
        ax.set_title(f"{sweep.call}: {name}" if title is None else title)
        if left := len(sweep) - sweep.status.count("done"):
            note = f"{left} of {len(sweep)} tasks are not in the picture"
            ax.text(0.02, 0.02, note, transform=ax.transAxes, color=GREY, fontsize=7)
    return ax.figure


Axis = tuple[str, list[Any]]


def averaged(sweep: Any, name: str) -> tuple[Array, list[Axis]]:
    """The number over the parameters (..., R), R replicas last, and the parameters' values."""
    shape, dims, coordinates = sweep.grid()
    values = sweep.numbers[name].reshape(shape)
    if dims == ("task",):
        raise ValueError(
            "the tasks are no whole grid, of which a picture could be drawn; use to_csv"
        )
    inner = [k for k, dim in enumerate(dims) if dim.rpartition(".")[2] in REPLICAS]
    outer = [k for k in range(len(dims)) if k not in inner and shape[k] > 1]
    rest = [k for k in range(len(dims)) if k not in outer]
    moved = np.transpose(values, [*outer, *rest]).reshape([*(shape[k] for k in outer), -1])
    axes = []
    for k in outer:
        first = next(named for axis, named in coordinates.values() if axis == dims[k])
        axes.append((dims[k], list(first)))
    return moved, axes


def _places(values: list[Any]) -> tuple[Array, bool, list[str] | None]:
    """Where values stand on an axis, whether it is logarithmic, and their names where words."""
    if any(isinstance(v, str) for v in values):
        return np.arange(len(values), dtype=float), False, [str(v) for v in values]
    at = np.array(values, dtype=float)
    if len(at) < 3 or not (at > 0).all():
        return at, False, None
    steps = np.diff(np.log(at))
    geometric = np.allclose(steps, steps[0], rtol=1e-6)
    return at, bool(geometric) or wide(at), None


def _label(ax: Any, which: str, axis: Axis) -> Array:
    at, logs, names = _places(axis[1])
    if logs:
        in_decades(ax, which)
    if names is not None:
        ax.set(**{f"{which}ticks": at, f"{which}ticklabels": names})
    elif len(at) <= MARKED:
        ticks_at(getattr(ax, f"{which}axis"), at, [f"{v:.4g}" for v in at])
    ax.set(**{f"{which}label": axis[0]})
    return at


def _means(values: Array) -> tuple[Array, Array]:
    """Means over replicas, the last axis, of those that are there, and how many are."""
    count = np.isfinite(values).sum(axis=-1)
    return np.where(count > 0, np.nansum(values, axis=-1) / np.maximum(count, 1), np.nan), count


def _curve(ax: Any, axis: Axis, values: Array, color: Any, label: str | None = None) -> None:
    """Means over replicas (P, R) with two standard errors."""
    at = _label(ax, "x", axis)
    mean, count = _means(values)
    order = np.argsort(at)
    ax.plot(at[order], mean[order], "o-", ms=3.5, color=color, label=label)
    if values.shape[1] > 1:
        off = np.nansum((values - mean[:, None]) ** 2, axis=1) / np.maximum(count - 1, 1)
        reach = 2 * np.sqrt(off / np.maximum(count, 1))
        low, high = (mean - reach)[order], (mean + reach)[order]
        ax.fill_between(at[order], low, high, color=color, alpha=0.2, lw=0)
    logarithmic(ax, mean)


def _legend(ax: Any, values: Array, **how: Any) -> None:
    """What curves and, of several replicas, bands are."""
    from matplotlib.patches import Patch

    entries = ax.get_legend_handles_labels()[0]
    if values.shape[-1] > 1:
        entries.append(Patch(color=GREY, alpha=0.3, lw=0, label="mean and two standard errors"))
    if entries:
        ax.legend(handles=entries, **how)


def _two(ax: Any, axes: list[Axis], values: Array, name: str) -> None:
    lengths = [len(axis[1]) for axis in axes]
    if min(lengths) > FEW:
        _colours(ax, axes, values, name)
        return
    short = int(np.argmin(lengths[::-1]) == 0)  # the second of two equally short ones
    if short == 0:
        values = np.swapaxes(values, 0, 1)
    (what, each), long = axes[short], axes[1 - short]
    for k, color in enumerate(shades(len(each))):
        label = each[k] if isinstance(each[k], str) else f"{each[k]:g}"
        _curve(ax, long, values[:, k], color, f"{what} = {label}")
    _legend(ax, values, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _colours(ax: Any, axes: list[Axis], values: Array, name: str) -> None:
    """The first parameter across, the second up."""
    from matplotlib.colors import LogNorm

    mean, _ = _means(values)
    x, y = _label(ax, "x", axes[0]), _label(ax, "y", axes[1])
    order = np.ix_(np.argsort(x), np.argsort(y))
    edges = (_edges(np.sort(v), ax.get_xscale() if k == 0 else ax.get_yscale())
             for k, v in enumerate((x, y)))  # fmt: skip
    how: Any = {"cmap": "viridis", "norm": LogNorm() if wide(mean) else None, "rasterized": True}
    drawn = ax.pcolormesh(*edges, mean[order].T, **how)
    ax.figure.colorbar(drawn, ax=ax, label=NAMES.get(name, name))


def _edges(at: Array, scale: str) -> Array:
    """The borders of cells around places on an axis, half-way between them."""
    v = np.log(at) if scale == "log" else at
    middle = (v[1:] + v[:-1]) / 2
    all_of = np.concatenate([[2 * v[0] - middle[0]], middle, [2 * v[-1] - middle[-1]]])
    return np.exp(all_of) if scale == "log" else all_of
