"""A process that compiles the kernels and one that finds them on disk give the same bits, and so do
kernels compiled in parts and the ordinary way.
"""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import hashlib, sys
import meanfield.jit as jit
jit.PARTS = jit.PARTS and sys.argv[1] == "parts"
import meanfield as mf
start = mf.Start(mf.concentrated(1.1, std=0.2), mf.concentrated(0.0, std=0.2))
for game, flow, start in (
    (mf.games.polynomial("a", 3), mf.Langevin(25.0), mf.Start()),
    (mf.games.oscillator(3.0), mf.WassersteinFisherRao(1.0, 0.5), start),
):
    run = mf.simulate(game, flow, start, 0.1, step=0.005, particles=333)
    for array in (run[-1][0].points, run[-1][0].masses):
        print(hashlib.sha256(array.tobytes()).hexdigest())
"""


def ran(folder: Path, how: str) -> str:
    """What the script printed, its compiled kernels being kept in a folder."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, how],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder)},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def test_cold_and_warm_and_ordinarily_compiled_processes_agree_to_the_bit(tmp_path: Path) -> None:
    cold, other = (ran(tmp_path / how, how) for how in ("parts", "ordinary"))
    kept = [len(list((tmp_path / how).rglob("*.nbc"))) for how in ("parts", "ordinary")]
    assert 0 < kept[0] < kept[1], "the first process compiled and kept its kernels"
    assert cold == ran(tmp_path / "parts", "parts") == other


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
