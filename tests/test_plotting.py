"""Pictures: drawn without a display, from what they are given, leaving nothing behind."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pytest

import meanfield as mf
from meanfield import plotting
from meanfield.manifolds import Manifold
from meanfield.meshes import quadrature_mesh
from meanfield.plotting import (
    plot_comparison,
    plot_gibbs,
    plot_measure,
    plot_path,
    plot_trajectory,
    traces,
)
from meanfield.plotting.circle import angles, profile, scale
from meanfield.plotting.words import number
from meanfield.start import law

TIMES = np.linspace(0, 1, 6)


def density(manifold: Manifold, center: Any, cells: int) -> mf.Density:
    return law(mf.concentrated(center, std=0.3**0.5), manifold).on(mf.mesh(manifold, cells))


def atoms(manifold: Manifold, n: int) -> mf.Measure:
    rng = np.random.default_rng(n)
    w = rng.random(n)
    return mf.Measure(manifold.sample(n, rng), w / w.sum(), manifold)


CIRCLE, TORUS, SPHERE = mf.Torus(1), mf.Torus(2), mf.Sphere(2)
MEASURES = {
    "density on the circle": density(CIRCLE, 1.0, 32),
    "density on a circle of length 1": density(mf.Torus(1, period=1.0), 0.5, 32),
    "few atoms on the circle": atoms(CIRCLE, 20),
    "many atoms on the circle": atoms(CIRCLE, 1000),
    "atoms on S^1": atoms(mf.Sphere(1), 500),
    "density on T^2": density(TORUS, (1.0, 2.0), 12),
    "atoms on T^2": atoms(TORUS, 50),
    "atoms on T^3": atoms(mf.Torus(3), 50),
    "density on S^2": density(SPHERE, (0.0, 0.6, 0.8), 42),
    "density on a quadrature of S^2": law(
        mf.concentrated((0.0, 0.6, 0.8), std=0.3**0.5), SPHERE
    ).on(quadrature_mesh(8)),
    "atoms on S^2": atoms(SPHERE, 50),
    "atoms on S^5": atoms(mf.Sphere(5), 50),
}


def rendered(figure: Any) -> bytes:
    """The picture as bytes; layout warnings are errors here."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(buffer, format="png", dpi=40)
    return buffer.getvalue()


def run(x: mf.Measure, y: mf.Measure, **diagnostics: np.ndarray) -> mf.Trajectory:
    n = len(TIMES)
    return mf.Trajectory(
        TIMES, [x] * n, [y] * n, SimpleNamespace(name="a game"), mf.Langevin(2.0), diagnostics
    )


@pytest.mark.parametrize("mu", MEASURES.values(), ids=MEASURES)
def test_every_measure_is_drawn(mu: mf.Measure) -> None:
    figure = plot_measure(mu)
    drawn = rendered(figure)
    ax = figure.axes[0]
    for artist in (*ax.collections, *ax.lines, *ax.patches, *ax.images):
        artist.set_visible(False)
    assert rendered(figure) != drawn


@pytest.mark.parametrize("mu", MEASURES.values(), ids=MEASURES)
def test_every_run_is_drawn(mu: mf.Measure) -> None:
    figure = run(mu, MEASURES["many atoms on the circle"], value=TIMES, ni=1 + TIMES).plot()
    assert len(rendered(figure)) > 1000
    labels = {ax.get_ylabel() for ax in figure.axes}
    assert {r"$\mathcal{L}(\mu_x, \mu_y)$", r"$\mathrm{NI}(\mu_x, \mu_y)$", "$y$"} <= labels


def test_a_run_of_one_state_is_drawn() -> None:
    x, y = MEASURES["density on the circle"], MEASURES["few atoms on the circle"]
    one = mf.Trajectory(TIMES[:1], [x], [y], None, None, {"value": np.ones(1)})
    assert len(rendered(one.plot())) > 1000


