"""Pages of runs: whole in themselves, small, and their numbers those of the run."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pytest

import meanfield as mf
from meanfield.cli import main
from meanfield.plotting import save_page
from meanfield.plotting.circle import profile
from meanfield.plotting.interactive import plotly_js
from meanfield.plotting.surfaces import TUBE, embed
from meanfield.plotting.traces import DRAWN, LIFTED, _grid, rounded
from meanfield.start import law
from tests.test_pictures import moving, run

pytest.importorskip("plotly", reason="pages of runs need plotly")
CENTERS = {
    mf.Torus(2): (0.5, 1.0),
    mf.Sphere(2): (0.6, 0.0, 0.8),
    mf.Sphere(3): (0.0, 0.0, 0.6, 0.8),
}
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
TORUS, SPHERE = mf.Torus(2), mf.Sphere(2)


def figure_of(page: Path) -> dict[str, Any]:
    """What the page's browser draws."""
    packed = re.search(r'<script id="figure"[^>]*>([^<]*)</script>', page.read_text())
    assert packed is not None
    return json.loads(gzip.decompress(base64.b64decode(packed[1])))


def named(figure: dict[str, Any], name: str, frame: int) -> list[dict[str, Any]]:
    """The traces of a name as they are at a frame."""
    states = [dict(trace) for trace in figure["data"]]
    change = figure["frames"][frame]
    for k, part in zip(change["traces"], change["data"], strict=True):
        states[k] |= part
    return [s for s in states if s.get("name") == name]


def bumps(space: Any, cells: int, count: int = 2) -> list[mf.Density]:
    """Densities that grow sharper."""
    laws = [law(mf.concentrated(CENTERS[space], std=0.8 - 0.1 * k), space) for k in range(count)]
    return [one.on(mf.mesh(space, cells)) for one in laws]


def swarms(space: Any, n: int, count: int = 2) -> list[mf.Measure]:
    """Atoms of random masses."""
    rng = np.random.default_rng(0)
    masses = rng.random((count, n))
    return [mf.Measure(space.sample(n, rng), m / m.sum(), space) for m in masses]


class Outside(HTMLParser):
    """Collects every attribute that makes a browser ask for something."""

    found: list[str]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"{tag} {k}={v}" for k, v in attrs if k in ("src", "href", "srcset", "data")]


def test_a_page_is_whole_in_itself_and_small(tmp_path: Path) -> None:
    page = save_page(moving(), tmp_path / "run.html")
    text = page.read_text()
    reader = Outside()
    reader.found = []
    reader.feed(text)
    assert not reader.found
    assert "default-src 'none'" in text and "@import" not in text and "url(" not in text
    assert page.stat().st_size < 2.5e6
    library = re.search(r'<script id="library"[^>]*>([^<]*)</script>', text)
    assert library is not None
    from plotly.offline import get_plotlyjs

    assert gzip.decompress(base64.b64decode(library[1])).decode() == get_plotlyjs()
    for told in ("Langevin", "β=2", "Domingo-Enrich", "plotly.js (MIT"):
        assert told in text
    again = save_page(moving(), tmp_path / "again.html").read_bytes()
    assert again == page.read_bytes()


def test_plotly_knows_every_name_of_the_figure(tmp_path: Path) -> None:
    import plotly.graph_objects as go

    mixed = run(swarms(SPHERE, 9, 3), bumps(TORUS, 12, 3), ni=np.array([1.0, 0.1, 0.01]))
    page = figure_of(save_page(mixed, tmp_path / "run.html"))
    page.pop("config")
    for change in page["frames"]:  # in the browser they change traces whose type is known
        for k, part in zip(change["traces"], change["data"], strict=True):
            part["type"] = page["data"][k]["type"]
    assert len(go.Figure(page).data) == len(page["data"])


def test_densities_on_circles_are_the_runs_at_every_frame(tmp_path: Path) -> None:
    held = moving()
    page = figure_of(save_page(held, tmp_path / "run.html"))
    assert [s["label"] for s in page["layout"]["sliders"][0]["steps"]] == [
        f"{t:.4g}" for t in held.times
    ]
    for k, pair in enumerate(held):
        for measure, drawn in zip(pair, named(page, "density", k), strict=True):
            at, values = profile(measure)
            assert np.abs(np.array(drawn["x"])[1:-1] - at).max() < 1e-3
            assert np.abs(np.array(drawn["y"])[1:-1] - values).max() < 1e-3 * values.max()


