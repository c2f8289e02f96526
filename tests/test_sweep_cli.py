"""`meanfield sweep` and `meanfield merge`: what they write and say, and how they refuse."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import meanfield as mf
from meanfield.cli import main
from meanfield.studies.sweep import tasks
from meanfield.studies.sweep.folder import _rows
from meanfield.studies.sweep.merging import of_folder
from tests.test_sweep import count, same_table

SMALL = """\
[game]
name = "oscillator"

[flow]
name = "Langevin"
beta = 4.0

[run]
level = "particles"
time = 0.2
step = 0.02
particles = 10

[sweep]
"game.coupling" = [1.0, 2.0]
"run.seed" = {range = [0, 4]}
"""


def test_several_processes_in_one_folder_lose_and_double_nothing(tmp_path):
    (tmp_path / "s.toml").write_text(SMALL)
    run = [sys.executable, "-m", "meanfield", "sweep", "s.toml", "--quiet", "--no-plot"]
    how = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(Path.cwd())}}
    jobs = [subprocess.Popen([*run, *more], **how) for more in ([], [], ["--part", "2/2"])]
    assert [job.wait(timeout=300) for job in jobs] == [0, 0, 0]
    rows = [r for p in (tmp_path / "s-sweep" / "tasks").iterdir() for r in _rows(p)]
    assert len(rows) == len({r.key for r in rows}) == 8
    held = mf.load(tmp_path / "s-sweep" / "sweep.h5")
    assert held.status == ["done"] * 8
    game = mf.games.oscillator(2.0)
    run_5 = mf.simulate(game, mf.Langevin(4.0), mf.Start(), time=0.2, step=0.02, particles=10,
                        seed=1)  # fmt: skip
    assert held.label(5) == "game.coupling = 2, run.seed = 1"
    assert held.numbers["value"][5] == run_5.diagnostics["value"][-1]


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s.toml").write_text(SMALL)
    return "s.toml"


def test_the_command_writes_a_table_a_file_and_a_picture(file, capsys, monkeypatch):
    counted = count(monkeypatch)
    assert main(["sweep", file]) == 0
    out = capsys.readouterr().out
    for told in ("8 tasks, run over game.coupling (2), run.seed (4)", "8 done", "next: meanfield"):
        assert told in out
    for name in ("sweep.h5", "sweep.csv", "sweep.png"):
        assert (Path("s-sweep") / name).stat().st_size > 0
    assert main(["sweep", file, "--quiet"]) == 0
    assert len(counted) == 8
    assert main(["show", "s-sweep/sweep.h5"]) == 0
    assert main(["merge", "s-sweep", "s-sweep/sweep.h5", "--out", "m.h5", "--quiet"]) == 0
    assert same_table(mf.load("m.h5"), mf.load("s-sweep/sweep.h5"))
    assert same_table(of_folder(Path("s-sweep")), mf.load("m.h5"))


def test_looking_writes_nothing(file, capsys):
    assert main(["sweep", file, "--dry-run"]) == 0
    assert main(["sweep", file, "--status"]) == 0
    out = capsys.readouterr().out
    assert out.index("compiles for it") < out.index("8 of 8 tasks are to do")
    assert "8 of 8 tasks are to do" in out and "core-hours" in out and "of disk" in out
    assert "0 done, 0 failed, 0 under way, 8 to do" in out
    assert os.listdir() == ["s.toml"]
    main(["sweep", file, "--part", "1/2", "--quiet"])
    assert main(["sweep", file, "--status"]) == 0
    assert "4 done, 0 failed, 0 under way, 4 to do" in capsys.readouterr().out


def test_the_work_that_is_left_follows_the_sizes_of_tasks():
    """Six small tasks are done, one of them slow because it compiled; one of a thousand times their
    size is left.
    """
    from meanfield.cli.sweeps import status
    from meanfield.studies.sweep.tasks import Outcome, Task

    options = {"time": 1.0, "step": 0.1}
    tasks = [
        Task("simulate", mf.games.oscillator(), mf.Langevin(4.0), mf.Start(),
             {**options, "particles": n}, {}, key=str(k))
        for k, n in enumerate([10] * 6 + [10_000])
    ]  # fmt: skip
    seconds = [20.0] + [0.1] * 5
    found = {str(k): Outcome(str(k), {}, seconds=s) for k, s in enumerate(seconds)}
    folder = SimpleNamespace(path=Path("nowhere"), outcomes=lambda: found)
    assert "left: about 1.7 min of work" in status(tasks, folder)


def test_dotted_keys_need_no_quotes(file, capsys):
    Path("t.toml").write_text(SMALL.replace('"game.coupling"', "game.coupling")
                              .replace('"run.seed"', "run.seed"))  # fmt: skip
    for name in (file, "t.toml"):
        main(["sweep", name, "--quiet", "--no-plot"])
    assert mf.load("s-sweep/sweep.h5").keys == mf.load("t-sweep/sweep.h5").keys


def test_ranges_replicas_and_rows():
    from meanfield.cli.grid import axes_of
    from meanfield.cli.spec import Spec

    table = {
        "command": "run", "replicas": 2, "flow.beta": {"logspace": [4, 64, 3]},
        "game.coupling": {"linspace": [0, 0.3, 4]}, "run.seed": {"range": [5, 1, -2]},
        "run.particles, run.step": [[10, 0.1], [100, 0.01]], "start": {"x": {"std": [0.1, 0.2]}},
    }  # fmt: skip
    axes = axes_of(Spec("f", {"sweep": table, "run": {"level": "particles"}}))
    assert [(a.names, a.values) for a in axes] == [
        # As a list would say them: numpy gives 15.999999999999993 and 0.09999999999999999.
        (("flow.beta",), [(4.0,), (16.0,), (64.0,)]),
        (("game.coupling",), [(0.0,), (0.1,), (0.2,), (0.3,)]),
        (("run.seed",), [(5,), (3,)]),
        (("run.particles", "run.step"), [(10, 0.1), (100, 0.01)]),
        (("start.x.std",), [(0.1,), (0.2,)]),
        (("run.replica",), [(0,), (1,)]),
    ]


# What stands in [sweep], whose first line is the 15th, and what is said.
BAD = [
    ('"flow.betta" = [1, 2]', "line 15: flow.betta: there is no such key; did you mean 'beta'?"),
    ('"flow.beta" = [1.0, "x"]', "line 15: flow.beta: must be a number, got 'x'"),
    ('"flow.beta" = [1.0, -2.0]', "line 15: flow"),
    ('"flow.beta" = 3', "line 15: sweep.flow.beta: must be a list such as"),
    ('"flow.beta" = []', "line 15: sweep.flow.beta: must be a list such as [1, 2], got []"),
    ('"flow.beta" = [1, 1]', "line 15: sweep.flow.beta: holds 1 twice"),
    ('"flow.beta" = {logspace = [0, 1, 3]}', "line 15: sweep.flow.beta: logspace needs ends above"),
    ('"flow.beta" = {logspace = [1, 2]}', "logspace must be [first, last, how many]"),
    ('"flow.beta" = {linspace = [1, nan, 3]}', "linspace needs finite ends"),
    ('"run.seed" = {range = [0, 1e9]}', "line 15: sweep.run.seed: must be a whole number"),
    ('"run.seed" = {range = [1000000000]}', "line 15: sweep.run.seed: has 1e+09 values"),
    ('"run.seed" = {range = [0, 5, 0]}', "range must have a step other than 0"),
    ('"run.seed" = {rnge = [0, 5]}', "sweep.run.seed.rnge: [run] holds no tables; must be"),
    ('"compare.seed" = [1, 2]', "run does not read [compare]"),
    ('"rnu.seed" = [1, 2]', "run does not read [rnu]; did you mean 'run'?"),
    ('"run.sead" = [1, 2]', "line 15: sweep.run.sead: [run] has no key 'sead'"),
    ('seed = [1, 2]', "write section.key"),
    ('"run.step" = [0.02, 0.03]', "line 10: run.time: time must be a whole number of steps"),
    ('command = "fly"\n"run.seed" = [1]', "line 15: sweep.command: must be one of run, compare"),
    ('command = "gibbs"\n"run.seed" = [1]', "line 16: sweep.run.seed: gibbs does not read [run]"),
    ('command = "nash"\n"flow.beta" = [1]', "line 16: sweep.flow.beta: nash does not read [flow]"),
    ('command = "gibbs"\n"start.x.std" = [1]', "gibbs does not read [start]"),
    ('command = "gibbs"\n"flow.beta" = [1]\n[gibbs]\nbeta = 2', "changes nothing: beta is given"),
    ('replicas = 0', "line 15: sweep.replicas: must be at least 1"),
    ('replicas = 1000000', "line 15: sweep.replicas: the sweep has 1e+06 points"),
    ('"run.level.x" = [1]', "line 15: sweep.run.level.x: [run] holds no tables"),
    ('"run.seed" = {a = {b = {c = {d = {e = {f = {g = {h = {i = 1}}}}}}}}}', "must be a list"),
    ('"start.x.std" = [1.0, 2.0]', "line 15: start.x"),
    ('"game.coupling, flow.beta" = [[1.0]]', "must hold rows of 2 values"),
    ('keep = "all"', "holds no key to go through"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "told"), BAD, ids=[b[0][:30] for b in BAD])
def test_bad_input_is_told_with_its_line_and_nothing_is_written(line, told, file, capsys):
    head = SMALL[: SMALL.index('"game.coupling"')]
    Path(file).write_text(head + line + "\n")
    assert main(["sweep", file]) == 2
    error = capsys.readouterr().err
    assert told in error and error.startswith("meanfield: s.toml") and error.count("\n") == 1
    assert os.listdir() == ["s.toml"]


def test_words_of_the_command_are_checked(file, capsys):
    for words, told in (
        (["--part", "5/4"], "--part '5/4' must be i/n"), (["--part", "x"], "--part 'x'"),
        (["--scheduler", "tcp://a:1"], "--scheduler belongs to --executor dask"),
        (["--workers", "0"], "--workers must be at least 1"), (["--out", "s.toml"], "is a file"),
    ):  # fmt: skip
        assert main(["sweep", file, *words]) == 2
        assert told in capsys.readouterr().err
    Path("n.toml").write_text(SMALL[: SMALL.index("[sweep]")])
    assert main(["sweep", "n.toml"]) == 2
    assert "there is no [sweep]" in capsys.readouterr().err


def test_a_scheduler_is_asked_aloud(file, capsys, monkeypatch):
    def client(address, timeout):
        raise OSError(f"nobody answered within {timeout} s")

    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=client))
    words = ["sweep", file, "--executor", "dask", "--scheduler", "tcp://10.0.0.1:8786"]
    for quiet, asked in (([], 1), (["--quiet"], 0)):
        assert main([*words, *quiet]) == 2
        said = capsys.readouterr()
        assert said.out.count("asking tcp://10.0.0.1:8786 for its Dask scheduler") == asked
        assert "there is no Dask scheduler: nobody answered within 20 s" in said.err


def test_a_sweep_with_failures_says_so(file, capsys, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(tasks, "numbers_of", lambda result: 1 / 0)
        assert main(["sweep", file, "--no-plot"]) == 1
    out = capsys.readouterr().out
    assert "8 tasks failed" in out and "--only-failed" in out and "ZeroDivisionError" in out
    assert main(["sweep", file, "--only-failed", "--quiet"]) == 0
