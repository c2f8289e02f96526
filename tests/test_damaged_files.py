"""Files that writes, disks or strangers have damaged, and buffers used again: none gives a wrong
number.
"""

from __future__ import annotations

import errno
import io
import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from threading import get_ident

import h5py
import numpy as np
import pytest

import meanfield as mf
from meanfield.cli import main
from meanfield.storage import atomic
from meanfield.storage.keeper import Keeper
from meanfield.storage.salvage import salvage
from meanfield.storage.seal import BLOCK, MARK
from tests.stored_runs import carried, edited, equal, field, saved, swarm


def test_no_flipped_bit_is_silent(tmp_path):
    """Wherever a bit changes, in numbers, names or the digest itself, the file is refused."""
    path = saved(tmp_path)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    places = {0, len(data) - 1, data.find(b"scheme\0"), data.rfind(MARK), data.rfind(MARK) - 1}
    for place in sorted(places | set(rng.integers(0, len(data), 200).tolist())):
        broken = bytearray(data)
        broken[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"run\.h5 (is damaged|does not end|cannot be read)"):
            mf.load(path)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["write", "flush", "fsync", "replace"])
def test_a_failing_call_is_told_and_leaves_the_old_file(call, code, tmp_path, monkeypatch):
    path = saved(tmp_path)
    before = path.read_bytes()

    def fails(*_):
        raise OSError(code, os.strerror(code))

    class Failing(io.BufferedRandom):
        pass

    if call in ("fsync", "replace"):
        monkeypatch.setattr(os, call, fails)
    else:
        setattr(Failing, call, fails)
        monkeypatch.setattr(
            Path, "open", lambda self, mode: Failing(io.FileIO(self, mode.replace("b", "")))
        )
    with pytest.raises(OSError, match=re.escape(os.strerror(code))) as told:
        swarm().save(path, overwrite=True)
    monkeypatch.undo()
    assert told.value.errno == code
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["run.h5"]


def test_a_folder_that_cannot_be_flushed_is_told_of_and_the_new_file_stands(tmp_path, monkeypatch):
    flush = atomic._flush

    def fails_for_folders(path):
        if path.is_dir():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        flush(path)

    monkeypatch.setattr(atomic, "_flush", fails_for_folders)
    with pytest.raises(OSError, match=r"run\.h5 is written, but .* its folder cannot be flushed"):
        swarm().save(tmp_path / "run.h5")
    assert equal(mf.load(tmp_path / "run.h5"), swarm())


def test_files_that_read_other_files_are_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(np.arange(4.0).tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["data"] = np.arange(4.0)
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "data", (4,))
    makers = {
        "link": lambda group: group.__setitem__(
            "spy", h5py.ExternalLink(str(tmp_path / "other.h5"), "data")
        ),
        "soft": lambda group: group.__setitem__("spy", h5py.SoftLink("/result/times")),
        "raw": lambda group: group.create_dataset(
            "spy", (4,), "f8", external=[(str(secret), 0, 32)]
        ),
        "virtual": lambda group: group.create_virtual_dataset("spy", layout),
    }
    for name, make in makers.items():
        path = tmp_path / f"{name}.h5"
        swarm().save(path)
        with edited(path) as file:
            make(file["result/diagnostics"])
        with pytest.raises(ValueError, match="link to another place|numbers in another file"):
            mf.load(path)


def test_the_mode_of_a_replaced_file_stays_and_devices_are_not_replaced(tmp_path):
    path = saved(tmp_path)
    path.chmod(0o600)
    swarm().save(path, overwrite=True)
    assert os.name == "nt" or path.stat().st_mode & 0o777 == 0o600
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.h5")
        with pytest.raises(ValueError, match="a device or a pipe"):
            swarm().save(tmp_path / "pipe.h5", overwrite=True)


def test_endings_in_capitals_are_endings(tmp_path):
    swarm().save(tmp_path / "RUN.H5")
    assert len(mf.load(tmp_path / "RUN.H5")) == len(swarm())


