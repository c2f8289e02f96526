"""Replicas on a graphics processor: in numba's simulator, and as machine code without a device."""

import os
import re
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import meanfield as mf
from meanfield.particles.ensemble import ensemble
from tests.ptx import compiled_to_ptx

# Blocks of few threads, sums of few features at a time: particles and features are no multiple of
# them. The games: modes in two angles that follow one another and that do not; dense and diagonal
# forms; one angle and a sphere, with all features in all costs.
BEGIN = """
import sys
import numpy as np, meanfield as mf
from meanfield.games.bases import QuadraticBasis, TrigBasis
from meanfield.games.lowrank import LowRank
from meanfield.particles.ensemble import ensemble
from meanfield.particles.looks import replicas
replicas.THREADS, replicas.SUMS = 4, 4
rng = np.random.default_rng(0)
def apart(a, b):
    off = 0.0
    for one, other in zip([*a.x, *a.y], [*b.x, *b.y], strict=True):
        gap = one.manifold.distance(one.points, other.points)
        off = max(off, gap.max(), len(one) * abs(one.masses - other.masses).max())
    return off
plane, S, C = mf.Torus(2, 1.0), rng.normal(size=(3, 3)), rng.normal(size=(8, 8))
modes = ([[0, 0], [1, -1], [1, 0], [1, 1], [2, -1]], [[0, 0], [3, 1], [1, 0], [2, -1], [5, 4]])
torus = LowRank(*(TrigBasis(plane, np.array(m)) for m in modes), 0.03 * rng.normal(size=(10, 10)))
ladder = TrigBasis(mf.Torus(1), np.arange(4)[:, None])
mixed = LowRank(ladder, QuadraticBasis(mf.Sphere(2), S + S.T), C)
dense, diagonal = mf.games.polynomial("a", dim=5, seed=0), mf.games.polynomial("b", dim=3, seed=1)
noisy, weighted = mf.Langevin(40.0), mf.WassersteinFisherRao(1.0, 2.0)
how = dict(step=0.01, particles=(5, 9), seed=2**40 + 3, save_every=0.01)
"""

EQUAL = """
runs = [(game, flow, 1) for game in (dense, mixed) for flow in (noisy, weighted)]
runs += [(torus, noisy, 3), (torus, weighted, 1), (diagonal, noisy, 2)]
for game, flow, refine in (*runs, (mixed, mf.MirrorDescent(), 1)):
    here, there = (
        [*ensemble(game, flow, mf.Start(), 0.02, replicas=[1, 3], refine=refine, **how, device=d)]
        for d in ("cpu", "cuda")
    )
    for a, b in zip(here, there, strict=True):
        assert b.provenance["device"] == "cuda" and "device" not in a.provenance
        off = [apart(a, b)]
        off += [abs(a.diagnostics[k] - b.diagnostics[k]).max() for k in ("value", "displacement")]
        off += [abs(u - v).max() for u, v in zip(a.state["weight_sums"], b.state["weight_sums"])]
        moved = a.diagnostics["displacement"].max() + abs(a.x[-1].masses - 0.2).max()
        print(max(off), apart(*here), moved)
"""

SAME = """
import meanfield.particles.on_device as on_device
def same(u, v):
    return all(map(same, u, v)) if isinstance(u, list | tuple) else np.array_equal(u, v)
given = torus, weighted, mf.Start()
one, two, last = ensemble(*given, 0.02, replicas=[4, 1, 4], device="cuda", **how)
on_device.SAVED = 1  # one replica after another
alone = [*ensemble(*given, 0.02, replicas=[4, 1, 4], device="cuda", **how)]
for a, b in zip((one, two, last), alone, strict=True):
    assert apart(a, b) == 0 and len(a) == 3
assert apart(one, last) == 0 < apart(one, two)
half = mf.simulate(*given, 0.01, replica=1, device="cuda", **how)
whole = mf.simulate(*given[:2], None, 0.02, resume=half)
assert whole.provenance["device"] == "cuda"
for a, b in ((whole.state, two.state), (whole.diagnostics, two.diagnostics)):
    assert set(a) == set(b) and all(same(a[key], b[key]) for key in b)
early = [*ensemble(*given, 0.02, replicas=2, device="cuda", **how, stop=lambda t, x, y: t > 0)]
assert [len(run) for run in early] == [2, 2]
print("same")
"""


