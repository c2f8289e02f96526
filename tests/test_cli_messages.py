"""The command line: errors that are found late, names told once, pipes that close, the package as a
program.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import meanfield as mf
from meanfield.cli import main
from meanfield.cli.spec import Spec
from tests.test_cli import SMALL


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    return "small.toml"


@pytest.mark.parametrize(
    ("command", "old", "new", "message"),
    [
        ("run", "time = 0.2", "time = -1", "bad.toml, line 17: run.time: time must be"),
        ("compare", "time = 0.1", "time = 0",
         "bad.toml, line 22: compare.time: time must be above 0, got 0"),
        ("run", 'level = "particles"\ntime = 0.2\nstep = 0.01\nparticles = [20, 30]',
         "time = 0.1\ncells = -3",
         "bad.toml, line 17: run.cells: cells must"),
        ("run", "step = 0.01", "step = -1.0",
         "bad.toml, line 18: run.step: step must be above 0, got -1"),
        ("compare", "replicas = 3", "replicas = 1",
         "bad.toml, line 24: compare.replicas: replicas must"),
        ("gibbs", "cells = 48", "cells = 1", "bad.toml, line 27: gibbs.cells: cells"),
    ],
)  # fmt: skip
def test_values_checked_later_are_told_with_their_line(
    command, old, new, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_text(SMALL.replace(old, new))
    assert main([command, "bad.toml", "--quiet"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and os.listdir(tmp_path) == ["bad.toml"]


def test_names_are_not_doubled():
    spec = Spec("f.toml", {}, {("start", "x"): 3, ("run", "time"): 0})
    assert (
        str(spec.fail(("start", "x"), "start.x is -0.3 at 1"))
        == "f.toml, line 3: start.x is -0.3 at 1"
    )
    assert str(spec.fail(("run", "time"), "is bad")) == "--set run.time: is bad"


def test_settings_take_what_float_reads(file):
    assert main(["run", file, "--quiet", "--set", "run.time=.1"]) == 0
    assert mf.load("small.h5").times[-1] == 0.1


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_reader_that_leaves_is_no_error(file):
    main(["run", file, "--quiet"])
    code = f"{sys.executable} -m meanfield show small.h5 --no-plot | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (141, "")


def test_the_package_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "meanfield", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"meanfield {mf.__version__}\n"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("run.time=1" + 400 * "0", "run.time: must be a number below"),
        ('game.name=["oscillator"]', "there is no game ['oscillator']"),
        ("flow.name={a=1}", "there is no flow {'a': 1}"),
        ("start.x=" + 30_000 * "[" + 30_000 * "]", "start.x is nested too deeply"),
        ("game.X={torus=0}", "game.X: there is no such key"),
    ],
)
def test_odd_values_are_refused(change, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["examples", "oscillator.toml"]) == 0
    assert main(["run", "oscillator.toml", "--set", change]) == 2
    assert says in capsys.readouterr().err


def test_names_outside_the_encoding_of_a_pipe_are_escaped(tmp_path):
    (tmp_path / "опыт.toml").write_text(SMALL, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "meanfield", "run", "опыт.toml"], cwd=tmp_path, check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}, capture_output=True,
    )  # fmt: skip
    assert (tmp_path / "опыт.h5").exists() and rb"\u043e\u043f\u044b\u0442.h5" in ran.stdout


@pytest.mark.parametrize("option", [["--cite"], ["--export", "x.csv"], ["--export", "x.npz"]])
def test_a_measure_has_nothing_to_cite_or_export(option, tmp_path, capsys):
    path = mf.save(mf.uniform(mf.Torus(1)), tmp_path / "measure.h5")
    assert main(["show", str(path), "--no-plot", *option]) == 2
    assert "holds a measure" in capsys.readouterr().err


def test_nested_files_and_endless_comparisons_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("deep.toml").write_text("x = " + "[" * 30_000 + "]" * 30_000)
    Path("long.toml").write_text(SMALL.replace("time = 0.1", "time = 1e308"))
    for command, file, says in (
        ("run", "deep.toml", "deep.toml is nested too deeply"),
        ("compare", "long.toml", "compare.time: time must be at most 2^53 steps"),
    ):
        assert main([command, file]) == 2
        error = capsys.readouterr().err
        assert says in error and error.count("\n") == 1
