"""Every claim holds in quick mode, every broken input is caught, and the suite resumes, re-judges
and reports.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from meanfield.studies.stored import held, keep, key
from meanfield.studies.verdicts import FAILS, HOLDS, INCONCLUSIVE, Verdict, above, below, overall
from validation import suite
from validation.__main__ import main
from validation.report import table, write
from validation.suite import CLAIMS, Outcome, run


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all claims: broken inputs share the parts that are not broken."""
    return tmp_path_factory.mktemp("validation")


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_holds_and_its_broken_inputs_are_caught(claim: str, out: Path) -> None:
    # In this process, whose kernels are loaded once; kills are those of processes copied from one
    # without threads.
    jobs = 2 if claim == "kills" else 1
    (outcome,) = run([claim], quick=True, out=out, sabotage=True, jobs=jobs)
    told = table([outcome])
    assert outcome.outcome == HOLDS, told
    assert outcome.pictures, "every claim draws"
    assert outcome.sabotages, "a check that cannot fail is no check"
    assert outcome.caught, told


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_states_itself(claim: str) -> None:
    first, *rest = (suite.module(claim).__doc__ or "").strip().split("\n\n")
    assert first.endswith(".") and len(first) < 300 and len("".join(rest)) > 80


def test_three_outcomes() -> None:
    assert Verdict("one", 1.0, 1.0, 0.0).outcome == HOLDS
    assert Verdict("off", 1.0 + 2e-6, 1.0, 1e-6).outcome == FAILS
    assert Verdict("sharp", 1.5, 1.0, 1.0, 0.2).outcome == HOLDS
    assert Verdict("vague", 1.5, 1.0, 1.0, 0.8).outcome == INCONCLUSIVE
    assert Verdict("far", 9.0, 1.0, 1.0, 0.8).outcome == FAILS
    assert below("under", -50.0, 1.0).holds and not below("over", 1.1, 1.0).holds
    assert above("over", 50.0, 1.0).holds and not above("under", 0.9, 1.0).holds
    assert above("perhaps", 0.9, 1.0, 0.2).outcome == INCONCLUSIVE
    for side in (
        Verdict("nan", np.nan, 1.0, 1e6),
        below("nan", np.nan, 1.0),
        below("inf", np.inf, 1.0, np.inf),
    ):
        assert side.outcome == FAILS


def test_one_failure_fails_a_claim_and_no_verdict_leaves_it_open() -> None:
    good, bad, open_ = Verdict("", 0, 0), Verdict("", 1, 0), Verdict("", 1.5, 1.0, 1.0, 0.8)
    assert overall([good, good]) == HOLDS
    assert overall([good, open_]) == overall([]) == INCONCLUSIVE
    assert overall([open_, bad, good]) == FAILS


def test_stored_parts_know_their_settings(tmp_path: Path) -> None:
    path = tmp_path / "part.npz"
    assert held(path, key("a")) is None
    keep(path, key("a"), {"x": [1.0, 2.0]}, 3.0)
    data, seconds = held(path, key("a")) or ({}, 0.0)
    assert data["x"].tolist() == [1.0, 2.0] and seconds == 3.0
    assert held(path, key("b")) is None
    whole = path.read_bytes()
    for k in range(0, len(whole), 7):  # one bit wrong: other numbers perhaps, never an error
        path.write_bytes(whole[:k] + bytes([whole[k] ^ 16]) + whole[k + 1 :])
        held(path, key("a"))
    path.write_bytes(whole[:40])
    assert held(path, key("a")) is None
    with pytest.raises(TypeError, match="plain arrays"):
        keep(path, key("a"), {"x": [object()]})


@dataclass(frozen=True)
class Settings:
    """A constant and what it is added to."""

    offset: float = 0.0
    fault: bool = False


computed: list[str] = []


