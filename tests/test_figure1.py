"""Figure 1 in small: its data are the errors they claim to be, its picture needs nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np

import meanfield as mf
from figures import figure1
from figures.store import computed, load, stored
from tests.test_figures import forbid

SMALL = {
    **figure1.settings(True), "dims": [2, 6], "sizes": [20, 30], "games": 2, "time": 2.0,
    "step": 1e-2, "one_dim": 3,
    "time_dims": [2, 3], "steps": [5e-3, 1e-2], "betas": [10.0, 100.0], "long": 2.0, "saves": 4,
    "runs": 50,
}  # fmt: skip


def test_a_small_figure_holds_exact_errors_and_is_drawn_from_them(
    tmp_path: Any, monkeypatch: Any
) -> None:
    def compute() -> Any:
        parts = figure1.parts(SMALL, tmp_path)
        return figure1.joined(SMALL, computed(tmp_path / "parts", SMALL, parts, lambda text: None))

    path = stored(tmp_path / "figure1.npz", SMALL, compute)
    held = load(path)
    assert held["by_dimension"].shape == (2, 3, 2, 2, 2)
    assert (held["by_dimension"] >= 0).all() and (held["values"][..., 1] < 1e-9).all()
    # The estimate is a lower bound of the exact error, which for one replica is among those by
    # dimension.
    exact, seen = np.moveaxis(held["estimates"], -1, 0)
    assert (seen <= exact + 1e-12).all()
    np.testing.assert_array_equal(exact[:, :, :, 0], held["by_dimension"][:, :, 0, :, 0])
    mirror, _, wfr = np.log(held["by_dimension"]).mean(axis=(-3, -1))[0]
    assert (
        wfr[1] < mirror[1] - 1
    )  # transport keeps working in dimension 6, where mirror descent does not
    forbid(monkeypatch, "simulate", "nash", "NikaidoIsoda")
    assert held["in_time"].shape == (2, 3, 2, 2, 4, 2) and held["by_step"].shape == (2, 3, 2, 2)
    pages: list[Any] = []
    monkeypatch.setattr(figure1, "save_png", lambda figure, *_: pages.append(figure))
    figure1.draw(path)
    figure = pages[0]
    monkeypatch.undo()
    assert figure1.draw(path).read_bytes().startswith(b"\x89PNG")
    check_page(figure)
    said = path.with_suffix(".txt").read_text()
    assert "bars of one standard error" in said and "bands are one standard error" in said


def check_page(figure: Any) -> None:
    """Letters on the panels, two named ticks an axis or more, and an entry for every line."""
    figure.draw_without_rendering()
    assert [ax.get_title(loc="left") for ax in figure.axes] == list("abcdefghij")
    for ax in figure.axes:
        named = [t for t in ax.get_xticklabels() if t.get_text()]
        low, high = ax.get_ylim()
        assert len(named) >= 2 and sum(low <= v <= high for v in ax.get_yticks()) >= 2
    entries = figure.legends[0].get_lines()
    looks = {(line.get_linestyle(), line.get_linewidth() < 1) for line in entries}
    drawn = {
        (line.get_linestyle(), line.get_linewidth() < 1)
        for ax in figure.axes
        for line in ax.lines
        if line.get_linestyle() != "None"
    }
    assert drawn <= looks
    colors = {line.get_color() for line in entries}
    assert {line.get_color() for ax in figure.axes for line in ax.lines} <= colors


def test_averages_are_of_weights_and_the_last_positions() -> None:
    game = mf.games.polynomial("a", dim=3, seed=0)
    run = mf.simulate(
        game, mf.MirrorDescent(), mf.Start(), 0.5, step=0.05, particles=10, save_every=0.05
    )
    x, _ = figure1.final(run)
    np.testing.assert_allclose(
        x.masses, np.mean([m.masses for m in run.x[:-1]], axis=0), rtol=1e-12
    )
    last = mf.simulate(game, mf.Langevin(10.0), mf.Start(), 0.5, step=0.05, particles=10)
    assert np.array_equal(figure1.final(last)[0].points, last.x[-1].points)


def test_spread_is_that_of_logarithms() -> None:
    mean, low, high = figure1.spread(np.array([1.0, 100.0]))
    assert mean == 10 or abs(mean - 10) < 1e-14
    np.testing.assert_allclose(high / mean, mean / low, rtol=1e-14)
    np.testing.assert_allclose(
        high, 100, rtol=1e-14
    )  # half the logarithms' difference over sqrt 2, times sqrt 2