def simulated(text):
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + text],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_replicas_in_the_simulator_equal_those_on_the_processor():
    rows = [[float(v) for v in line.split()] for line in simulated(EQUAL)]
    assert len(rows) == 16
    for off, between, moved in rows:
        assert off < 1e-12 and between > 0.1 and moved > 1e-4


def test_replicas_have_the_same_bits_in_any_company_and_when_resumed():
    assert simulated(SAME) == ["same"]


def test_kernels_compile_with_single_precision_rounded_as_on_the_processor(monkeypatch):
    """PTX for compute capability 8.0, which asks for no device."""
    from numba import boolean, float64, int64, types

    from meanfield.particles.looks.device_pairs import push
    from meanfield.particles.looks.device_steps import Moved
    from meanfield.particles.looks.replicas import Side, march, weigh

    fake = SimpleNamespace(compute_capability=(8, 0))
    monkeypatch.setattr("numba.cuda.dispatcher.get_current_device", lambda: fake)
    flags, whole = [int64, boolean, boolean, float64, int64, *[float64] * 3], int64[::1]
    rows, blocks = float64[:, ::1], float64[:, :, ::1]
    fixed = [rows, float64[::1], whole, whole, rows, float64[::1]]

    def compiled(kernel, kind, members, *given):
        two = 2 * (types.NamedTuple(members, kind),)
        return compiled_to_ptx(kernel.py_func, (*two, *given))

    moved = [*flags, blocks, rows, rows, rows, blocks]
    words = [int64] * 4
    moves = compiled(push, Moved, moved, blocks, blocks, rows, rows, *words)
    whole_steps = compiled(march, Side, [*moved, *fixed, rows, rows], whole, *words)
    for ptx in (moves, whole_steps):
        found = set(re.findall(r"\b[a-z.]+f32\b", ptx))
        assert {"sqrt.rn.f32", "div.rn.f32", "fma.rn.f32"} <= found
        assert not re.search(r"(sqrt|div|rcp)\.(approx|full)\S*f32", ptx)
    assert "bar.sync" not in moves
    for ptx in (whole_steps, compiled(weigh, Moved, moved, boolean)):
        assert re.search(r"\.shared \.align 8 \.b8 \S+\[32768\]", ptx) and "bar.sync" in ptx


def test_launches_of_few_blocks_are_no_warning():
    from meanfield.particles.looks.cuda import sized
    from meanfield.particles.looks.replicas import march

    with pytest.warns(Warning, match="Grid size 1"):
        march[1, 128]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sized(march, 1, 128)


def begun(game, flow=None, **options):
    how = dict(step=0.01, particles=9, device="cuda", replicas=2)
    return list(ensemble(game, flow or mf.Langevin(10.0), mf.Start(), 0.02, **(how | options)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheme": "strang"}, 'moves low-rank games by scheme "euler".*not by "strang"'),
        ({"precision": "float32"}, 'in precision "float64", not by "euler" in "float32"'),
        ({"flow": mf.AveragedLangevin(10.0)}, "steps of the paper's flows, not"),
        ({"threads": 2}, "leave threads and executor out"),
        ({"stepp": 0.1}, "has no argument 'stepp'; did you mean 'step'"),
    ],
    ids=["scheme", "precision", "flow", "threads", "name"],
)
def test_what_devices_do_not_move_is_refused(options, message, monkeypatch):
    from numba import cuda

    monkeypatch.setattr(cuda, "is_available", lambda: True)
    with pytest.raises((ValueError, TypeError), match=message):
        begun(mf.games.oscillator(), **options)


def test_without_a_device_the_first_replica_says_what_to_do(monkeypatch):
    from numba import cuda

    monkeypatch.setattr(cuda, "is_available", lambda: False)
    for run in (begun, lambda game: mf.simulate(game, mf.Langevin(10.0), device="cuda")):
        with pytest.raises(RuntimeError, match="needs an NVIDIA graphics processor"):
            run(mf.games.oscillator())


def test_a_target_that_does_not_fit_numpy_is_told(monkeypatch):
    """numba-cuda with numpy 2.5: its first kernel would look for np.row_stack."""
    from numba import cuda

    def missing(name):
        raise AttributeError(f"module 'numpy' has no attribute 'row_stack' ({name})")

    monkeypatch.setattr(cuda, "implementation", "NVIDIA", raising=False)
    monkeypatch.setattr("meanfield.particles.looks.cuda.import_module", missing)
    with pytest.raises(ImportError, match=rf"row_stack.*numpy is {np.__version__}.*\[cuda\]"):
        begun(mf.games.oscillator())