@pytest.mark.parametrize("space", [SPHERE, TORUS])
def test_atoms_lie_on_their_surface_with_areas_by_weight(space: Any, tmp_path: Path) -> None:
    first = mf.Measure(space.sample(8, np.random.default_rng(0)), None, space)
    weights = np.arange(1.0, 9.0) / 36
    later = mf.Measure(first.points, weights, space)
    page = figure_of(save_page(run([first, later], [later, first]), tmp_path / "run.html"))
    x, y = named(page, "atoms", 1)
    place, normal = embed(space, first.points)
    at = np.stack([x[c] for c in "xyz"], 1)
    assert np.abs(at - place - (LIFTED - 1) * normal).max() < 1e-3
    areas = np.array(x["marker.size"]) ** 2
    assert areas / areas.mean() == pytest.approx(8 * weights, rel=2e-2)
    assert np.ptp(y["marker.size"]) == 0


def test_densities_on_surfaces_are_the_runs(tmp_path: Path) -> None:
    held = run(bumps(SPHERE, 642), bumps(TORUS, 24))
    page = figure_of(save_page(held, tmp_path / "run.html"))
    for k, pair in enumerate(held):
        for measure, drawn in zip(pair, named(page, "density", k), strict=True):
            grid = _grid(measure.manifold)
            values = measure.interpolated(grid.reshape(-1, grid.shape[-1])).reshape(grid.shape[:2])
            assert np.abs(np.array(drawn["surfacecolor"]) - values).max() < 1e-3 * values.max()
            places = np.stack([np.array(drawn.get(c, 0)) for c in "xyz"], -1)
            ring = np.hypot(places[..., 0], places[..., 1]) - 1
            tube = np.hypot(ring, places[..., 2])
            on_it = (
                np.linalg.norm(places, axis=-1) - 1 if measure.manifold == SPHERE else tube - TUBE
            )
            assert np.abs(on_it).max() < 2e-3


def test_marks_on_curves_stand_at_the_frames_time(tmp_path: Path) -> None:
    held = mf.solve(mf.games.oscillator(), mf.Langevin(2.0), time=1.0, cells=32)
    page = figure_of(save_page(held, tmp_path / "run.html", frames=5))
    assert len(page["frames"]) == 5
    titles = " ".join(a["text"] for a in page["layout"]["annotations"])
    assert "value" in titles and "W<sub>2</sub> to the last state" in titles and "moments" in titles
    for k, change in enumerate(page["frames"]):
        t = float(page["layout"]["sliders"][0]["steps"][k]["label"])
        marks = [c for i, c in zip(change["traces"], change["data"], strict=True)
                 if page["data"][i]["mode"] == "markers"]  # fmt: skip
        assert len(marks) == 4 and all(np.allclose(m["x"], t, atol=1e-3) for m in marks)
        x, y = held.at(t)
        assert marks[0]["y"][0] == pytest.approx(held.game.value(x, y), rel=1e-4)
        distances = [mf.w2(x, held.x[-1]), mf.w2(y, held.y[-1])]
        assert marks[1]["y"] == pytest.approx(distances, rel=1e-4, abs=1e-7)
        angle = x.points[:, 0]
        means = [x.masses @ np.cos(angle), x.masses @ np.sin(angle)]
        assert marks[2]["y"] == pytest.approx(means, abs=1e-4)


def test_many_atoms_and_high_dimensions(tmp_path: Path) -> None:
    some, other = swarms(mf.Sphere(5), DRAWN + 200), swarms(mf.Torus(3), 20)
    page = figure_of(save_page(run(some, other), tmp_path / "run.html"))
    x, y = named(page, "atoms", 1)
    assert len(x["x"]) == DRAWN and np.hypot(x["x"], x["y"]).max() <= 1.001
    assert y["type"] == "scatter3d" and len(y["z"]) == 20
    titles = " ".join(a["text"] for a in page["layout"]["annotations"])
    assert f"1,000 of {DRAWN + 200:,} atoms" in titles
    curves = save_page(run(bumps(mf.Sphere(3), 432), other), tmp_path / "s3.html")
    (disc,) = named(figure_of(curves), "density", 0)
    assert disc["type"] == "heatmap" and disc["z"][0][0] is None


