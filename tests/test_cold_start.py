"""A process that compiles the kernels and one that finds them on disk give the same bits."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import hashlib, numpy as np, meanfield as mf
digest = hashlib.sha256()
start = mf.Start(x=mf.concentrated(1.1, std=0.2))
circle, sphere = mf.games.oscillator(), mf.games.polynomial("a", dim=3, seed=0)
for game, begin in ((circle, start), (sphere, mf.Start())):
    for flow in (mf.Langevin(25.0), mf.WassersteinFisherRao()):
        run = mf.simulate(game, flow, begin, 0.1, step=0.005, particles=333, scheme="strang")
        for measure in run[-1]:
            digest.update(measure.points.tobytes() + measure.masses.tobytes())
print(digest.hexdigest())
"""


def test_cold_and_warm_processes_agree_to_the_bit(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    cold, warm = (
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    )
    assert list(tmp_path.rglob("*.nbc")), "the first process compiled and kept its kernels"
    assert cold == warm


PLAIN = """
import sys, hashlib, meanfield.jit as jit
jit.PARTS = sys.argv[1] == "parts"
import meanfield as mf
game, flow = mf.games.polynomial("a", 3), mf.Langevin(25.0)
run = mf.simulate(game, flow, mf.Start(), 0.1, step=0.005, particles=333)
print(hashlib.sha256(run[-1][0].points.tobytes()).hexdigest())
"""


def test_kernels_compiled_in_parts_and_the_ordinary_way_agree_to_the_bit(tmp_path: Path) -> None:
    found = [
        subprocess.run(
            [sys.executable, "-c", PLAIN, how],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / how)},
            capture_output=True, text=True, check=True,
        ).stdout
        for how in ("parts", "ordinary")
    ]  # fmt: skip
    kept = [len(list((tmp_path / how).rglob("*.nbc"))) for how in ("parts", "ordinary")]
    assert found[0] == found[1] and 0 < kept[0] < kept[1]


W2 = """
import meanfield as mf
circle = mf.Torus(1)
print(mf.w2(mf.Measure([[1.0]], None, circle), mf.Measure([[2.0]], None, circle)))
"""


def test_without_a_folder_for_compiled_code_it_is_kept_in_memory() -> None:
    """As in containers and on clusters; numba finds no folder that it can write to."""
    nowhere = "from numba.core.caching import *\nFunctionCache._impl_class._locator_classes = []\n"
    ran = subprocess.run(
        [sys.executable, "-c", nowhere + W2], capture_output=True, text=True, check=True
    )
    assert float(ran.stdout) == 1.0
    assert ran.stderr.count("set NUMBA_CACHE_DIR to a folder that can") == 1


def test_without_a_compiler_one_sentence_says_so() -> None:
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", W2], env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 1 and "which NUMBA_DISABLE_JIT switches off; unset it" in ran.stderr
