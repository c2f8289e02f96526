"""The command line: the examples run, bad input gets one line and writes nothing, a stopped run
goes on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

import meanfield as mf
from meanfield.cli import jobs, main
from meanfield.cli.examples import shipped
from meanfield.cli.spec import positions
from tests.stored_runs import equal

SMALL = """\
title = "small"

[game]
name = "oscillator"
coupling = 2.0

[flow]
name = "Langevin"
beta = 10.0

[start]
x = {center = 1.0, std = 0.3}
y = {density = "1 + 0.5*cos(y)"}

[run]
level = "particles"
time = 0.2
step = 0.01
particles = [20, 30]

[compare]
time = 0.1
particles = [10, 40]
replicas = 3

[gibbs]
cells = 48
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    return "small.toml"


def test_run_writes_what_simulate_gives(file, capsys):
    assert main(["run", file]) == 0
    held, game = mf.load("small.h5"), mf.games.oscillator(2.0)
    start = mf.Start(x=mf.concentrated(1.0, std=0.3), y=mf.games.density("1 + 0.5*cos(y)"))
    direct = mf.simulate(game, mf.Langevin(10.0), start, time=0.2, step=0.01, particles=(20, 30))
    assert equal(held, direct)
    out = capsys.readouterr().out
    for told in (
        "20 and 30 particles, 20 steps of 0.01",
        "of memory",
        "of disk",
        "wrote small.h5",
        "next: meanfield show",
    ):
        assert told in out


OPTIONS = [
    ("finite-volume", "Langevin", 'weights = "sg"', {"weights": "sg"}),
    ("staggered", "Langevin", "order = 4", {"order": 4}),
    ("muscl", "Wasserstein", 'limiter = "van Leer"', {"limiter": "van Leer"}),
    ("characteristics", "Wasserstein", "refine = 1e-11", {"refine": 1e-11}),
]


def field_file(engine, flow, line):
    """The small file at the level of the field, an option of its engine on line 17."""
    beta = "\nbeta = 2.0" if flow == "Langevin" else ""
    head = (
        SMALL[: SMALL.index("[run]")]
        .replace('"Langevin"\nbeta = 10.0', f'"{flow}"{beta}')
        .replace("0.3}", "0.7}")
    )
    cells = "" if engine == "characteristics" else "cells = 48\n"
    return f'{head}[run]\n{line}\ntime = 0.1\nengine = "{engine}"\n{cells}'