@pytest.mark.parametrize("level", ["particles", "densities"])
def test_a_diagnostic_may_fill_one_buffer_of_its_own(level):
    buffer = np.zeros(1)

    def mean(x, y):
        buffer[0] = x.integrate(np.cos(x.points[:, 0]))
        return buffer

    run = (swarm if level == "particles" else field)(diagnostics={"m": mean})
    want = [x.integrate(np.cos(x.points[:, 0])) for x in run.x]
    assert run.diagnostics["m"][:, 0].tolist() == want


@pytest.mark.parametrize("length", [200, 230, 252])
def test_names_as_long_as_the_system_allows(length, tmp_path):
    path = tmp_path / ("a" * length + ".h5")
    mf.save(mf.uniform(mf.Torus(1)), path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name] and len(mf.load(path)) > 0


def test_the_matrix_of_a_bilinear_game_is_its_own():
    A = np.eye(3)
    game = mf.games.bilinear(A)
    A[:] = 0.0
    corner = mf.Measure(np.eye(3)[:1], None, mf.Sphere(2))
    assert game.answers["ni"](corner, corner) == 2.0


def test_what_a_killed_writer_of_the_same_number_left_is_overwritten(tmp_path):
    """Process numbers come back, in containers at once."""
    left = tmp_path / f".run.h5.{atomic._here()}.{os.getpid()}.{get_ident()}.partial"
    left.write_bytes(b"half")
    saved(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]


def test_a_write_that_fails_anywhere_is_told(tmp_path, monkeypatch):
    """Each write of a save fails once, alone; the old file stays, and no later call hides it."""
    path = saved(tmp_path)
    before, count, failing = path.read_bytes(), [0], [None]

    class Counting(io.BufferedRandom):
        def write(self, data):
            count[0] += 1
            if count[0] == failing[0]:
                raise OSError(errno.EIO, "Input/output error")
            return super().write(data)

    monkeypatch.setattr(
        Path, "open", lambda self, mode: Counting(io.FileIO(self, mode.replace("b", "")))
    )
    run = swarm()
    run.save(path, overwrite=True)
    writes = count[0]
    with open(path, "wb") as restored:
        restored.write(before)
    assert writes > 20
    for k in range(1, writes + 1):
        count[0], failing[0] = 0, k
        with pytest.raises(OSError, match="Input/output error"):
            run.save(path, overwrite=True)
        with open(path, "rb") as left:
            assert left.read() == before


def test_members_with_two_places_are_refused_at_once(tmp_path):
    """Groups that share their members, forty deep, stand for 2^39 groups."""
    path = saved(tmp_path)
    with edited(path) as file:
        last = file.create_group("l0")
        last.attrs["@kind"] = "dict"
        for k in range(1, 40):
            group = file.create_group(f"l{k}")
            group.attrs["@kind"] = "dict"
            group["a"] = group["b"] = last
            last = group
        file["result/diagnostics/bomb"] = last
    with pytest.raises(ValueError, match="stands in two places"):
        mf.load(path)


def test_partial_files_of_other_machines_are_left_alone(tmp_path):
    """Process numbers mean something on one machine, since its start, in one container."""
    theirs = tmp_path / ".run.h5.0123456789ab.4194305.7.partial"
    theirs.touch()
    atomic.sweep(tmp_path)
    assert theirs.exists()


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away"
)
def test_the_owner_of_a_replaced_file_stays(tmp_path):
    path = saved(tmp_path)
    os.chown(path, 12345, 12346)
    swarm().save(path, overwrite=True)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)


def test_a_second_run_on_the_same_output_is_told(tmp_path):
    path = tmp_path / "run.h5"
    told = []

    def second(t, x, y):
        with pytest.raises(ValueError, match="is being written by another run"):
            swarm(checkpoint=path, checkpoint_every=0.0)
        told.append(t)

    whole = swarm(checkpoint=path, checkpoint_every=0.0, callback=second)
    assert told and not list(tmp_path.glob(".*.lock"))
    assert equal(mf.load(path), whole)


