"""Maps, surfaces and movies: what they show, how many frames, and that nothing is computed for
them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

import meanfield as mf
from meanfield.cli import main
from meanfield.cli.show import draw
from meanfield.plotting import movies, plot_measure, save_movie
from meanfield.plotting.circle import profile
from meanfield.plotting.measures import LARGEST_DOT, dots
from meanfield.plotting.runs import of_labels
from meanfield.plotting.style import styled
from meanfield.plotting.surfaces import SIDES, embed, frame, mollweide, mollweide_pixels, pixels
from meanfield.start import law
from meanfield.storage.files import save
from tests.test_plotting import atoms, density, rendered

matplotlib.use("agg")
TORUS, SPHERE = mf.Torus(2), mf.Sphere(2)
SURFACES = [SPHERE, TORUS, mf.Torus(2, period=1.0)]
TIMES = np.linspace(0, 1, 7)


def run(x: list[mf.Measure], y: list[mf.Measure], **diagnostics: np.ndarray) -> mf.Trajectory:
    return mf.Trajectory(
        TIMES[: len(x)], x, y, SimpleNamespace(name="a game"), mf.Langevin(2.0), diagnostics
    )


def moving(cells: int = 32, count: int = 7) -> mf.Trajectory:
    bumps = [density(mf.Torus(1), c, cells) for c in np.linspace(-1, 1, count)]
    return run(bumps, bumps[::-1], value=np.sin(TIMES[:count]))


def frames_of(path: Path) -> list[np.ndarray]:
    from PIL import Image

    film = Image.open(path)
    shown = []
    for k in range(film.n_frames):
        film.seek(k)
        shown.append(np.asarray(film.convert("RGB"), dtype=float))
    return shown


def test_mollweide_keeps_areas_and_places() -> None:
    seen = mollweide_pixels()
    # Pixels of an equal-area map are uniform on the sphere: the mean of x is 0, of x x' a third of
    # the identity.
    assert np.abs(seen.points.mean(axis=0)).max() < 1e-3
    assert np.abs(seen.points.T @ seen.points / len(seen.points) - np.eye(3) / 3).max() < 1e-3
    assert seen.shown.mean() == pytest.approx(np.pi / 4, abs=1e-3)
    points = SPHERE.sample(500, np.random.default_rng(0))
    x, y = mollweide(points).T
    theta, longitude = np.arcsin(y), np.arctan2(points[:, 1], points[:, 0])
    assert np.abs(2 * theta + np.sin(2 * theta) - np.pi * points[:, 2]).max() < 1e-9
    assert np.abs(x - 2 / np.pi * longitude * np.cos(theta)).max() < 1e-12
    poles = mollweide(np.array([[0, 0, 1.0], [0, 0, -1.0], [1, 0, 0.0], [0, 1.0, 0]]))
    assert np.abs(poles - [[0, 1], [0, -1], [0, 0], [1, 0]]).max() < 1e-3


def test_maps_and_pixels_are_each_others_inverse() -> None:
    seen = mollweide_pixels()
    height, width = seen.shown.shape
    rows, columns = np.nonzero(seen.shown)
    exact = np.stack([(columns + 0.5) / width * 4 - 2, (rows + 0.5) / height * 2 - 1], 1)
    inner = np.abs(exact[:, 1]) < 0.99
    assert np.abs(mollweide(seen.points) - exact)[inner].max() < 1e-6


@pytest.mark.parametrize("manifold", SURFACES, ids=str)
def test_a_view_shows_the_near_side(manifold: Any) -> None:
    seen, axes = pixels(manifold), frame(*SIDES[0])
    assert np.allclose(axes @ axes.T, np.eye(3)) and np.linalg.det(axes) == pytest.approx(1)
    place, normal = embed(manifold, seen.points)
    assert np.allclose(np.linalg.norm(normal, axis=1), 1)
    # Every point shown faces the viewer, where the pixels say, at their depth.
    assert (normal @ axes[2]).min() > -0.08
    assert np.allclose(seen.depth[seen.shown], place @ axes[2], rtol=0, atol=1e-13)
    left, right, bottom, top = seen.extent
    height, width = seen.shown.shape
    rows, columns = np.nonzero(seen.shown)
    at = np.stack(
        [
            left + (columns + 0.5) / width * (right - left),
            bottom + (rows + 0.5) / height * (top - bottom),
        ],
        1,
    )
    assert np.abs(place @ axes[:2].T - at).max() < 0.51 * (right - left) / width * 1.01
    if isinstance(manifold, mf.Sphere):
        assert seen.shown.mean() == pytest.approx(np.pi / 4, abs=1e-2)
    else:  # the hole is seen through
        assert not seen.shown[height // 2, width // 2]


@pytest.mark.parametrize("view", ["map", "3d"])
def test_the_darkest_pixel_of_a_density_is_at_its_peak(view: str) -> None:
    towards = frame(*SIDES[0])[2]
    mu = law(mf.concentrated(towards, std=0.02**0.5), SPHERE).on(mf.mesh(SPHERE, 2562))
    ax = plot_measure(mu, view=view).axes[0]
    image = np.asarray(ax.images[0].get_array())
    dark = np.where(image[..., 3] > 0, image[..., :3].sum(axis=-1), 9)
    row, column = np.mean(np.argwhere(dark < dark.min() + 0.05), axis=0)
    left, right, bottom, top = ax.images[0].get_extent()
    found = np.array([left + (column + 0.5) / dark.shape[1] * (right - left),
                      bottom + (row + 0.5) / dark.shape[0] * (top - bottom)])  # fmt: skip
    exact = mollweide(towards[None])[0] if view == "map" else np.zeros(2)
    assert np.abs(found - exact).max() < 0.06


def test_one_scale_is_asked_for_with_top() -> None:
    mu = density(SPHERE, (0, 0, 1.0), 642)
    own, faint = (
        np.asarray(plot_measure(mu, top=top).axes[0].images[0].get_array()) for top in (None, 100.0)
    )
    assert own[..., :3].min() < 0.3 and faint[faint[..., 3] > 0][:, :3].min() > 0.9


@pytest.mark.parametrize("view", ["map", "3d"])
def test_dots_have_areas_in_proportion_to_masses(view: str) -> None:
    masses = np.arange(1, 51.0)
    mu = mf.Measure(SPHERE.sample(50, np.random.default_rng(0)), masses / masses.sum(), SPHERE)
    ax = plot_measure(mu, view=view).axes[0]
    dotted = [c for c in ax.collections if isinstance(c, PathCollection)]
    sizes = np.concatenate([c.get_sizes() for c in dotted])
    assert len(sizes) >= 50 and np.allclose(
        np.unique(sizes.round(9)) * masses.sum() / sizes.min(), np.arange(1, 51.0) * masses.sum()
    )
    heavy = mf.Measure(mu.points, np.where(np.arange(50) == 0, 0.51, 0.01), SPHERE)
    assert dots(heavy).max() == LARGEST_DOT


def test_every_dot_on_a_sphere_is_seen_from_one_of_two_sides() -> None:
    mu = atoms(SPHERE, 300)
    near, far = plot_measure(mu, view="3d").axes[0].collections
    met = [len(side.get_offsets()) for side in (near, far)]
    depth = mu.points @ frame(*SIDES[0])[2]
    assert abs(met[0] - (depth > 0).sum()) <= 10 and 300 <= sum(met) <= 320
    assert np.allclose(frame(*SIDES[0])[2], -frame(*SIDES[1])[2])
    left, right = (np.asarray(side.get_offsets())[:, 0] for side in (near, far))
    assert left.max() <= 1 and right.min() >= 1.1


@pytest.mark.parametrize("view", ["map", "3d"])
def test_no_mark_of_a_sphere_hides_an_atom(view: str) -> None:
    light = mf.Measure([[0, 0, 1.0], [0, 0, -1.0], [-1.0, 0, 0]], [0.2, 0.7, 0.1], SPHERE)
    ax = plot_measure(light, view=view).axes[0]
    dotted = [c for c in ax.collections if isinstance(c, PathCollection)]
    others = [*ax.lines, *(c for c in ax.collections if c not in dotted)]
    below = max(artist.get_zorder() for artist in others)
    assert 0 < below < min(c.get_zorder() for c in dotted)
    flat = plot_measure(density(SPHERE, (1.0, 0, 0), 162), view=view).axes[0]
    over = min(line.get_zorder() for line in flat.lines)
    assert over > max(image.get_zorder() for image in flat.images)


@pytest.mark.parametrize("torus", SURFACES[1:], ids=str)
def test_dots_behind_the_tube_of_a_torus_are_not_drawn(torus: Any) -> None:
    mu = atoms(torus, 300)
    for side, seen in zip(SIDES, plot_measure(mu, view="3d").axes[0].collections, strict=True):
        facing = embed(torus, mu.points)[1] @ frame(*side)[2]
        # The near rim hides some that face the viewer, and none of those that do not is seen.
        assert 0.5 * (facing > 0).sum() < len(seen.get_offsets()) < (facing > -0.2).sum()


def test_bare_axes_of_a_caller_and_colour_bars() -> None:
    for view in ("map", "3d"):
        for mu in (density(SPHERE, (1.0, 0, 0), 162), density(TORUS, (1.0, 2.0), 12)):
            figure = Figure()
            ax = figure.add_subplot()
            assert plot_measure(mu, ax, view=view) is figure and len(figure.axes) == 1
            alone = plot_measure(mu, view=view)
            assert [a.get_ylabel() for a in alone.axes][1:] == ["density"]
            assert len(rendered(alone)) > 1000
    with pytest.raises(ValueError, match="view must be .map. or .3d., got 'globe'"):
        plot_measure(density(SPHERE, (1.0, 0, 0), 162), view="globe")


def test_the_map_of_a_torus_has_no_gap() -> None:
    image = plot_measure(density(TORUS, (1.0, 2.0), (16, 12))).axes[0].collections[0]
    corners = image.get_coordinates()  # type: ignore[attr-defined]
    assert corners[..., 0].min() <= -np.pi and corners[..., 0].max() >= np.pi
    assert corners[..., 1].min() <= -np.pi and corners[..., 1].max() >= np.pi


@pytest.mark.parametrize("view", ["map", "3d"])
def test_runs_are_drawn_in_both_views(view: str) -> None:
    figure = run([density(TORUS, (1.0, 2.0), 12)] * 2, [atoms(SPHERE, 30)] * 2).plot(
        view=view, snapshots=2
    )
    assert len(rendered(figure)) > 1000
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == [
        "$\\mu_x$, $t = 0$",
        "$\\mu_x$, $t = 0.167$",
        "$\\mu_y$, $t = 0$",
        "$\\mu_y$, $t = 0.167$",
    ]


def test_maps_of_both_players_are_laid_out_alike_and_say_where_scales_differ() -> None:
    """Of x one scale would do, of y the peaks are too unlike for one."""
    mesh = mf.mesh(SPHERE, 162)
    alike = [mf.Density(np.eye(162)[0], mesh)] * 3
    unlike = [mf.uniform(SPHERE), *alike[:2]]
    figure = run(alike, unlike).plot()
    said = [ax.get_xlabel() for ax in figure.axes if "density" in ax.get_xlabel()]
    assert said == ["density, each map on its own scale"] * 2
    rendered(figure)
    maps = [ax.get_position().width for ax in figure.axes if ax.get_title()]
    assert len(maps) == 6 and np.ptp(maps) < 1e-6


@pytest.mark.parametrize(("turns", "dotted"), [(0.5, False), (9.0, True)])
def test_a_curve_with_edges_shows_where_it_is_known(turns: float, dotted: bool) -> None:
    times, bumps = np.linspace(0, 1, 51), [density(mf.Torus(1), 0.0, 16)] * 51
    game = SimpleNamespace(name="a game")
    wave = {"value": np.sin(2 * np.pi * turns * times)}
    figure = mf.Trajectory(times, bumps, bumps, game, mf.Langevin(2.0), wave).plot()
    (line,) = next(ax for ax in figure.axes if "mathcal" in ax.get_ylabel()).lines
    assert (line.get_marker() == ".") is dotted


def test_labels_of_the_mean_field_are_not_called_particles() -> None:
    field = mf.solve(
        mf.games.benchmark("circle"), mf.WassersteinFisherRao(), time=0.1, save_every=0.1
    )
    assert (
        "mean field" in field.plot().get_suptitle()
        and "particles" not in field.plot().get_suptitle()
    )


def test_labels_on_a_circle_are_drawn_as_the_density_they_carry() -> None:
    game = mf.games.benchmark("circle")
    field = mf.solve(
        game,
        mf.WassersteinFisherRao(),
        mf.Start(x=mf.concentrated(0.0, std=0.3**0.5)),
        time=0.2,
        save_every=0.1,
    )
    assert of_labels(field, "x") and not of_labels(moving(), "x")
    at, values = profile(field.x[0], spread=True)
    exact = np.exp((np.cos(at) - 1) / 0.3)
    exact /= exact.sum() * 2 * np.pi / len(at)
    # Straight between labels, which counting in bins, here one or three a bin, falls far short of.
    assert np.abs(values - exact).max() < 0.1 * exact.max()
    assert np.abs(profile(field.x[0], 128)[1] - exact).max() > 0.2 * exact.max()
    assert values.sum() * 2 * np.pi / len(at) == pytest.approx(1, abs=1e-12)
    image = field.plot().axes[0].collections[0]
    assert np.asarray(image.get_array()).size == (128 + 2) * len(field)


def test_pairs_are_shown_in_the_view_asked_for() -> None:
    flat, gibbs = (
        density(SPHERE, (1.0, 0, 0), 162),
        mf.gibbs(mf.games.benchmark("sphere"), 2.0, cells=162),
    )
    for pair in (SimpleNamespace(x=flat, y=flat), gibbs, moving(count=2)):
        shown = [draw(pair, view) for view in ("map", "3d")]
        images = [sum(len(ax.images) for ax in figure.axes) for figure in shown]
        assert images == ([0, 0] if isinstance(pair, mf.Trajectory) else [2, 4])


def test_a_movie_has_a_frame_a_state_and_moves(tmp_path: Path) -> None:
    path = save_movie(moving(), tmp_path / "run.gif", dpi=40)
    shown = frames_of(path)
    assert path == tmp_path / "run.gif" and len(shown) == 7
    assert {f.shape for f in shown} == {shown[0].shape}
    assert min(np.abs(a - b).max() for a, b in pairwise(shown)) > 100
    assert len(frames_of(save_movie(moving(), tmp_path / "few.gif", frames=3, dpi=40))) == 3


def test_movies_say_how_far_they_are(tmp_path: Path, capsys: Any) -> None:
    save_movie(moving(count=7), tmp_path / "few.gif", progress=True)
    assert "frames" in capsys.readouterr().err


@pytest.mark.parametrize(("count", "frames"), [(7, 100), (101, 10), (5, 2)])
def test_first_and_last_states_are_shown(count: int, frames: int) -> None:
    chosen = movies.chosen_states(count, frames)
    assert chosen[0] == 0 and chosen[-1] == count - 1 and len(chosen) == min(count, frames)
    assert np.ptp(np.diff(chosen)) <= 1


def film(trajectory: mf.Trajectory, view: str = "map") -> movies.Film:
    with styled():
        return movies.Film(trajectory, range(len(trajectory)), 40, None, view)


def test_one_scale_serves_all_frames() -> None:
    shown = film(moving(count=3))
    peaks = [m.values.max() for m in moving(count=3).x]  # type: ignore[attr-defined]
    assert shown.tops[0] == pytest.approx(1.05 * max(peaks), rel=1e-6)
    assert shown.axes[0].get_ylim() == (0, shown.tops[0])
    spike = density(mf.Torus(1), 0.0, 512)
    sharp = mf.Density(np.where(np.arange(512) == 0, 1.0, 0.0), spike.mesh)
    shown = film(run([sharp] + [spike] * 6, [spike] * 7))
    assert shown.tops[0] == pytest.approx(1.05 * spike.values.max())


@pytest.mark.parametrize("view", ["map", "3d"])
def test_frames_hold_one_state_and_nothing_of_others(view: str) -> None:
    """What stands still is drawn once, and what moves leaves no trace."""
    maps = [density(SPHERE, c, 162) for c in ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0))]
    dots = [atoms(SPHERE, n) for n in (10, 20, 30)]
    for trajectory in (moving(count=3), run(maps, dots, value=np.arange(3.0))):
        shown = film(trajectory, view)
        first, second = shown.frame(0), shown.frame(1)
        assert np.array_equal(shown.frame(0), first) and not np.array_equal(first, second)
        assert np.array_equal(film(trajectory, view).frame(1), second)


@pytest.mark.parametrize("view", ["map", "3d"])
def test_particles_on_surfaces_are_filmed(view: str, tmp_path: Path) -> None:
    film = run(
        [atoms(SPHERE, n) for n in (30, 40)],
        [atoms(TORUS, n) for n in (30, 20)],
        ni=np.array([2.0, 0.01]),
    )
    assert len(frames_of(save_movie(film, tmp_path / "run.gif", view=view, dpi=30))) == 2


def test_movies_that_cannot_be_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(movies, "which", lambda name: None)
    assert movies.usual_suffix() == ".gif"
    for path, say in (
        ("run.mp4", "needs the program ffmpeg"),
        ("run.avi", "must end in .mp4 or .gif"),
    ):
        with pytest.raises(ValueError, match=say):
            save_movie(moving(), tmp_path / path)
    with pytest.raises(ValueError, match="two saved states"):
        save_movie(moving(count=1), tmp_path / "run.gif")
    with pytest.raises(TypeError, match="save_movie draws a meanfield.Trajectory, got list"):
        save_movie([], tmp_path / "run.gif")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fps must be"):
        save_movie(moving(), tmp_path / "run.gif", fps=0)
    with pytest.raises(ValueError, match="view must be .map. or .3d., got 'zz'"):
        save_movie(moving(), tmp_path / "run.gif", view="zz")
    with pytest.raises(ValueError, match="dpi must be at least 10, got 1"):
        save_movie(moving(), tmp_path / "run.gif", dpi=1)
    with pytest.raises(ValueError, match="there is no folder .*nowhere for run.gif; make it first"):
        save_movie(moving(), tmp_path / "nowhere" / "run.gif")

    def failing(*_: Any, **__: Any) -> None:
        raise RuntimeError("what really happened")

    monkeypatch.setattr(movies, "paint", failing)
    with pytest.raises(RuntimeError, match="what really happened"):
        save_movie(moving(), tmp_path / "run.gif")
    assert list(tmp_path.iterdir()) == []


def test_mp4_is_chosen_where_ffmpeg_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A stand-in for ffmpeg keeps what it is given: its arguments and the frames' bytes."""
    script = tmp_path / "ffmpeg"
    script.write_text('#!/bin/sh\necho "$@" > "$(dirname "$0")/said"\nfor last; do :; done\n'
                      'cat > "$last"\n')  # fmt: skip
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert movies.usual_suffix() == ".mp4"
    shown = film(moving(count=3))
    path = save_movie(moving(count=3), tmp_path / "run.mp4", dpi=40, fps=10)
    with styled():
        second = shown.frame(1)
    raw = np.frombuffer(path.read_bytes(), np.uint8).reshape(3, *second.shape)
    assert np.array_equal(raw[1], second)
    said = (tmp_path / "said").read_text()
    height, width, _ = raw.shape[1:]
    assert "yuv420p" in said and f"-s {width}x{height} -r 10" in said
    script.write_text("#!/bin/sh\ncat > /dev/null\necho no encoder here >&2\nexit 1\n")
    with pytest.raises(ValueError, match=r"could not write run.mp4: no encoder here"):
        save_movie(moving(count=3), tmp_path / "run.mp4", dpi=40)