def test_curves_are_the_densities() -> None:
    mu = MEASURES["density on the circle"]
    line = plot_measure(mu).axes[0].lines[0]
    order = np.argsort(angles(mu)[0])
    assert np.array_equal(line.get_ydata(), mu.values[order])  # type: ignore[attr-defined]
    assert np.allclose(np.mod(line.get_xdata(), 2 * np.pi), mu.points[order, 0], rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", [k for k in MEASURES if "circle" in k or "S^1" in k])
def test_profiles_have_mass_one(name: str) -> None:
    at, values = profile(MEASURES[name], bins=64)
    period = angles(MEASURES[name])[1]
    assert (np.diff(at) > 0).all() and -period / 2 <= at[0] and at[-1] < period / 2
    assert values.sum() * period / len(at) == pytest.approx(1, abs=1e-12)


def test_the_image_of_a_torus_is_not_transposed() -> None:
    """All mass in the cell at angles (pi/2, 0) must be drawn right of the centre, at mid height."""
    grid = mf.mesh(TORUS, (8, 4))
    masses = (np.abs(grid.nodes - [np.pi / 2, 0.0]).max(axis=1) < 1e-9).astype(float)
    image = plot_measure(mf.Density(masses, grid)).axes[0].collections[0]
    corners = image.get_coordinates()  # type: ignore[attr-defined]
    row, column = np.unravel_index(np.argmax(image.get_array()), (5, 9))
    cell = corners[row : row + 2, column : column + 2].mean(axis=(0, 1))
    assert np.allclose(cell, [np.pi / 2, 0.0], rtol=0, atol=1e-12)


def test_the_image_of_a_run_follows_time() -> None:
    x = [density(CIRCLE, c, 32) for c in (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0)]
    figure = mf.Trajectory(TIMES, x, x, None, None).plot()  # type: ignore[arg-type]
    image = figure.axes[0].collections[0].get_array()
    # The first and the last node stand once more a period away: no stripe is left white.
    peaks = np.argmax(np.reshape(image, (34, 6))[1:-1], axis=0)
    assert np.all(np.abs(-np.pi + peaks * 2 * np.pi / 32 - np.arange(-2.0, 3.5)) < 0.11)


def uniform(manifold: Manifold, cells: int) -> mf.Density:
    grid = mf.mesh(manifold, cells)
    return mf.Density(grid.volumes / grid.volumes.sum(), grid)


FLAT = {"T^1": uniform(CIRCLE, 32), "T^2": uniform(TORUS, 8), "S^2": uniform(SPHERE, 162)}


@pytest.mark.parametrize("mu", FLAT.values(), ids=FLAT)
def test_flat_densities_are_pale_and_colours_are_explained(mu: mf.Density) -> None:
    """A uniform density stands at a third of its scale, which a colour bar tells."""
    figure = run(mu, mu).plot()
    bars = [ax for ax in figure.axes if ax.get_ylabel() == "density"]
    assert len(bars) == 2
    assert [ax.get_ylim() for ax in bars] == [pytest.approx((0, 3 / mu.manifold.volume))] * 2
    ax = figure.axes[0]
    if ax.images:
        seen = np.asarray(ax.images[0].get_array())
        assert seen[seen[..., 3] > 0][:, :3].max(axis=1).min() > 0.6
    else:
        assert ax.collections[0].get_clim() == pytest.approx((0, 3 / mu.manifold.volume))


def test_maps_of_a_row_share_a_scale_while_peaks_are_alike() -> None:
    flat, broad, sharp = (
        FLAT["S^2"],
        density(SPHERE, (1.0, 0, 0), 162),
        density(SPHERE, (1.0, 0, 0), 2562),
    )
    sharp = law(mf.concentrated((1.0, 0, 0), std=0.02**0.5), SPHERE).on(sharp.mesh)

    def tops(first: mf.Density, last: mf.Density) -> list[float]:
        states: Any = [first, last]
        axes = mf.Trajectory(TIMES[:2], states, states, None, None).plot().axes
        return [ax._colorbar.vmax for ax in axes if ax.get_label() == "<colorbar>"]

    assert tops(flat, broad) == pytest.approx([broad.values.max()] * 2)
    assert tops(flat, sharp) == pytest.approx([3 / SPHERE.volume, sharp.values.max()] * 2)


@pytest.mark.parametrize("count", [2, 4, 5, 50])
def test_a_sharp_instant_leaves_the_others_to_be_seen(count: int) -> None:
    """Wherever it stands; the end of a few frames alone is never passed over."""
    peaks = np.ones(count)
    for at in range(count):
        last = count < 5 and at == count - 1
        sharp = np.where(np.arange(count) == at, 60.0, peaks)
        assert scale(sharp) == ((60.0, "neither") if last else (1.0, "max"))
    assert scale(peaks) == (1.0, "neither") and scale(peaks[:1]) == (1.0, "neither")
    assert scale(np.where(np.arange(count) == 0, 2.5, 1.0)) == (2.5, "neither")
    assert scale(peaks, 3.0) == (3.0, "neither")


def test_time_axes_line_up() -> None:
    x = MEASURES["density on the circle"]
    figure = run(x, x, value=1e4 * TIMES, ni=1 + TIMES).plot()
    rendered(figure)
    rows = [ax.get_position() for ax in figure.axes if ax.get_ylabel() != "density"]
    assert [r.x0 for r in rows[:3]] == pytest.approx([rows[0].x0] * 3, abs=1e-9)
    assert rows[3].x1 == pytest.approx(rows[0].x1, abs=1e-9) == rows[1].x1


def test_maps_are_labelled_with_the_players_letter() -> None:
    names = [
        (ax.get_xlabel(), ax.get_ylabel())
        for ax in run(FLAT["T^2"], FLAT["T^2"]).plot(snapshots=1).axes
    ]
    assert ("$x_1$", "$x_2$") in names and ("$y_1$", "$y_2$") in names
    pair = plot_gibbs(SimpleNamespace(x=FLAT["T^2"], y=FLAT["T^2"], residual=0.0))
    assert {"$x_2$", "$y_2$"} <= {ax.get_ylabel() for ax in pair.axes}


def test_rounding_is_not_drawn_as_structure() -> None:
    x = MEASURES["density on the circle"]

    def axis(value: np.ndarray, **others: np.ndarray) -> Any:
        figure = run(x, x, value=value, **others).plot()
        return next(a for a in figure.axes if "L" in a.get_ylabel())

    ax = axis(1e-34 * TIMES)
    assert ax.get_ylim() == (-1, 1) and ax.texts[0].get_text() == (
        r"0 up to rounding ($1 \cdot 10^{-34}$)"
    )
    assert axis(0.25 + 1e-14 * TIMES).get_ylim() == pytest.approx((0.225, 0.275))
    assert "exactly" in axis(0 * TIMES).texts[0].get_text()
    assert np.ptp(axis(1e-11 * TIMES).get_ylim()) == pytest.approx(1.1e-11)
    beta = np.geomspace(1, 30, 6)
    path = SimpleNamespace(beta=beta, value=1e-16 * np.sin(beta), free_energy=0 * beta, rate=None,
                           entropy=np.ones((6, 2)), ni=0.7 / beta)  # fmt: skip
    figure = plot_path(path)
    rendered(figure)
    assert figure.axes[0].get_ylim() == (-1, 1)
    labels = {t.get_text() for t in figure.axes[2].get_yticklabels(which="both")}
    assert {"$0.05$", "$0.1$", "$0.2$", "$0.5$"} <= labels
    path.ni = 1e-15 * (1 + beta)
    assert plot_path(path).axes[2].get_yscale() == "linear"


def test_nothing_is_left_behind() -> None:
    """pyplot, where it is used without windows, knows the last picture and no other."""
    import matplotlib.pyplot as plt

    plt.close("all")
    own = plt.figure()
    before = dict(matplotlib.rcParams)
    for _ in range(3):
        plot_measure(MEASURES["atoms on T^2"])
        last = run(MEASURES["atoms on T^2"], MEASURES["atoms on S^2"]).plot()
    assert [plt.figure(k) for k in plt.get_fignums()] == [own, last]
    plt.close("all")
    assert dict(matplotlib.rcParams) == before


def test_a_caller_may_bring_axes() -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    ax = figure.add_subplot()
    assert plot_measure(MEASURES["density on the circle"], ax) is figure
    assert len(ax.lines) == 1


@pytest.mark.parametrize("count", [200, 401])
def test_weights_over_time_are_an_even_choice_which_says_so(count: int) -> None:
    """Half of them fall, the others rise: so do half of those drawn, the extremes among them."""
    share = np.linspace(-0.5, 0.5, count)[np.random.default_rng(0).permutation(count)]
    x = [mf.Measure(np.zeros((count, 1)), (1 + t * share) / count, CIRCLE) for t in TIMES]
    still = [MEASURES["few atoms on the circle"]] * len(TIMES)
    figure = mf.Trajectory(TIMES, x, still, None, None).plot()
    (ax,) = (ax for ax in figure.axes if "weights" in ax.get_ylabel())
    ends = np.sort([line.get_ydata()[-1] for line in ax.lines])
    assert len(ends) == 200 and np.mean(ends * count > 1) == pytest.approx(0.5, abs=0.01)
    assert ends[[0, -1]] * count == pytest.approx([0.5, 1.5])
    told = "" if count == 200 else "200 of 401, evenly spaced by final rank"
    assert ax.get_title() == told


def test_what_is_no_measure_is_refused() -> None:
    with pytest.raises(
        TypeError, match="plot_measure draws a meanfield.Measure or Density, got ndarray"
    ):
        plot_measure(np.ones(3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="plot_trajectory draws a meanfield.Trajectory, got list"):
        plot_trajectory([])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bins must be at least 1"):
        run(*2 * [MEASURES["many atoms on the circle"]]).plot(bins=0)


ATOMS = MEASURES["few atoms on the circle"]
WRONG = {
    "color": (3, ValueError, "color must be a colour of matplotlib, .* got 3"),
    "plane": (3, TypeError, "plane must be a Shadow, got int; leave it out"),
    "top": (np.nan, ValueError, "top must be finite, got nan"),
    "label": (3, TypeError, "label must be text, got 3"),
    "spread": ("no", TypeError, "spread must be True or False, got 'no'"),
    "view": (["map"], ValueError, "view must be .map. or .3d., got ..map.."),
    "bins": (2.5, ValueError, "bins must be a whole number, got 2.5"),
    "colour": ("red", TypeError, "plot_measure.. has no argument 'colour'; did you mean 'color'"),
}


@pytest.mark.parametrize(("name", "given"), WRONG.items(), ids=WRONG)
def test_options_that_cannot_be_are_told(name: str, given: tuple[Any, Any, str]) -> None:
    value, error, said = given
    with pytest.raises(error, match=said):
        ATOMS.plot(**{name: value})


def test_masked_numbers_are_told_by_name() -> None:
    with pytest.raises(TypeError, match="top must be a number, got masked"):
        ATOMS.plot(top=np.ma.masked)
    for times in (np.ma.masked, np.ma.array([0.1, 0.2], mask=[True, False])):
        with pytest.raises(TypeError, match="times must be an array of real numbers, .* is a mask"):
            run(ATOMS, ATOMS).plot(times=times)
    with pytest.raises(ValueError, match="color must be a colour .* got masked"):
        ATOMS.plot(color=np.ma.masked)
    with pytest.raises(ValueError, match="figsize must be a width and a height above zero, got"):
        ATOMS.plot(figsize=(0, 1))
    with pytest.raises(ValueError, match="top must be above 0, got -1"):
        ATOMS.plot(top=-1)
    assert ATOMS.plot(title=None).axes[0].get_title() == ""


@pytest.mark.parametrize("name", [n for n in plotting.__all__ if n.startswith("plot_")])
def test_every_picture_says_what_it_draws(name: str) -> None:
    draw = getattr(plotting, name)
    for value in (3, None, "run.h5", np.ones(3)):
        with pytest.raises(TypeError, match=f"{name} draws an? .*, got {type(value).__name__}"):
            draw(value)
    with pytest.raises(TypeError, match=f"{name}.*: missing a required argument"):
        draw()
    with pytest.raises(TypeError, match=f"{name}.. has no argument 'titel'; did you mean 'title'"):
        draw(ATOMS, titel="a")
    if name != "plot_measure":
        with pytest.raises(TypeError, match=f"{name} draws an? .*, got Measure"):
            draw(ATOMS)
    with pytest.raises(TypeError, match="but x is of type list"):
        plotting.plot_pair(run(ATOMS, ATOMS))


def test_gibbs_points_are_drawn() -> None:
    point = SimpleNamespace(
        x=MEASURES["density on the circle"], y=MEASURES["density on T^2"], residual=3e-15
    )
    named = plot_gibbs(point, symbol="m")
    assert [ax.get_title() for ax in named.axes[:2]] == ["$m_x$", "$m_y$"]
    figure = plot_gibbs(point)
    assert r"$3 \cdot 10^{-15}$" in figure.get_suptitle()
    assert len(rendered(figure)) > 1000


def comparison(bias: float = 1e-6) -> SimpleNamespace:
    n = np.array([100, 1000, 10_000])
    level = (1 + TIMES) / n[:, None]

    def interval(value: float, reach: float) -> SimpleNamespace:
        return SimpleNamespace(value=value, low=value - reach, high=value + reach)

    return SimpleNamespace(
        particles=tuple(n), times=TIMES, w2_squared=level, w2_squared_low=0.9 * level,
        w2_squared_high=1.1 * level,
        ni=1 + level, ni_low=1 + 0.9 * level, ni_high=1 + 1.1 * level, field_ni=np.ones(6),
        sup=[interval(2 / k, 0.1 / k) for k in n], exponent=interval(-1.0, 0.02),
        step_bias=interval(bias, bias / 10),
    )  # fmt: skip


@pytest.mark.parametrize("bias", [1e-5, 1e-9, 0.0])
def test_comparisons_are_drawn_as_they_are(bias: float) -> None:
    c = comparison(bias)
    figure = plot_comparison(c)
    assert len(rendered(figure)) > 1000
    left, middle, right = figure.axes
    for k in range(3):
        assert np.array_equal(left.lines[k].get_ydata(), c.w2_squared[k])
        assert np.array_equal(right.lines[k].get_ydata(), c.ni[k])
    assert np.array_equal(right.lines[3].get_ydata(), c.field_ni)
    points = middle.lines[0]
    assert np.allclose(points.get_ydata(), [s.value for s in c.sup])
    # The fit's line has the fitted slope.
    fit = next(line for line in middle.lines if "n^" in str(line.get_label()))
    x, y = np.log(fit.get_xdata()), np.log(fit.get_ydata())
    assert np.polyfit(x, y, 1)[0] == pytest.approx(-1.0, abs=1e-12)
    levels = [line.get_ydata()[0] for line in middle.lines if len(set(line.get_ydata())) == 1]
    assert levels == ([bias] if bias == 1e-5 else [])
    told = [t for t in middle.texts if "bias" in t.get_text()]
    assert len(told) == (bias > 0) and all(
        "of the sup at $n = 10^{4}$" in t.get_text() for t in told
    )
    last = middle.transData.transform((1e4, c.sup[-1].value))[0]
    assert all(t.get_window_extent().x1 < last - 4 for t in told)


def test_a_comparison_of_one_size_has_no_fit() -> None:
    c = comparison()
    for name in ("w2_squared", "w2_squared_low", "w2_squared_high", "ni", "ni_low", "ni_high"):
        setattr(c, name, getattr(c, name)[:1])
    c.particles, c.sup, c.exponent = c.particles[:1], c.sup[:1], None
    figure = plot_comparison(c)
    assert len(rendered(figure)) > 1000
    middle = figure.axes[1]
    assert middle.get_legend() is None and middle.get_title() == "largest distance"
    (across, up) = middle.transLimits.transform(np.log10([[100, c.sup[0].value]]))[0]
    assert across == pytest.approx(0.5) and 0.2 < up < 0.9
    bar = middle.collections[0].get_segments()[0]
    (words,) = middle.texts
    assert middle.transData.transform(bar)[:, 1].min() > words.get_window_extent().y1


def test_particle_numbers_are_written_shortly() -> None:
    shown = [number(n) for n in (100, 1000, 30_000, 100_000, 12_345)]
    assert shown == ["$100$", "$10^{3}$", r"$3 \cdot 10^{4}$", "$10^{5}$", "$12345$"]


def test_pictures_work_without_a_display() -> None:
    code = (
        "import sys, numpy as np, meanfield as mf\n"
        "mu = mf.Measure(np.zeros((1, 1)), None, mf.Torus(1))\n"
        "from meanfield.plotting import plot_measure\n"
        "plot_measure(mu).savefig(sys.stdout.buffer)\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env={})
    assert done.stdout.startswith(b"\x89PNG")


def test_fields_that_begin_at_atoms_or_change_their_mesh_are_fields():
    space = mf.Torus(1)
    start = mf.Start(mf.Measure([[1.0]], None, space), mf.concentrated(1.0, std=0.05))
    run = mf.solve(mf.games.benchmark("circle"), mf.Langevin(50.0), start, 0.2, save_every=0.02)
    assert len({len(m) for m in run.x[1:]}) > 1
    figure = run.plot()
    for side in "xy":
        (ax,) = (ax for ax in figure.axes if ax.get_ylabel() == f"${side}$")
        (image,) = ax.collections
        values = image.get_array().reshape(-1, len(run))
        assert values.shape[0] == len(getattr(run, side)[-1]) + 2
        assert values[:, 0].max() == values.max()
    panel = traces.player(run.x, "x", "#000", False, False)
    assert panel.traces[0]["type"] == "scatter"


def test_atoms_at_which_a_field_begins_are_its_darkest_points():
    space = mf.Sphere(2)
    start = mf.Start(mf.Measure([[0.0, 0.0, 1.0]], None, space), "uniform")
    run = mf.solve(mf.games.polynomial("a"), mf.Langevin(5.0), start, 1.0, save_every=0.5)
    panel = traces.player(run.x, "x", "#000", False, False)
    first = np.array(panel.traces[0]["surfacecolor"])
    assert panel.traces[0]["type"] == "surface"
    assert (first > 0).sum() == 1 and first.max() > 0
    assert len(run.plot().axes) > 6  # with bars of colours
