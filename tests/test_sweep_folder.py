"""The folder of a sweep: what became of tasks stays, whatever happens to other files."""

from __future__ import annotations

import pytest

from meanfield.studies.sweep import tasks
from meanfield.studies.sweep.folder import Folder, _rows


def test_a_task_is_done_once_it_was_ever_done(tmp_path):
    """The failure of another process, or of another day, does not hide a result."""
    folder = Folder(tmp_path)
    folder.make()
    good = tasks.Outcome("k", {}, numbers={"value": 1.0}, made={"date": "2026-01-01"})
    bad = tasks.Outcome("k", {}, error="E", made={"date": "2026-02-01"})
    later = tasks.Outcome("k", {}, error="F", made={"date": "2026-03-01"})
    for rows, wanted in (([bad], "E"), ([later], "F"), ([good], ""), ([later], "")):
        folder.write(rows)
        assert Folder(tmp_path).outcomes()["k"].error == wanted
        assert folder.outcomes()["k"].error == wanted


def test_what_is_done_again_in_the_same_second_does_not_go_with_the_damaged_file(tmp_path):
    rows = [tasks.Outcome("k", {}, numbers={"value": 1.0}, made={"date": "2026-01-01"})]
    folder = Folder(tmp_path)
    folder.make()
    folder.write(rows)
    (path,) = folder.tasks.iterdir()
    path.write_bytes(b"")
    again = Folder(tmp_path)
    with pytest.warns(UserWarning, match="count as not yet computed"):
        assert not again.outcomes()
    again.write(rows)
    again.set_aside()
    assert _rows(path)[0].numbers == {"value": 1.0}
    assert (tmp_path / "damaged" / path.name).read_bytes() == b""
