"""Pictures that appear: in notebooks, windows and files, on axes of the caller's, and bars."""

from __future__ import annotations

import io
import sys
import threading
import warnings
from itertools import combinations, pairwise
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.figure import Figure

import meanfield as mf
from meanfield import progress
from meanfield.metrics import w2_details
from meanfield.plotting import plot_comparison, plot_measure
from meanfield.plotting.circle import bins_for
from meanfield.plotting.measures import shadow
from meanfield.plotting.style import Picture, ticks_at
from meanfield.plotting.words import of_flow, of_game, small
from tests.test_plotting import CIRCLE, SPHERE, TORUS, atoms, comparison, density, rendered

GAME = mf.games.oscillator()
TIMES = np.linspace(0, 1, 6)
PNG = b"\x89PNG"


def run(x: Any, y: Any, flow: mf.Flow | None = None, game: Any = GAME) -> mf.Trajectory:
    flow = mf.Langevin((2.0, 4.0), 0.5) if flow is None else flow
    found = {"value": np.sin(TIMES)}
    return mf.Trajectory(TIMES, [x] * 6, [y] * 6, game, flow, found, {"seed": 3})


FEW = run(atoms(CIRCLE, 20), atoms(CIRCLE, 30))
GIBBS = mf.gibbs(GAME, 4.0, cells=32)
WELLS = mf.games.polynomial("a", dim=4, seed=0)
RESULTS: dict[str, Any] = {
    "a measure": atoms(SPHERE, 30),
    "a density": density(TORUS, (1.0, 2.0), 12),
    "a run": FEW,
    "a Gibbs point": GIBBS,
    "Gibbs points": mf.gibbs_path(GAME, (1.0, 4.0), cells=32, spectrum=True),
    "a stability analysis": mf.stability(GAME, GIBBS),
    "an equilibrium": mf.nash(WELLS),
    "a polished pair": mf.polish(WELLS, *(atoms(mf.Sphere(3), n) for n in (5, 6))),
    "a comparison": mf.compare(
        mf.games.benchmark("circle"), mf.Langevin(10.0), time=0.1, particles=(20, 40), replicas=4,
        step=0.05, progress=False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_notebooks_show_results_and_their_pictures(result: Any) -> None:
    figure = result.plot()
    assert figure._repr_png_().startswith(PNG)
    page = result._repr_html_()
    assert page.startswith(f"<b>{type(result).__name__}</b><table>") and "object at" not in page
    assert "<details><summary>picture</summary><img" in page
    assert len(page.split("<details>")[0]) < 5000 and page.count("<tr>") >= 3


def test_distances_and_errors_are_tables() -> None:
    a, b = atoms(CIRCLE, 5), atoms(CIRCLE, 6)
    for found in (mf.nikaido_isoda(GAME, a, b), w2_details(a, b)):
        page = found._repr_html_()
        assert "method" in page and "<details>" not in page and page.count("<tr>") >= 5


def test_tables_say_what_results_hold() -> None:
    page = FEW._repr_html_()
    for said in ("oscillator (coupling 3) on Torus(1)", "Langevin(gamma=0.5", ">seed<", ">3<",
                 "6, the last Measure(20 points on Torus(1))"):  # fmt: skip
        assert said in page
    odd = run(atoms(CIRCLE, 2), atoms(CIRCLE, 2), game=SimpleNamespace(name="<script>"))
    assert "<script>" not in odd._repr_html_()


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_pictures_take_axes_titles_sizes_and_names_of_files(result: Any, tmp_path: Any) -> None:
    assert np.allclose(result.plot(figsize=(3, 2.5)).get_size_inches(), (3, 2.5))
    figure = result.plot(title="of mine")
    titles = [figure.get_suptitle(), *[ax.get_title() for ax in figure.axes]]
    assert titles.count("of mine") == 1
    mine = Figure(figsize=(12, 5))
    left, right = mine.subplots(1, 2)
    assert result.plot(ax=right, title="of mine") is mine and left in mine.axes
    rendered(mine)
    drawn = [ax.get_window_extent().x0 for ax in mine.axes if ax is not left]
    assert drawn and min(drawn) > 0.5 * mine.bbox.width
    result.savefig(tmp_path / "a.pdf", dpi=50)
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_axes_that_cannot_be_are_refused() -> None:
    figure = Figure()
    with pytest.raises(ValueError, match="ax must be made by subplots"):
        FEW.plot(ax=figure.add_axes((0.1, 0.1, 0.8, 0.8)))
    for result in (FEW, RESULTS["a stability analysis"], RESULTS["a measure"]):
        with pytest.raises(ValueError, match="figsize is that of a new figure"):
            result.plot(ax=figure.subplots(), figsize=(2, 2))


def test_times_choose_the_states_drawn() -> None:
    figure = FEW.plot(times=(0.19, 1.0))
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == [f"$\\mu_{p}$, $t = {t}$" for p in "xy" for t in ("0.2", "1")]
    for wrong in ((1.2,), (), ("soon",), (np.nan,)):
        with pytest.raises((ValueError, TypeError), match="times"):
            FEW.plot(times=wrong)


def test_windows_open_and_scripts_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    plt.close("all")
    opened: list[list[int]] = []
    monkeypatch.setattr(plt, "show", lambda: opened.append(plt.get_fignums()))
    figure = Picture()
    figure.show()
    assert opened == [plt.get_fignums()] and plt.gcf() is figure
    FEW.plot()
    plt.show()
    assert len(opened[1]) == 1
    buffer = io.BytesIO()
    plt.savefig(buffer, format="svg")  # of the picture drawn last, as matplotlib's users expect
    assert b"oscillator (coupling 3)" in buffer.getvalue()
    assert len(plt.gcf().axes) == 3
    plt.close("all")


def test_the_inline_backend_shows_pictures_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plt.close("all")
    monkeypatch.setattr(
        "matplotlib.get_backend", lambda: "module://matplotlib_inline.backend_inline"
    )
    assert isinstance(FEW.plot(), Picture) and plt.get_fignums() == []


def test_titles_name_game_flow_and_numbers() -> None:
    assert FEW.plot().get_suptitle() == (
        "oscillator (coupling 3), Langevin, $\\beta=(2,4)$, $\\gamma=0.5$, 20 particles"
    )
    assert of_flow(mf.MirrorDescent(2.0)) == r"mirror descent, $\alpha=2$"
    assert of_flow(mf.EntropicBestResponse(3.0)).endswith(r"$\beta=3$, $\rho=1$")
    assert of_game(mf.games.polynomial("b", dim=5, seed=1)) == r"$\ell_b$ (dim 5, seed 1)"
    titles = [RESULTS[k].plot().axes[0].get_title() for k in ("a stability analysis",)]
    titles += [RESULTS[k].plot().get_suptitle() for k in ("a Gibbs point", "a comparison")]
    assert all(r"$\beta=" in title for title in titles)
    assert [small(v) for v in (0.0, 0.25, 3e-15, -1.25e-7)] == [
        "0", "0.25", r"3 \cdot 10^{-15}", r"-1.2 \cdot 10^{-7}",
    ]  # fmt: skip


def test_curves_of_a_comparison_are_named_at_their_ends() -> None:
    left, middle, _ = plot_comparison(comparison()).axes
    assert [t.get_text().strip() for t in left.texts] == [
        "$n = 100$", "$n = 10^{3}$", "$n = 10^{4}$"
    ]  # fmt: skip
    assert r"W_2^2(\mu^n_x, \mu_x) + W_2^2(\mu^n_y, \mu_y)" in left.get_ylabel()
    assert [t.get_text() for t in middle.get_xticklabels()] == ["$100$", "$10^{3}$", "$10^{4}$"]


def test_ticks_within_a_decade_do_not_overlap() -> None:
    ax = Figure(figsize=(3, 3)).subplots()
    ax.set_xscale("log")
    values = [100, 101, 150, 200]
    ax.plot(values, values)
    ticks_at(ax.xaxis, values, [str(v) for v in values])
    ax.figure.canvas.draw()
    named = [t for t in ax.get_xticklabels(which="both") if t.get_text()]
    assert [t.get_text() for t in named] == ["100", "150", "200"]
    boxes = [t.get_window_extent() for t in named]
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def test_atoms_are_histograms_on_the_scale_of_densities() -> None:
    mu = density(CIRCLE, 1.0, 64)
    rng = np.random.default_rng(0)
    swarm = mf.Measure(mu.draw(300, rng), None, CIRCLE)
    ax = Figure().subplots()
    plot_measure(swarm, ax)
    plot_measure(mu, ax)
    top = ax.get_ylim()[1]
    assert mu.values.max() < top < 2 * mu.values.max() and ax.get_ylabel() == "density"
    counts = [plot_measure(swarm, bins=b).axes[0].patches[0].get_data()[0] for b in (20, 50)]
    assert [len(c) for c in counts] == [20, 50]
    assert [c.sum() * 2 * np.pi / len(c) for c in counts] == pytest.approx([1, 1])
    spikes = mf.Measure(swarm.points[:3], [0.5, 0.3, 0.2], CIRCLE)
    stems = plot_measure(spikes).axes[0]
    assert stems.get_ylabel() == "mass" and stems.get_ylim()[1] == pytest.approx(0.525)
    # An atom where the circle ends stands on the frame, not under it.
    frame = stems.spines["left"].get_zorder()
    for drawn in (*stems.collections, *stems.lines):
        assert not drawn.get_clip_on() and drawn.get_zorder() > frame


def test_bins_are_as_many_as_the_atoms_bear() -> None:
    rng = np.random.default_rng(1)
    flat = [bins_for(mf.Measure(CIRCLE.sample(n, rng), None, CIRCLE)) for n in (50, 10**4, 10**6)]
    assert (
        flat[0] == 16
        and flat[1] == pytest.approx(22, abs=2)
        and flat[2] == pytest.approx(100, abs=5)
    )
    narrow = mf.Measure(rng.normal(0, 0.1, (1000, 1)) % (2 * np.pi), None, CIRCLE)
    assert bins_for(narrow) > 80
    # Weights count as the equal atoms that scatter as much.
    w = np.where(np.arange(1000) < 10, 0.1, 1e-12)
    assert bins_for(mf.Measure(CIRCLE.sample(1000, rng), w / w.sum(), CIRCLE)) < 40


def test_particles_over_time_are_histograms_without_stripes() -> None:
    """A column of dots for each saved time would leave white stripes between them."""
    many, few = (run(atoms(CIRCLE, n), atoms(CIRCLE, n)).plot().axes[0] for n in (50, 30))
    (image,) = many.collections
    assert isinstance(image, QuadMesh) and np.ptp(image.get_coordinates()[..., 0]) >= TIMES[-1]
    assert all(isinstance(dots, PathCollection) for dots in few.collections)


def test_weights_that_move_are_shown() -> None:
    def state(share: float) -> mf.Measure:
        return mf.Measure([[1.0], [2.0], [4.0]], [share, 0.5, 0.5 - share], CIRCLE)

    states: list[mf.Measure] = [state(0.25 + 0.2 * t) for t in TIMES]
    flow = mf.WassersteinFisherRao()
    figure = mf.Trajectory(TIMES, states, states, GAME, flow).plot()
    panels = [ax for ax in figure.axes if ax.get_ylabel().startswith("weights")]
    assert [ax.get_ylabel() for ax in panels] == ["weights of $x$", "weights of $y$"]
    curves = np.sort([line.get_ydata() for line in panels[0].lines], axis=0)
    assert np.allclose(curves, np.sort([m.masses for m in states], axis=1).T)
    areas = [c.get_sizes() for c in figure.axes[0].collections if isinstance(c, PathCollection)]
    assert areas and all(
        np.allclose(a / a.sum(), m.masses) for a, m in zip(areas, states, strict=True)
    )
    still = FEW.plot().axes
    assert not [ax for ax in still if ax.get_ylabel().startswith("weights")]


def test_maps_of_spheres_fill_the_page_and_name_their_axes() -> None:
    mu = density(SPHERE, (1.0, 0, 0), 162)
    figure = run(mu, mu, game=mf.games.benchmark("sphere")).plot()
    rendered(figure)
    maps = [ax for ax in figure.axes if ax.images]
    assert len(maps) == 6
    boxes = [ax.get_window_extent() for ax in maps]
    assert sum(b.width for b in boxes[:3]) > 0.75 * figure.bbox.width
    assert {t.get_text() for t in maps[3].texts} == {"$y_1$", "$y_2$", "$-y_2$", "$y_3$", "$-y_3$"}


def test_the_first_draw_leaves_no_label_over_another() -> None:
    rng = np.random.default_rng(0)
    states: dict[Any, Any] = {}
    for sphere in (SPHERE, mf.Sphere(9)):
        points, tilt = sphere.sample(30, rng), np.linspace(1, 3, 30)
        weights = [tilt**t / np.sum(tilt**t) for t in TIMES]
        states[sphere] = [mf.Measure(points, w, sphere) for w in weights]
    for held in states.values():
        figure = mf.Trajectory(TIMES, held, held, GAME, mf.WassersteinFisherRao()).plot()
        figure.draw_without_rendering()
        boxes = [ax.get_tightbbox() for ax in figure.axes]
        assert len(boxes) >= 8
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_high_dimensions_are_seen_along_their_principal_axes() -> None:
    rng = np.random.default_rng(0)
    sphere = mf.Sphere(9)
    e = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    points = rng.standard_normal((500, 10)) * [9, 5, *[0.1] * 8] @ e.T
    points /= np.linalg.norm(points, axis=1)[:, None]
    plane = shadow([mf.Measure(points, None, sphere)], "x")
    assert np.abs(plane.axes.T @ e[:, :2]) == pytest.approx(np.eye(2), abs=0.05)
    assert plane.labels[0].startswith("principal axis 1\n(") and "% of $x$)" in plane.labels[0]
    # On tori the angles that are farthest from uniform; densities are seen by their marginals.
    shape = mf.mesh(mf.Torus(3), 8)
    masses = shape.volumes * (1 + 0.3 * np.cos(shape.nodes[:, 1]) + 0.6 * np.cos(shape.nodes[:, 2]))
    mu = mf.Density(masses / masses.sum(), shape)
    plane = shadow([mu], "y")
    assert plane.labels == ("$y_2$\n(marginal in $y_2$, $y_3$)", "$y_3$")
    seen: Any = plane.of(mu)
    exact = (1 + 0.3 * np.cos(seen.points[:, 0]) + 0.6 * np.cos(seen.points[:, 1])) / (4 * np.pi**2)
    assert np.allclose(seen.values, exact, rtol=1e-12)
    solid = plot_measure(mf.uniform(mf.Sphere(3))).axes[0].collections[0].get_array()
    assert np.ma.compressed(np.ma.masked_invalid(solid)) == pytest.approx(1 / (2 * np.pi**2))


class Log(io.StringIO):
    def isatty(self) -> bool:
        return False


def test_logs_get_a_line_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, log = [0.0], Log()
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr("tqdm.std.time", lambda: clock[0])
    with progress.bar(1000, "a job", None) as shown:
        shown._time = lambda: clock[0]
        for _ in range(1000):
            clock[0] += 1.0
            shown.update(1)
    lines = log.getvalue().splitlines()
    assert lines[0] == "a job   3% after 00:30, about 16:10 to go" and "\r" not in log.getvalue()
    # Every half minute at first, later every tenth of the time spent.
    assert 20 < len(lines) < 33 and len(set(lines)) == len(lines)


@pytest.mark.parametrize("workers", [1, 4])
def test_the_time_left_counts_from_the_first_units(
    monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """Of 400 units at a second each, the first of every worker compiles for a minute more."""
    clock, log = [0.0], Log()
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr("tqdm.std.time", lambda: clock[0])
    left = {}
    with progress.bar(400, "a job", True) as shown:
        shown._time = lambda: clock[0]
        for k in range(400):
            clock[0] = 61.0 + k // workers + 0.1 * (k % workers)
            shown.update(1)
            left[k + 1] = str(shown).split("<")[-1]
    assert left[1] == left[8] == "?"
    units = range(120, 400, workers)
    told = [60 * int(left[k][:2]) + int(left[k][3:]) for k in units]
    assert np.allclose(told, [(400 - k) / workers for k in units], atol=2, rtol=0.1)


def test_bars_at_once_write_no_codes_into_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, log = [0.0], Log()
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr("tqdm.std.time", lambda: clock[0])
    with progress.bar(5, "outer", None) as outer, progress.bar(5, "inner", None) as inner:
        for shown in (outer, inner):
            shown._time = lambda: clock[0]
        clock[0] = 40.0
        inner.update(1)
    assert log.getvalue().splitlines() == ["inner  20% after 00:40, about ? to go"]


def test_many_bars_leave_no_threads_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Log())
    for show in (None, True):
        with progress.bar(1, "first", show):
            before = threading.active_count()
        for _ in range(20):
            with progress.bar(1, "more", show) as shown:
                shown.update(1)
        assert threading.active_count() == before


def test_bars_are_silent_where_asked_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    monkeypatch.setattr(sys, "stderr", log)
    for show in (None, False):
        with progress.bar(10, "a job", show) as shown:
            shown.update(10)
            assert shown.n in (0, 10)
    assert log.getvalue() == ""
    with progress.bar(10, "a job", True) as shown:
        shown.update(10)
    assert "a job" in log.getvalue()
    monkeypatch.setattr(sys, "stderr", None)
    with progress.bar(10, "a job", None) as shown:
        shown.update(10)


def test_notebooks_get_their_own_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    made: list[Any] = []

    class Auto:
        def __init__(self, **how: Any) -> None:
            made.append(how)

    auto = SimpleNamespace(tqdm=Auto)
    monkeypatch.setitem(sys.modules, "tqdm.auto", auto)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        progress.bar(5, "a job", None)
    assert made[0]["total"] == 5 and "{bar}" in made[0]["bar_format"]
    shell.config = {}
    assert not progress.in_notebook()
