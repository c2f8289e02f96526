"""`meanfield check`: a page, pictures and numbers from a file; what it refuses; exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

import meanfield as mf
from meanfield.cli import main
from meanfield.studies.theorems import one

FILE = """\
[game]
name = "uniform_equilibrium"

[flow]
name = "Langevin"
beta = 3.0

[check]
theorems = [1]
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(FILE)
    return "mine.toml"


def test_a_check_writes_a_page_a_table_and_the_result(file, capsys):
    assert main(["check", file]) == 0
    out = capsys.readouterr().out
    assert "quick sizes" in out and "near-equilibrium: holds" in out
    folder = Path("mine-check")
    for name in ("check.html", "check.csv", "check.h5", "theorem1.pdf"):
        assert (folder / name).stat().st_size > 500 and name in out
    held = mf.load(folder / "check.h5")
    assert held.outcome("1") == "holds" and repr(held) in out
    # What is done is not done again.
    assert main(["check", file, "--quiet"]) == 0 and capsys.readouterr().out == ""
    assert main(["show", str(folder / "check.h5")]) == 0 and (folder / "check.png").is_file()


def test_a_theorem_that_fails_is_an_exit_code(file, capsys, monkeypatch):
    wrong = lambda game, beta, *a, **o: mf.gibbs(game, tuple(1.1 * b for b in beta), *a, **o)  # noqa: E731
    monkeypatch.setattr(one, "gibbs", wrong)
    game = 'game.expression="cos(x - y) + sin(x)"'
    assert main(["check", file, "--set", 'game.name="expression"', "--set", game]) == 1
    assert "FAILS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("flow.name='BestResponse'", "key"),
        ("check.theorem=[1]", "did you mean 'theorems'?"),
        ("check.theorems=[7]", "theorems must be of 1, 2 and 3"),
        ("check.theorems=[2]", "it is about (8)"),
    ],
)
def test_what_cannot_be_checked_is_said_in_one_line(file, change, says, capsys):
    assert main(["check", file, "--set", change]) == 2
    told = capsys.readouterr().err
    assert says in told and len(told.splitlines()) == 1
    assert not Path("mine-check").exists()


def test_the_folder_is_no_file(file, capsys):
    Path("there").write_text("")
    assert main(["check", file, "--out", "there"]) == 2
    assert "there is a file" in capsys.readouterr().err


def test_ctrl_c_writes_what_is_done(file, capsys, monkeypatch):
    def stop(p, start):
        raise KeyboardInterrupt

    monkeypatch.setattr(one, "settled", stop)
    assert main(["check", file]) == 130
    assert "not computed" in capsys.readouterr().out and Path("mine-check/check.html").exists()
