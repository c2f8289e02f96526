"""The race of algorithms and the map of cures: what they measure, and their pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import meanfield as mf
from figures import cures, race
from figures.store import stored


def test_errors_of_the_race_are_those_of_the_run() -> None:
    """On x'Ay, whose NI is |A'E x| + |A E y|."""
    s = {**race.settings(True), "time": 0.2, "saves": 2, "particles": 10, "step": 0.01}
    found, taken = race.one(s, "x'Ay", 5, race.ALGORITHMS["L-DA"], 3)
    game = race.GAMES["x'Ay"](5, 3)
    run = mf.simulate(
        game, mf.Langevin(race.BETA), race.tilted(5), 0.2, 0.01, 10, 3, save_every=0.1
    )
    exact = [game.answers["ni"](*pair) for pair in run]
    assert found == pytest.approx(np.array(exact[1:]) / exact[0], rel=1e-9) and taken > 0
    assert race.work(s, race.ALGORITHMS["mirror-prox"]).tolist() == [20.0, 40.0]
    far = race.ALGORITHMS["best response, mesh"]
    assert np.isnan(race.one(s, "x'Ay", 5, far, 0)[0]).all()  # no mesh there


def test_the_race_is_drawn_and_told_from_stored_data(tmp_path: Any) -> None:
    s = race.settings(True)
    shape = (len(race.cells(s)), len(race.ALGORITHMS), s["seeds"])
    errors = np.random.default_rng(0).uniform(0.1, 1.0, (*shape, s["saves"]))
    errors[:, 2, :, -1], errors[:, 3, :, -1], errors[0, 5] = 0.01, [0.008, 0.02], np.nan
    data = {
        "errors": errors, "taken": np.ones(shape), "algorithms": np.array(list(race.ALGORITHMS)),
        "gradients": np.array([race.work(s, a) for a in race.ALGORITHMS.values()]),
    }  # fmt: skip
    path = stored(tmp_path / "race.npz", s, lambda: data)
    assert race.draw(path).read_bytes().startswith(b"\x89PNG")
    text = path.with_suffix(".md").read_text()
    best, each = (part.splitlines()[2:] for part in text.split("\n\n"))
    names = list(race.ALGORITHMS)
    assert len(best) == shape[0] and len(each) == shape[1]
    for row in best:  # the quartiles of 0.008 and 0.02 begin at 0.011
        assert row.split(" | ")[1:4] == ["0.01 (0.01 to 0.01)", names[2], ""]
    assert each[3].split(" | ")[1] == "0.014 (0.011 to 0.017)"
    assert race.near_best(np.array([[1.0, 2.0, 5.0], [2.0, 3.0, 6.0], [4.0, 9.0, 9.0]]))[
        1
    ].tolist() == [True, True, False]


def test_the_map_tells_a_cycle_from_a_gibbs_point(tmp_path: Any) -> None:
    s = {**cures.settings(True), "betas": [25.0], "couplings": [1.0, 3.0], "starts": 1}
    cycling, cured = (cures.row(s, name, 25.0) for name in s["flows"])
    assert list(cycling["turns"]) == [0, 1] and cycling["away"][1] > 0.3
    assert list(cured["turns"]) == [0, 0]
    found = {
        f"{name}, beta = 25": part for name, part in zip(s["flows"], (cycling, cured), strict=True)
    }
    found[f"{cures.BASIN}, beta = 25"] = {"share": np.array([0.0, 1.0])}
    path = stored(tmp_path / "cures.npz", s, lambda: cures.joined(s, found))
    assert cures.draw(path).read_bytes().startswith(b"\x89PNG")
