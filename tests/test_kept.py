"""Compiled code on disk: found again, and compiled anew where it is damaged."""

import numpy as np
import pytest
from numba import config

from meanfield import kept
from meanfield.jit import kernel


def squares(n):
    total = 0
    for i in range(n):
        total += i * i
    return total


def cubes(n):
    total = 0
    for i in range(n):
        total += i * i * i
    return total


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def hits(function=squares, n=5, value=30):
    """How often the code was found, of a kernel that a new process would have."""
    made = kernel(function)
    assert made(n) == value
    return sum(made.compiled.stats.cache_hits.values())


DAMAGES = {
    "cut off": lambda b: b[: len(b) // 2],
    "empty": lambda b: b"",
    "another byte": lambda b: (
        b[: len(b) // 2] + bytes([b[len(b) // 2] ^ 255]) + b[len(b) // 2 + 1 :]
    ),
    "zeros at the end": lambda b: b[:-100] + bytes(100),
    "no code": lambda b: np.random.default_rng(0).bytes(len(b)),
}


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_files_are_compiled_anew(folder, kind, damage):
    assert [hits(), hits()] == [0, 1]
    (file,) = folder.rglob(f"*.{kind}")
    whole = file.read_bytes()
    file.write_bytes(DAMAGES[damage](whole))
    assert [hits(), hits()] == [0, 1]
    assert len(file.read_bytes()) == len(whole)


def test_the_file_of_another_kernel_or_of_other_types_is_not_run(folder):
    assert [hits(), hits(cubes, 5, 100), hits(squares, 5.0, 30.0)] == [0, 0, 0]
    mine, other = (
        sorted(folder.rglob(f"*{name}*.nbc"), key=lambda p: p.name) for name in ("squares", "cubes")
    )
    assert (len(mine), len(other)) == (2, 1)
    for wrong in (other[0], mine[1]):
        mine[0].write_bytes(wrong.read_bytes())
        assert [hits(), hits()] == [0, 1]


def test_files_that_cannot_be_written_are_told_once(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    kept._warn_once.cache_clear()
    with monkeypatch.context() as m:
        m.setattr(kept.Sealed, "_save_data", full)
        with pytest.warns(RuntimeWarning, match="could not be written .*No space left") as told:
            assert [hits(), hits()] == [0, 0]
    assert len(told) == 1
    assert [hits(), hits()] == [0, 1]