def part(name: str, offset: float, fault: bool) -> dict[str, Any]:
    computed.append(name)
    if fault:
        raise ArithmeticError("no number")
    return {"value": 1.0 + offset}


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A claim of two parts."""
    claim = ModuleType("toy", "One is one.\n\nEquation 1 & 2: 1 = 1.")
    claim.QUICK, claim.FULL = Settings(), Settings(offset=1e-9)  # type: ignore[attr-defined]
    claim.SABOTAGES = {"one more": Settings(offset=1.0)}  # type: ignore[attr-defined]
    claim.parts = lambda s: {n: partial(part, n, s.offset, s.fault and n == "b") for n in "ab"}
    claim.judge = lambda s, data: [Verdict(n, float(data[n]["value"]), 1.0, 1e-6) for n in "ab"]

    def draw(s: Settings, data: Any) -> dict[str, Any]:
        from matplotlib.figure import Figure

        return {"nothing": Figure(figsize=(1, 1))}

    claim.draw = draw  # type: ignore[attr-defined]
    monkeypatch.setattr(suite, "module", lambda name: claim)
    monkeypatch.setattr("validation.report.module", lambda name: claim)
    computed.clear()
    yield claim


def test_finished_parts_are_kept_and_judged_again_without_computing(
    toy: Any, tmp_path: Path
) -> None:
    (empty,) = run(["toy"], True, tmp_path, stored=True)
    assert empty.outcome == "not computed" and empty.missing == ["a", "b"] and computed == []
    toy.QUICK = Settings(fault=True)
    (stopped,) = run(["toy"], True, tmp_path)
    assert computed == ["a", "b"] and list(stopped.failed) == ["b"] and stopped.outcome == FAILS
    assert "no number" in table([stopped])
    toy.QUICK = Settings()
    (outcome,) = run(["toy"], True, tmp_path)
    assert outcome.outcome == HOLDS and len(outcome.pictures) == 1
    before = list(computed)
    (again,) = run(["toy"], True, tmp_path, stored=True)
    assert again.outcome == HOLDS and computed == before
    run(["toy"], True, tmp_path, fresh=True)
    assert computed == [*before, "a", "b"]


def test_broken_inputs_are_caught_only_by_verdicts(toy: Any, tmp_path: Path) -> None:
    (outcome,) = run(["toy"], True, tmp_path, sabotage=True)
    assert outcome.outcome == HOLDS and outcome.caught
    toy.SABOTAGES = {"not broken at all": Settings(), "one more": Settings(offset=1.0)}
    (outcome,) = run(["toy"], True, tmp_path, sabotage=True)
    assert not outcome.caught and "not caught: not broken at all" in table([outcome])
    toy.SABOTAGES = {"an exception": Settings(fault=True)}
    assert not run(["toy"], True, tmp_path, sabotage=True)[0].caught


def test_several_processes_give_the_same(tmp_path: Path) -> None:
    names = {"space finite volumes, face", "space finite volumes, sg"}
    schemes = suite.module("schemes")
    tasks = {
        jobs: suite.tasks(
            schemes.parts(schemes.Settings(tuple(n[6:] for n in sorted(names)), (), ())),
            tmp_path / jobs,
        )
        for jobs in "12"
    }
    for jobs, some in tasks.items():
        assert suite.compute([some[n] for n in sorted(names)], int(jobs), False) == {}
    for name in names:
        one, two = (held(some[name].path, some[name].key) for some in tasks.values())
        assert one is not None and two is not None
        np.testing.assert_array_equal(one[0]["errors"], two[0]["errors"])


def test_the_report_stands_alone(toy: Any, tmp_path: Path) -> None:
    outcomes = run(["toy"], True, tmp_path, sabotage=True)
    write(tmp_path / "report.html", outcomes, "quick", 1.0)
    page = (tmp_path / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', page), "nothing is loaded from elsewhere"
    for text in (
        "One is one",
        "Equation 1 &amp; 2",
        "holds",
        "one more",
        "offset",
        "numba",
        "data:image/png;base64",
    ):
        assert text in page


def test_an_open_claim_is_told_apart(toy: Any) -> None:
    assert "not computed" in table([Outcome("toy", Settings(), missing=["a"])])
    assert "inconclusive" in table([Outcome("toy", Settings())])


def test_the_command_knows_its_claims() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "validation", "no_such_claim"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 2
    assert all(claim in shown.stderr for claim in CLAIMS)
    with pytest.raises(SystemExit):
        main(["schemes", "--jobs", "0"])
