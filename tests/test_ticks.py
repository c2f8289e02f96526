"""Axes of pictures: two named ticks or more on each, however little or much it spans; no text lies
over another.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import meanfield as mf
from meanfield.equilibria import Equilibrium
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


def test_numbers_that_differ_little_have_no_offset() -> None:
    with styled():
        ax = panel(3.0, 3.0)
        ax.plot([0, 1], [-0.21402, -0.2139999])
    ax.figure.draw_without_rendering()
    assert not ax.yaxis.get_offset_text().get_text()
    np.testing.assert_allclose(
        [float(n.replace("\N{MINUS SIGN}", "-")) for n in names(ax.yaxis)],
        [v for v in ax.get_yticks() if -0.21402 <= v <= -0.2139999], rtol=0, atol=1e-12,
    )  # fmt: skip


def test_bounds_that_agree_are_both_seen() -> None:
    rows = np.array([[1.0, 0.2, 0.2, 1, 1, 3, 3], [2.0, 0.1, 0.1, 1, 1, 2, 2]])
    with styled():
        figure = stage(9.0, 3.0)
        draw_one(figure, {"Gibbs pair": {"regrets": rows}})
    lines = [line for line in figure.axes[2].lines if "epsilon" in str(line.get_label())]
    assert len({line.get_marker() for line in lines}) == 2
    assert len({line.get_markersize() for line in lines}) == 2


def texts_in_touch(figure: Any) -> list[tuple[str, str]]:
    """The pairs of titles and names of axes that lie over each other."""
    figure.draw_without_rendering()
    drawn = FigureCanvasAgg(figure).get_renderer()
    texts = [t for ax in figure.axes for t in (ax.title, ax.xaxis.label, ax.yaxis.label)]
    boxes = [(t.get_text(), t.get_window_extent(drawn)) for t in [figure._suptitle, *texts]]
    return [
        (a, b) for (a, p), (b, q) in combinations([box for box in boxes if box[0]], 2)
        if min(p.x1, q.x1) > max(p.x0, q.x0) + 1 and min(p.y1, q.y1) > max(p.y0, q.y0) + 1
    ]  # fmt: skip


@pytest.mark.parametrize("manifold", [mf.Torus(2), mf.Torus(3), mf.Sphere(5)], ids=str)
def test_no_text_of_a_run_lies_over_another(manifold: Any) -> None:
    mu = mf.Measure(manifold.sample(50, np.random.default_rng(0)), None, manifold)
    game, times = SimpleNamespace(name="cos(x1 - y1) + " * 6 + "0"), np.linspace(0, 0.5, 6)
    run = mf.Trajectory(times, [mu] * 6, [mu] * 6, game, mf.Langevin(4.0), {"value": times})
    figure = run.plot()
    assert "\n" in figure._suptitle.get_text()
    assert texts_in_touch(figure) == []
    named = [ax.get_xlabel() for ax in figure.axes if "marginal" in ax.get_xlabel()]
    assert len(named) == 2 * (manifold == mf.Torus(3))


def test_equilibria_of_many_atoms_are_drawn_as_atoms() -> None:
    circle, w = mf.Torus(1), np.arange(1, 16) / 120
    x, y = (mf.Measure(circle.sample(15, np.random.default_rng(k)), w, circle) for k in (0, 1))
    found = Equilibrium(x, y, 0.8, 0.8, 0.8 + 1.3e-9, 3, False, "grid")
    figure = found.plot()
    assert "found $1.3 \\cdot 10^{-9}$, no upper bound" in figure._suptitle.get_text()
    for ax in figure.axes:
        stems = ax.collections[0].get_segments()
        assert ax.get_ylabel() == "mass" and np.array_equal([s[1, 1] for s in stems], w)
    certified = replace(found, certified=True).plot()._suptitle.get_text()
    assert certified.endswith("$\\mathrm{NI} \\leq 1.3 \\cdot 10^{-9}$ (certified)")