@pytest.mark.parametrize(("engine", "flow", "line", "option"), OPTIONS)
def test_options_of_an_engine_reach_it(engine, flow, line, option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text(field_file(engine, flow, line))
    assert main(["run", "run.toml", "--quiet"]) == 0
    held = mf.load("run.h5")
    start = mf.Start(x=mf.concentrated(1.0, std=0.7), y=mf.games.density("1 + 0.5*cos(y)"))
    how = {"time": 0.1, "engine": engine, **({} if engine == "characteristics" else {"cells": 48})}
    moving = mf.Langevin(2.0) if flow == "Langevin" else mf.Wasserstein()
    direct, usual = (
        mf.solve(mf.games.oscillator(2.0), moving, start, **how, **extra) for extra in (option, {})
    )
    assert equal(held.x[-1], direct.x[-1])
    assert not equal(held.x[-1], usual.x[-1])


def test_names_are_those_of_the_engines():
    from meanfield.cli.schema import OPTIONS as known
    from meanfield.density.muscl import LIMITERS
    from meanfield.density.rates import WEIGHTS

    for option, names in (("limiter", LIMITERS), ("weights", WEIGHTS)):
        assert [known[option][1](name) for name in names] == list(names)


BAD_OPTIONS = [
    (
        "muscl",
        "Wasserstein",
        "order = 4",
        'run.order: belongs to engine = "staggered"; this run uses "muscl"',
    ),
    ("staggered", "Langevin", "order = 5", "order must be 4, 6 or 8, got 5"),
    ("staggered", "Langevin", "order = 4.0", "run.order: must be a whole number, got 4.0"),
    (
        "finite-volume",
        "Langevin",
        'weights = "gs"',
        "must be one of curved, sg, face, sqrt, got 'gs'; did you mean 'sg'?",
    ),
    ("muscl", "Wasserstein", 'limiter = "van Leet"', "did you mean 'van Leer'?"),
    ("characteristics", "Wasserstein", "refine = 0", "refine must be above 0, got 0"),
    ("staggered", "Langevin", "ordr = 4", "run.ordr: there is no such key; did you mean 'order'?"),
]


@pytest.mark.parametrize(("engine", "flow", "line", "message"), BAD_OPTIONS)
def test_bad_options_of_an_engine_get_one_line(
    engine, flow, line, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text(field_file(engine, flow, line))
    assert main(["run", "run.toml", "--quiet"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and os.listdir(tmp_path) == ["run.toml"]


def test_particles_take_no_engine_options(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for line, message in (
        ("order = 4", 'run.order: belongs to level = "field"'),
        ("refine = 0.5", "must be a whole"),
    ):
        Path("run.toml").write_text(SMALL.replace("step = 0.01", f"step = 0.01\n{line}"))
        assert main(["run", "run.toml", "--quiet"]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(("value", "shown"), [("1", "1"), ('"always"', "'always'")])
def test_control_is_true_false_or_auto(value, shown, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_text(SMALL.replace("replicas = 3", f"replicas = 3\ncontrol = {value}"))
    assert main(["compare", "bad.toml"]) == 2
    wanted = f'line 25: compare.control: must be true, false or "auto", got {shown}'
    assert wanted in capsys.readouterr().err and os.listdir() == ["bad.toml"]


@pytest.mark.parametrize(("control", "states"), [("false", 3), ("auto", 21), ("true", 21)])
def test_compare_announces_the_states_that_a_control_keeps(control, states, file, capsys):
    """Every 0.05 and at the end, or at every half step."""
    how = ("replicas=8", f"control={control}", "save_every=0.05")
    assert main(["compare", file, *(a for h in how for a in ("--set", f"compare.{h}"))]) == 0
    assert f" {states} saved states" in capsys.readouterr().out


def test_settings_override_the_file(file):
    assert (
        main(
            [
                "run",
                file,
                "--quiet",
                "--out",
                "other.h5",
                "--set",
                "run.seed=7",
                "--set",
                "flow.beta=[5, 6.0]",
            ]
        )
        == 0
    )
    held = mf.load("other.h5")
    assert held.provenance["seed"] == 7 and held.flow == mf.Langevin((5.0, 6.0))


def test_quiet_says_nothing(file, capsys):
    assert main(["run", file, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_the_other_commands(file, capsys):
    for command in ("compare", "gibbs", "nash"):
        assert main([command, file, "--quiet"]) == 0
        assert main(["show", f"small-{command}.h5"]) == 0
        assert os.path.getsize(f"small-{command}.png") > 5000
    assert mf.load("small-gibbs.h5").residual < 1e-12 and mf.load("small-gibbs.h5").beta == (
        10.0,
        10.0,
    )
    assert len(mf.load("small-compare.h5").samples["ni"][1]) == 3
    assert mf.load("small-nash.h5").error < 1e-8
    assert "exponent of W2^2" in capsys.readouterr().out


def test_show_draws_exports_and_cites_from_the_file_alone(file, capsys):
    main(["run", file, "--quiet"])
    os.unlink("small.toml")
    assert (
        main(
            [
                "show",
                "small.h5",
                "--export",
                "a.csv",
                "--export",
                "a.npz",
                "--cite",
                "--out",
                "b.png",
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "Trajectory" in out and "finished" in out and "value: " in out and "Salmon" in out
    assert os.path.getsize("b.png") > 5000 and os.path.exists("a.csv") and os.path.exists("a.npz")


def test_a_second_run_finds_the_first(file, capsys):
    main(["run", file, "--quiet"])
    before = Path("small.h5").read_bytes()
    assert main(["run", file]) == 0 and main(["resume", "small.h5"]) == 0
    assert "there already" in (out := capsys.readouterr().out) and "is finished" in out
    assert "wrote" not in out and "small.h5 stays as it is; next: meanfield show small.h5" in out
    assert main(["run", file, "--set", "run.seed=1"]) == 2
    assert "holds another run" in capsys.readouterr().err
    assert Path("small.h5").read_bytes() == before


BAD = [
    ("[gam]\nname = 'x'", "bad.toml, line 1: gam: there is no such section; did you mean 'game'?"),
    (
        "title = 1\n[game]\nname = 'oscilator'",
        "line 3: game.name: there is no game 'oscilator'; did you mean 'oscillator'?",
    ),
    (
        SMALL.replace("coupling", "cupling"),
        "line 5: game.cupling: there is no such key; did you mean 'coupling'?",
    ),
    (
        SMALL.replace("coupling = 2.0", 'coupling = "2"'),
        "line 5: game.coupling: must be a number, got '2'",
    ),
    (SMALL.replace("coupling = 2.0", "coupling = nan"), "line 5: game"),
    (
        SMALL.replace("beta = 10.0", "beta = -1.0"),
        "line 9: flow.beta: beta must be above 0, got -1",
    ),
    (
        SMALL.replace("beta = 10.0", "beta = [1.0, 2.0, 3.0]"),
        "must be one value or two (for x, for y), got 3",
    ),
    (SMALL.replace("beta = 10.0", ""), "Langevin needs beta"),
    (
        SMALL.replace('"Langevin"', '"Langevine"'),
        "line 8: flow.name: there is no flow 'Langevine'; did you mean",
    ),
    (SMALL.replace("std = 0.3", "std = 0"), "line 12: start.x: std must be above 0"),
    (
        SMALL.replace("std", "width"),
        "line 12: start.x: a bump takes no width, which was a variance",
    ),
    (SMALL.replace("cos(y)", "coz(y)"), "line 13: start.y: 'coz' is not known; did you mean cos?"),
    (SMALL.replace("center = 1.0", "center = [1.0, 2.0]"), "line 12: start.x"),
    (
        SMALL.replace("particles = [20, 30]", "particles = 2.5"),
        "line 19: run.particles: must be a whole number, got 2.5",
    ),
    (
        SMALL.replace("particles = [20, 30]", "partciles = 20"),
        "line 19: run.partciles: there is no such key; did you mean",
    ),
    (
        SMALL.replace("particles = [20, 30]", "cells = 20"),
        'line 19: run.cells: belongs to level = "field"',
    ),
    (SMALL.replace("particles = [20, 30]", "particles = 0"), "particles must be at least 1, got 0"),
    (SMALL.replace("step = 0.01", "step = 0.03"), "time must be a whole number of steps"),
    (SMALL.replace("beta = 10.0", "beta = 0.001"), "unstable step"),
    (SMALL.replace("time = 0.2\n", ""), "line 15: run: time is missing"),
    (
        SMALL.replace('"particles"', '"partikles"'),
        "must be one of field, particles, got 'partikles'; did you mean",
    ),
    (SMALL.replace("[run]", "[run"), "is not valid TOML"),
    (
        SMALL.replace('name = "oscillator"\ncoupling = 2.0', '\nexpression = "cos(x - z)"'),
        "game.expression: 'z' is not known",
    ),
    (
        SMALL.replace('name = "oscillator"\ncoupling = 2.0', 'expression = "__import__(1)"'),
        "'__import__' is not known",
    ),
    (SMALL.replace("[gibbs]", "[output]\nfile = 'a.txt'\n[gibbs]"), "must end in .h5"),
    (
        "[game]\nname = 'trigonometric'\nterms = [[1]]\n[flow]\nname='Wasserstein'",
        "line 3: game.terms: terms[0] must be",
    ),
    ("", "there is no [game]"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_bad_input_gets_one_line_and_writes_nothing(text, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text(text)
    assert main(["run", "bad.toml"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and error.startswith("meanfield: ")
    assert os.listdir(tmp_path) == ["bad.toml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "none.toml"], "there is no file none.toml"),
        (["run", "small.toml", "--set", "nonsense"], "must look like section.key=value"),
        (
            ["run", "small.toml", "--set", "run.tme=1"],
            "meanfield: --set run.tme: there is no such key; did you mean 'time'?",
        ),
        (["run", "small.toml", "--set", "start.x={points=[[0.1]], masses=[0.5]}"], "--set start.x"),
        (
            ["run", "small.toml", "--set", "run.step=-1"],
            "meanfield: --set run.step: step must be above 0, got -1",
        ),
        (["run", "."], "meanfield: . is a folder; give a file in it"),
        (["run", "small.toml", "--out", "no/where.h5"], "does not exist; make it first"),
        (["show", "none.h5"], "there is no file none.h5"),
        (["show", "small.toml"], "a file of another kind"),
        (["resume", "small.toml"], "a file of another kind"),
        (["examples", "oscilator"], "did you mean 'oscillator.toml'?"),
    ],
)
def test_bad_arguments(arguments, message, file, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert os.listdir(".") == ["small.toml"]


def test_a_cut_file_is_refused(file, capsys):
    main(["run", file, "--quiet"])
    data = Path("small.h5").read_bytes()
    Path("small.h5").write_bytes(data[: len(data) // 2])
    for arguments in (["show", "small.h5"], ["resume", "small.h5"], ["run", file]):
        assert main(arguments) == 2
        assert "cut short" in capsys.readouterr().err
    assert Path("small.h5").stat().st_size == len(data) // 2


def test_lines_of_keys():
    found = positions('a = 1\n[b]\nc = {d = 2}\n"e f" = 3\n[b.g]\nh.i = 4\n')
    assert found[("a",)] == 1 and found[("b", "c", "d")] == 3 and found[("b", "e f")] == 4
    assert found[("b", "g", "h", "i")] == 6


SHORTER = {
    "particles": ["run.step=0.001", "run.time=0.002", "run.save_every=0.001"],
    "field": ["run.time=0.02", "run.save_every=0.005"],
}


@pytest.mark.parametrize("name", [name for name in shipped() if not name.startswith("gan_")])
def test_every_example_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["examples", name]) == 0
    content = tomllib.loads(shipped()[name])
    level = content["run"].get("level", "field")
    changes = SHORTER[level] + (
        [] if level == "field" or content["run"]["particles"] == 2 else ["run.particles=20"]
    )
    assert main(["run", name, *(f"--set={change}" for change in changes)]) == 0
    assert len(mf.load(name.replace(".toml", ".h5"))) >= 3


def test_every_known_game_and_flow_has_an_example():
    from meanfield.cli.build import FLOWS
    from meanfield.games.catalogue import CONSTRUCTORS

    held = [c for c in map(tomllib.loads, shipped().values()) if "game" in c]
    games = {c["game"].get("name", "expression") for c in held}
    assert games >= set(CONSTRUCTORS) - {"polynomial_from"}
    assert {c["flow"]["name"] for c in held} >= set(FLOWS) - {"Flow"}
    assert {c["game"].get("which") for c in held} >= {"circle", "torus", "sphere"}
    assert sum(name.startswith("paper") for name in shipped()) >= 4


def test_examples_are_listed_and_never_overwritten(file, capsys):
    assert main(["examples"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in shipped()) and main(["examples", "oscillator"]) == 0
    assert main(["examples", "oscillator"]) == 2 and "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [[], ["run"], ["compare"], ["gibbs"], ["nash"], ["resume"], ["show"], ["examples"], ["check"]],
)
def test_help_teaches(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as left:
        main([*command, "--help"])
    out = capsys.readouterr().out
    assert (
        left.value.code == 0
        and "exit codes:" in out
        and all(len(line) <= 120 for line in out.splitlines())
    )
    if command == ["run"]:
        for word in (
            "[game]",
            "[flow]",
            "[start]",
            "[run]",
            "[output]",
            "oscillator",
            "Langevin",
            "save_every",
        ):
            assert word in out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_file_that_resume_finishes(number, code, file, capsys):
    longer = ["--set", "run.time=400.0", "--set", "run.save_every=0.5", "--set", "run.particles=50"]
    run = [sys.executable, "-m", "meanfield.cli"]
    process = subprocess.Popen(
        [*run, "run", file, *longer], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    deadline = time.monotonic() + 300
    while not os.path.exists("small.h5") and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    error = process.communicate(timeout=300)[1]
    assert process.returncode == code and "meanfield resume small.h5" in error
    assert main(["resume", "small.h5", "--quiet"]) == 0
    assert (
        jobs.stopped(Path("small.h5"), code) == code
        and "meanfield show small.h5" in capsys.readouterr().err
    )
    assert main(["run", file, *longer, "--quiet", "--out", "whole.h5"]) == 0
    a, b = mf.load("small.h5"), mf.load("whole.h5")
    assert len(a) == 801 and equal(a, b)
    assert np.isfinite(a.diagnostics["value"]).all()


def test_a_byte_order_mark_before_the_file_is_no_part_of_it(file, tmp_path):
    (tmp_path / "marked.toml").write_text("\ufeff" + SMALL, encoding="utf-8")
    assert main(["run", "marked.toml", "--quiet", "--out", "marked.h5"]) == 0
    assert (tmp_path / "marked.h5").exists()