def test_a_file_written_between_reading_and_locking_is_told(tmp_path):
    path = tmp_path / "run.h5"
    keeper = Keeper(path, {"call": "simulate"})
    swarm().save(path)
    with pytest.raises(ValueError, match="written by another run just now"), keeper:
        pass
    assert not list(tmp_path.glob(".*.lock"))


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_run_asked_to_end_writes_what_it_has(name, tmp_path, monkeypatch):
    if not hasattr(signal, name):
        pytest.skip(f"this system has no {name}")
    number = getattr(signal, name)
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_DFL)  # not even by nohup

    def ask(t, x, y):
        if t > 0.2:
            os.kill(os.getpid(), number)

    path = tmp_path / "run.h5"
    with pytest.raises(SystemExit) as ended:
        swarm(checkpoint=path, callback=ask)
    assert ended.value.code == 128 + number
    assert 1 < len(mf.load(path)) < len(swarm())


def test_what_still_reads_of_a_damaged_file_is_offered(tmp_path):
    """Arrays untouched by the damage are vouched for, and none is where the structure is hit."""
    path, kept = tmp_path / "run.h5", tmp_path / "kept.npz"
    mf.simulate(
        mf.games.oscillator(), mf.Langevin(25.0), mf.Start(), 0.1, step=0.01, particles=4000,
        save_every=0.05,
    ).save(path)  # fmt: skip
    assert "every byte is as it was written" in str(salvage(path))
    with h5py.File(path) as file:
        points = {name: file[f"result/{name}/points"] for name in "xy"}
        at = {name: dataset.id.get_offset() for name, dataset in points.items()}
        y = points["y"][()]
    data = bytearray(path.read_bytes())
    data[at["x"] + 2 * BLOCK] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"between .* and .*show --damaged"):
        mf.load(path)
    trust = {row["name"]: row["trust"] for row in salvage(path, kept).arrays}
    assert trust["result/x/points"] == "damaged"
    assert trust["result/y/points"] == trust["result/times"] == "as written"
    with np.load(kept) as arrays:
        assert "result/x/points" not in arrays and np.array_equal(arrays["result/y/points"], y)
    data[100] ^= 1  # in the structure
    path.write_bytes(data)
    assert {row["trust"] for row in salvage(path, tmp_path / "unsure.npz").arrays} <= {
        "not vouched for"
    }
    path.write_bytes(data[: len(data) // 2])
    assert "cut short" in str(salvage(path))


def test_show_damaged_lists_and_keeps(tmp_path, capsys):
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:-3])
    out = str(tmp_path / "kept.npz")
    assert main(["show", str(path), "--damaged", "--export", out]) == 0
    said = capsys.readouterr().out
    assert "cut short" in said and "not vouched for  result/times" in said
    with np.load(out) as arrays:
        assert np.array_equal(arrays["unsure/result/times"], swarm().times)
    assert main(["show", str(path), "--damaged", "--export", out]) == 2


@pytest.mark.parametrize("make", [swarm, field, carried])
def test_a_state_of_another_run_is_refused(make):
    """A state that stands before the last saved time, or elsewhere at it, is not gone on from."""
    run, elsewhere = make(), mf.Start()
    for other, why in (
        (make(time=0.3), r"stands at t=0\.3, before"),
        (make(start=elsewhere), "another run|another start"),
    ):
        with pytest.raises(ValueError, match=why):
            make(time=0.7, resume=replace(run, state=other.state))


@pytest.mark.parametrize("names", [["times"], ["x"], ["times", "x", "y"]])
def test_a_run_without_its_times_or_measures_is_refused(names, tmp_path, capsys):
    path = saved(tmp_path)
    with edited(path) as file:
        for name in names:
            if name == "times":
                del file["result/times"]
                file["result/times"] = np.zeros(0)
            else:
                del file[f"result/{name}"]
    with pytest.raises(ValueError, match="damaged"):
        mf.load(path)
    assert main(["show", str(path), "--no-plot"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
