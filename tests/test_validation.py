"""The claims in quick mode: every verdict holds, and a verdict can fail."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from validation.verdicts import CLAIMS, Verdict, run

# The comparisons and the kills take minutes even when quick; their parts have tests of their own.
QUICK = ("exact_answers", "w2_circle", "oscillator", "schemes", "concentration")


@pytest.mark.parametrize("claim", QUICK)
def test_every_verdict_of_a_claim_holds(claim: str, tmp_path: Path) -> None:
    assert run([claim], quick=True, out=tmp_path) == 0
    assert list(tmp_path.glob("*.png")), "every claim draws"


def test_a_verdict_can_fail() -> None:
    assert Verdict("one", 1.0, 1.0, 0.0).holds
    assert not Verdict("off", 1.0 + 2e-6, 1.0, 1e-6).holds
    assert not Verdict("nan", np.nan, 1.0, 1e6).holds


def test_the_command_knows_its_claims() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "validation", "no_such_claim"], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 2
    assert all(claim in shown.stderr for claim in CLAIMS)