def test_the_command_films_stored_data_and_computes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    game = mf.games.benchmark("circle")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mf.solve(game, mf.Langevin(10.0), time=0.4, cells=32, save_every=0.1).save(
            tmp_path / "run.h5"
        )
    for forbidden in ("meanfield.density.solve.solve", "meanfield.density.solve.build",
                      "meanfield.particles.simulate.simulate",
                      "meanfield.games.lowrank.LowRank.cost",
                      "meanfield.games.base.Game.value"):  # fmt: skip
        monkeypatch.setattr(forbidden, lambda *a, **k: pytest.fail("show computed something"))
    assert (
        main(["show", str(tmp_path / "run.h5"), "--movie", str(tmp_path / "film.gif"), "--no-plot"])
        == 0
    )
    assert f"filmed {tmp_path / 'film.gif'}" in capsys.readouterr().out
    assert len(frames_of(tmp_path / "film.gif")) == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.gif", "run.h5"]
    assert (
        main(["show", str(tmp_path / "run.h5"), "--movie", str(tmp_path / "film.avi"), "--no-plot"])
        == 2
    )
    assert "meanfield: film.avi must end in .mp4 or .gif" in capsys.readouterr().err
    save(density(SPHERE, (1.0, 0, 0), 162), tmp_path / "one.h5")
    assert main(["show", str(tmp_path / "one.h5"), "--movie", "--no-plot"]) == 2
    assert (
        main(["show", str(tmp_path / "one.h5"), "--view", "3d"]) == 0
        and (tmp_path / "one.png").exists()
    )


def test_movies_need_no_display(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np, meanfield as mf\n"
        "mu = mf.Measure(np.zeros((1, 2)), None, mf.Torus(2))\n"
        "from meanfield.plotting import save_movie\n"
        "save_movie(mf.Trajectory(np.arange(2.0), [mu] * 2, [mu] * 2, None, None), sys.argv[1], "
        "dpi=30, view='3d')\n"
    )
    path = tmp_path / "run.gif"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False, env={}
    )
    assert done.returncode == 0, done.stderr
    assert path.read_bytes()[:3] == b"GIF"


@pytest.mark.skipif(movies.usual_suffix() == ".gif", reason="the program ffmpeg is not here")
def test_an_mp4_is_one(tmp_path: Path) -> None:
    path = save_movie(moving(), tmp_path / "run.mp4", dpi=41)
    assert path.read_bytes()[4:8] == b"ftyp"
