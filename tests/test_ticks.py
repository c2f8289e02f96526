"""Axes of pictures: two named ticks or more on each, however little or much it spans."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pytest

from meanfield.plotting import plot_path, plot_sweep
from meanfield.plotting.pages import METHODS, draw_ends, draw_iterations
from meanfield.plotting.style import in_decades, panel, stage, styled
from meanfield.studies.sweep.table import Sweep
from meanfield.studies.theorems.pictures import draw_one, draw_two

matplotlib.use("agg")


def names(axis: Any) -> list[str]:
    """The ticks of an axis that are seen and named."""
    low, high = sorted(axis.get_view_interval())
    ticks = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=True)
    return [name.get_text() for at, name in ticks if low <= at <= high and name.get_text()]


def check_ticks(figure: Any) -> None:
    """Two named ticks or more on every axis whose names are shown."""
    figure.draw_without_rendering()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            if axis.get_tick_params().get(f"label{'bottom' if axis is ax.xaxis else 'left'}", 1):
                assert len(names(axis)) >= 2, (ax.get_title(), axis.axis_name)


@pytest.mark.parametrize(
    ("low", "high", "named"),
    [
        (1e-9, 3.0, None), (0.05, 30.0, ["$\\mathdefault{10^{-1}}$", "$\\mathdefault{10^{0}}$",
                                         "$\\mathdefault{10^{1}}$"]),
        (0.08, 0.6, ["$0.1$", "$0.2$", "$0.5$"]), (0.21, 0.48, None), (1.9, 2.1, None),
        (2.0892, 2.0894, None), (3e-7, 3.2e-7, None), (99.0, 1010.0, None),
    ],
)  # fmt: skip
def test_logarithmic_axes_of_any_span_name_their_ticks(
    low: float, high: float, named: list[str] | None
) -> None:
    with styled():
        ax = panel(3.0, 3.0)
        ax.plot([low, high], [low, high])
        in_decades(ax)
        ax.set(xlim=(low, high), ylim=(low, high))
    check_ticks(ax.figure)
    found = names(ax.yaxis)
    assert named is None or found == named
    if "10^" not in found[0]:  # plain numbers say where they stand
        at = [v for v in ax.get_yticks() if low <= v <= high]
        np.testing.assert_allclose([float(n.strip("$")) for n in found], at, rtol=1e-12)


def test_errors_within_a_decade_have_ticks() -> None:
    rng, times = np.random.default_rng(0), np.linspace(0.2, 4, 20)
    samples = rng.uniform(0.2, 0.5, (3, 1, 20, 4))
    held = {"times": times, "sizes": np.array([30]), "answers": samples, "last": samples}
    with styled():
        figure = stage(8.0, 3.0)
        left, right = figure.subplots(1, 2, sharey=True)
        draw_iterations(left, held, 0)
        ends = dict(zip(METHODS, samples[:, 0, :3], strict=True))
        draw_ends(right, np.array([10.0, 30.0, 100.0]), ends, "particles")
    check_ticks(figure)
    assert names(right.xaxis) == ["10", "30", "100"]


def test_checks_of_theorems_have_ticks() -> None:
    t = np.geomspace(0.3, 9, 5)
    near = 2.09 - 0.01 * np.arange(5)
    held = {"time": t, "ni": near, "last": near, "entropic": near, "moved": near, "ratio": 1.0}
    beta = np.array([0.5, 1.0, 2.0, 4.0])
    rows = np.column_stack([beta, *[0.2 + 0.05 * beta] * 4, *[np.where(beta > 2, 3, np.inf)] * 2])
    with styled():
        figure = stage(9.0, 6.0)
        above, below = figure.subfigures(2, 1)
        draw_one(above, {"Gibbs pair": {"regrets": rows}})
        draw_two(below, {"averages in time": held, "mirror descent": held})
    check_ticks(figure)
    assert all(name.startswith("$2.0") for name in names(figure.axes[5].yaxis))


@pytest.mark.parametrize("a", [[0.2, 0.5], list(np.linspace(0.1, 0.9, 12))])
def test_a_sweeps_ticks_are_at_its_values(a: list[float]) -> None:
    over = {"flow.beta": [2.0, 4.0, 8.0], "a": a, "run.seed": [0, 1]}
    rows = list(product(*over.values()))
    labels = dict(zip(over, map(list, zip(*rows, strict=True)), strict=True))
    done, ni = ["done"] * len(rows), 0.2 + np.random.default_rng(1).random(len(rows))
    axes = [[name] for name in over]
    sweep = Sweep("simulate", axes, labels, done, {"ni": ni}, {}, ni, list(map(str, rows)),
                  {}, {}, {})  # fmt: skip
    figure = plot_sweep(sweep)
    check_ticks(figure)
    long = over["a" if len(a) > 3 else "flow.beta"]
    assert len(long) > 8 or names(figure.axes[0].xaxis) == ["2", "4", "8"]
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend[-1] == "mean and two standard errors"


def test_gibbs_paths_have_ticks() -> None:
    beta = np.geomspace(1, 4, 6)
    near = 0.3 + 0.05 / beta
    numbers = dict.fromkeys(("value", "free_energy", "ni", "rate", "frequency"), near)
    path = SimpleNamespace(beta=beta, entropy=np.stack([near, near], 1), **numbers)
    check_ticks(plot_path(path))