def test_what_is_not_finite_is_no_number() -> None:
    assert rounded([np.nan, np.inf, -0.0, 1.23456]) == [None, None, 0.0, 1.235]
    assert rounded([]) == [] and rounded([0.0]) == [0.0]


def test_the_command_writes_pages_of_runs_and_says_what_is_missing(
    tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    game, flow = mf.games.oscillator(), mf.Langevin(2.0)
    field = mf.solve(game, flow, time=0.5, cells=32)
    field.save(tmp_path / "field.h5")
    mf.simulate(game, flow, time=0.5, step=0.05, particles=20).save(tmp_path / "swarm.h5")
    swarm, options = str(tmp_path / "swarm.h5"), ["--no-plot", "--html"]
    assert main(["show", swarm, *options, "--against", str(tmp_path / "field.h5")]) == 0
    page = tmp_path / "swarm.html"
    assert f"wrote {page}" in capsys.readouterr().out
    titles = [a["text"] for a in figure_of(page)["layout"]["annotations"]]
    assert any(text.startswith("W<sub>2</sub><br>") for text in titles)
    mf.gibbs(game, beta=2.0, cells=32).save(tmp_path / "gibbs.h5")
    for words, said in (
        ([str(tmp_path / "gibbs.h5"), *options], "holds no run over time"),
        ([swarm, "--no-plot", "--against", swarm], "give both"),
        ([swarm, *options, str(tmp_path / "run.png")], "must end in .html"),
    ):
        assert main(["show", *words]) == 2
        assert said in capsys.readouterr().err
    plotly_js.cache_clear()
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert main(["show", swarm, *options]) == 2
    assert "pip install 'meanfield-zerosum[html]'" in capsys.readouterr().err
    with pytest.raises(TypeError, match="save_page writes runs and comparisons, got Density"):
        save_page(field.x[0], tmp_path / "no.html")


# What a person does with the page: waits for it, moves the slider, turns the surface, slides again.
HAND = """<script>(async () => {
  const wait = ms => new Promise(f => setTimeout(f, ms));
  while (document.getElementById("wait")) await wait(100);
  const g = document.getElementById("picture"), said = [];
  const mark = () => g.data.filter(t => t.mode === "markers").at(-1).x[0];
  const go = async k => {
    Plotly.animate(g, [k], {mode: "immediate", frame: {duration: 0, redraw: true},
      transition: {duration: 0}});
    await wait(1000);
    said.push(mark());
  };
  await go("1");
  const eye = {x: -1.5, y: 0.3, z: 0.4};
  Plotly.relayout(g, {"scene.camera.eye": eye, "scene2.camera.eye": eye});
  await wait(1000);
  await go("2");
  said.push(g._fullLayout.scene._scene.getCamera().eye.x);
  console.log("said " + JSON.stringify(said) + " end");
})();</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs the program chromium")
def test_a_browser_draws_the_page_and_turns_its_surfaces(tmp_path: Path) -> None:
    held = run(bumps(SPHERE, 642, 3), swarms(TORUS, 9, 3))
    page = save_page(held, tmp_path / "run.html")
    page.write_text(page.read_text().replace("</html>", HAND + "</html>"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--enable-logging=stderr",
             "--window-size=640,480",
             f"--user-data-dir={tmp_path / 'profile'}"]  # fmt: skip
    how: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([str(CHROMIUM), *flags, page.as_uri()], **how) as browser:
        end = Timer(240, browser.kill)
        end.start()
        lines = []
        for line in browser.stderr or []:
            lines.append(line)
            if "said [" in line:
                break
        end.cancel()
        browser.terminate()
    said = re.search(r"said (\[.*\]) end", lines[-1])
    assert said is not None, "".join(lines)[-2000:]
    first, second, eye = json.loads(said[1])
    assert (first, second) == pytest.approx(tuple(held.times[1:3]), abs=1e-6)
    assert eye == pytest.approx(-1.5, abs=1e-6)
