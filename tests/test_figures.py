"""The figures: data made once for their settings, pictures drawn from what is stored and nothing
else.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import meanfield as mf
from figures import oscillator, phase, second_game
from figures.__main__ import FIGURES, main
from figures.store import computed, load, stored
from meanfield.studies.curves import pack, unpack
from tests.test_plotting import comparison


def test_data_of_figures_are_made_once_for_their_settings(tmp_path: Any) -> None:
    made = []

    def compute() -> dict[str, Any]:
        made.append(1)
        return {"a": np.arange(3.0)}

    path = stored(tmp_path / "deep" / "a.npz", {"n": 1}, compute)
    assert stored(path, {"n": 1}, compute) == path and len(made) == 1
    assert load(path)["a"].tolist() == [0.0, 1.0, 2.0]
    stored(path, {"n": 2}, compute)
    assert len(made) == 2
    path.write_bytes(b"not an archive")
    stored(path, {"n": 2}, compute)
    assert len(made) == 3
    assert [p.name for p in path.parent.iterdir()] == ["a.npz"]
    with pytest.raises(TypeError, match="pickle"):
        stored(tmp_path / "b.npz", {}, lambda: {"a": {}})


def test_a_stopped_figure_goes_on(tmp_path: Any, monkeypatch: Any, capsys: Any) -> None:
    made: list[str] = []

    def stop() -> Any:
        raise KeyboardInterrupt

    def parts(settings: Any, folder: Any) -> Any:
        def part(name: str) -> Any:
            return lambda: made.append(name) or {name: np.arange(2)}

        last = {"b": part("b")} if made else {"b": stop}
        return {"a": part("a"), **last}

    monkeypatch.setattr(second_game, "parts", parts)
    monkeypatch.setattr(second_game, "draw", lambda path: path)
    command = ["second_game", "--quick", "--out", str(tmp_path)]
    assert main(command) == 130 and "the same command goes on" in capsys.readouterr().err
    assert main(command) == 0 and made == ["a", "b"]
    assert "1 of 2: a (kept from before)" in capsys.readouterr().out
    assert set(load(tmp_path / "second_game.npz")) >= {"a", "b"}


def test_parts_of_one_core_are_computed_at_once(tmp_path: Any) -> None:
    parts: Any = {"one": partial(dict, a=[1, 2]), "two": partial(dict, b=3.0)}
    said: list[str] = []
    found = computed(tmp_path, {}, parts, said.append, jobs=2)
    assert found["one"]["a"].tolist() == [1, 2] and float(found["two"]["b"]) == 3.0
    assert len(said) == 2 and said[-1].startswith("2 of 2 are done")
    with pytest.raises(ValueError, match="invalid literal"):
        computed(tmp_path, {}, {**parts, "three": partial(int, "no")}, said.append, jobs=2)
    assert len(said) == 2  # those that were done are kept


def test_stored_comparisons_come_back(tmp_path: Any) -> None:
    c = comparison()
    back = unpack(load(stored(tmp_path / "c.npz", {}, lambda: pack(c, "c"))), "c")
    assert back.particles == c.particles
    assert list(map(vars, back.sup)) == list(map(vars, c.sup))
    assert vars(back.exponent) == vars(c.exponent)
    assert vars(back.step_bias) == vars(c.step_bias)
    assert np.array_equal(back.w2_squared_low, c.w2_squared_low)


def test_the_figures_command_refuses_unknown_names(capsys: Any) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["oscilator"])
    assert stop.value.code == 2
    assert "no figure oscilator" in capsys.readouterr().err


def test_the_orbit_is_that_of_the_means_of_sines() -> None:
    x, y = (mf.Measure([[a], [b]], [0.25, 0.75], mf.Torus(1)) for a, b in ((0.1, 0.2), (0.3, 0.4)))
    run = mf.Trajectory(np.zeros(1), [x], [y], None, None)
    exact = [np.sin([0.1, 0.2]) @ [0.25, 0.75], np.sin([0.3, 0.4]) @ [0.25, 0.75]]
    assert np.allclose(oscillator.orbit(run), [exact], rtol=0, atol=1e-15)


def forbid(monkeypatch: Any, *names: str) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a picture is drawn from stored data; it must not run anything")

    for name in names:
        monkeypatch.setattr(mf, name, refuse)


def test_pictures_are_drawn_from_stored_data_alone(tmp_path: Any, monkeypatch: Any) -> None:
    forbid(monkeypatch, "solve", "simulate", "compare", "gibbs", "orbit", "branch")
    angle = np.linspace(0, 6, 9)
    masses = np.full((9, 16), 1 / 16)
    arrays = {
        "times": angle, "field_x": masses, "field_y": masses, "swarm_x": masses, "swarm_y": masses,
        "field_orbit": np.stack([np.cos(angle), np.sin(angle)], 1), "swarm_orbit": np.zeros((9, 2)),
        "gibbs": np.zeros(2), "particles": np.array(10), **pack(comparison(), "compare"),
    }  # fmt: skip
    picture = oscillator.draw(stored(tmp_path / "oscillator.npz", {}, lambda: arrays))
    assert picture.read_bytes().startswith(b"\x89PNG")
    curves = {
        key: value for name in second_game.FLOWS for key, value in pack(comparison(), name).items()
    }
    picture = second_game.draw(stored(tmp_path / "second_game.npz", {}, lambda: curves))
    assert picture.read_bytes().startswith(b"\x89PNG")
    cycles = {
        "beta": [18.0, 12.0, 14.0], "period": [4.2, 5.0, 6.0], "leading": [0.2, 0.9, 2.0],
        "turn": [11.1, 5.1], "betas": [12.0, 18.0], "folds": [[2.6, 5.1], [1.8, 5.3]],
    }  # fmt: skip
    drawn = {key: np.array(value) for key, value in cycles.items()}
    picture = phase.draw(stored(tmp_path / "phase.npz", {}, lambda: drawn))
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", FIGURES)
def test_quick_and_full_data_are_told_apart(name: str) -> None:
    figure = import_module(f"figures.{name}")
    assert figure.settings(True) != figure.settings(False)  # type: ignore[attr-defined]
    assert figure.settings(True) == figure.settings(True)  # type: ignore[attr-defined]


def test_one_failing_figure_fails_the_command_but_not_the_others(
    tmp_path: Any, monkeypatch: Any, capsys: Any
) -> None:
    def fail(settings: Any) -> Any:
        raise ValueError("no data today")

    monkeypatch.setattr(oscillator, "mean_field", fail)

    def parts(settings: Any, folder: Any) -> Any:
        return {"all of it": lambda: {"replicas": np.array(settings["replicas"])}}

    monkeypatch.setattr(second_game, "parts", parts)
    monkeypatch.setattr(
        second_game,
        "draw",
        lambda path: path.rename(path.with_name(f"second_game.{load(path)['replicas'][0]}")),
    )
    assert main(["oscillator", "second_game", "--quick", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "no data today" in told.err and "failed: oscillator" in told.err
    assert "1 of 4: the mean field (7)" in told.out and "1 of 1: all of it" in told.out
    assert told.out.splitlines()[-1] == f"  {tmp_path / 'second_game.60'}"
    assert (
        main(["second_game", "--out", str(tmp_path)]) == 0
        and "second_game.1000" in capsys.readouterr().out
    )


def test_fields_of_comparisons_are_those_that_pictures_need() -> None:
    """What `pack` stores is what meanfield.compare returns."""
    from dataclasses import fields

    from meanfield.studies.comparison import Comparison

    names = {f.name for f in fields(Comparison)}
    wanted = set(vars(comparison()))
    assert wanted <= names
    assert isinstance(comparison(), SimpleNamespace)
