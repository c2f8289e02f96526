"""Pair loops on a graphics processor: in numba's simulator, as machine code without a device, and
on one at hand.
"""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

import meanfield as mf
from meanfield.games.bases import TrigBasis
from meanfield.games.formulas.cuda import device_kernel, device_source
from meanfield.games.lowrank import LowRank
from tests.ptx import compiled_to_ptx

CIRCLE = "exp(cos(x - y)) + 0.3*sin(2*x)*cos(y) + sqrt(2 + cos(2*x - y + 0.3)) + tanh(cos(y))**3"
SPHERE = "exp(x1*y2) + sin(x3 - 2*y1) + abs(2 + y1)**1.5 + x2**7 + atan(y3*x1) + log(2 + y1*x2)"

# More points than a tile has, and than a block of threads has; a resumed run of few.
RUNS = f"""
import numpy as np, meanfield as mf
from meanfield.particles.looks.cuda import Cuda
from meanfield.particles.looks import replicas
replicas.THREADS = 8  # of the blocks that move particles; those over pairs stay as they are
rng = np.random.default_rng(0)
def farthest(a, b):
    return max(abs(u - v).max() for u, v in zip(a, b, strict=True))
for text, space in (({CIRCLE!r}, mf.Torus(1)), ({SPHERE!r}, mf.Sphere(2))):
    game = mf.games.expression(text, space, space)
    for single, m, bound in ((False, 131, 1e-12), (True, 9, 2e-6)):
        x, y, wx, wy = space.sample(m, rng), space.sample(140, rng), rng.random(m), rng.random(140)
        given = x, y, wx / wx.sum(), wy / wy.sum()
        other = Cuda(game, single).both_forces(*given)
        for here, there in zip(game.both_forces(*given), other, strict=True):
            print(farthest(here, there) / bound / abs(here[0]).max(), abs(here[1]).max())
options = dict(step=0.01, particles=(3, 9), progress=False)
for text, space, refine in (({CIRCLE!r}, mf.Torus(1), 2), ({SPHERE!r}, mf.Sphere(2), 1)):
    game = mf.games.expression(text, space, space)
    for flow in (mf.Langevin(10.0), mf.WassersteinFisherRao(1.0, 2.0)):
        runs = [
            mf.simulate(game, flow, mf.Start(), 0.03, **options, refine=refine, device=device)
            for device in ("cpu", "cuda")
        ]
        apart = max(farthest([u.points, u.masses], [v.points, v.masses])
                    for a, b in zip(*runs, strict=True) for u, v in zip(a, b, strict=True))
        apart = max(apart, farthest(*(run.state["weight_sums"] for run in runs)))
        print(apart / 1e-12, 10 * runs[0].diagnostics["displacement"].max())
here = mf.simulate(game, mf.Langevin(10.0), mf.Start(), 0.02, **options)
there = mf.simulate(game, mf.Langevin(10.0), mf.Start(), 0.01, **options, device="cuda")
there = mf.simulate(game, mf.Langevin(10.0), None, 0.02, resume=there)
assert there.provenance["device"] == "cuda" and "device" not in here.provenance
points = lambda run, k: [m.points for m in run[k]]
apart = farthest(points(here, -1), points(there, -1))
print(apart / 1e-12, farthest(points(here, -1), points(here, 0)))
print(abs(here.diagnostics["value"] - there.diagnostics["value"]).max() / 1e-12, 1.0)
how = dict(device="cuda", precision="float32")
begin = game, mf.Langevin(10.0), mf.Start()
half, whole = (mf.simulate(*begin, time, **options, **how) for time in (0.01, 0.02))
there = mf.simulate(game, mf.Langevin(10.0), None, 0.02, resume=half)
assert there.provenance["device"] == "cuda" and there.provenance["precision"] == "float32"
assert farthest(points(whole, -1), points(there, -1)) == 0
assert farthest(points(here, -1), points(there, -1)) > 0
apart = farthest(points(here, -1), points(there, -1))
print(apart / 1e-6, farthest(points(there, -1), points(half, 0)))
print(abs(game.value(*there[-1]) - there.diagnostics["value"][-1]) / 1e-12, 1.0)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MEANFIELD_CACHE", str(tmp_path_factory.getbasetemp() / "cuda"))


def test_runs_in_the_simulator_equal_those_on_the_processor():
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUNS], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = [[float(v) for v in line.split()] for line in done.stdout.splitlines()]
    assert len(lines) == 16
    for difference, size in lines:
        assert difference < 1 and size > 0.1


def loop_around(ptx, what):
    """The lines of the innermost loop that this stands in: from the label to the jump back."""
    lines = ptx.splitlines()
    labels = {line[:-1]: k for k, line in enumerate(lines) if line.startswith("$L")}
    loops = []
    for end, line in enumerate(lines):
        jump = re.search(r"\bbra(?:\.uni)?\s+(\$L\w+);", line)
        begin = labels.get(jump[1], end) if jump else end
        if begin < end and any(what in inner for inner in lines[begin:end]):
            loops.append(lines[begin:end])
    return "\n".join(min(loops, key=len))


@pytest.mark.parametrize(("text", "space"), [("exp(cos(x - y))", None), (SPHERE, mf.Sphere(2))])
@pytest.mark.parametrize("p", [0, 1])
@pytest.mark.parametrize("bits", [64, 32])
def test_loops_over_pairs_compile_without_calls_or_memory_of_their_own(text, space, p, bits):
    from numba import float64, int64

    game = mf.games.expression(text, space, space)
    look, threads = device_kernel(game, p, bits == 32)
    shared = int(re.search(r"shared\.array\(\((\d+), ", device_source(game, p, bits == 32))[1])
    rows = float64[:, ::1]
    ptx = compiled_to_ptx(look, (rows, rows, float64[::1], int64, float64[:, :, ::1]))
    size = bits // 8
    tile = rf"\.shared \.align {size} \.b8 \S+\[{size * threads * shared}\]"
    assert re.search(tile, ptx), "tiles are shared by a block"
    before, loop, _ = re.split(r"bar\.sync", ptx)
    assert len(re.findall(rf"ld\.shared\.\S*f{bits}", loop)) >= shared
    assert loop.count(f"fma.rn.f{bits}") > 10
    assert not re.search(r"\bcall|\.local|\.global\.f", loop)
    assert "call" in before, "sines of one player's angles are taken before the loop"
    if bits == 32:
        around = loop_around(loop, "ld.shared")
        assert ".f64" not in around and "fma.rn.f32" in around
        assert "add.f64" in loop, "sums over a tile are added up in double precision"


def test_one_tile_holds_what_all_threads_of_a_block_may_share():
    def sums(terms):
        return mf.games.expression(
            " + ".join(f"exp(sin({k}*y)*cos(x + {k}))" for k in range(1, terms + 1))
        )

    assert [device_kernel(sums(terms), 0)[1] for terms in (40, 60, 150)] == [128, 96, 32]
    with pytest.raises(ValueError, match="more than the threads of a block can share"):
        device_source(sums(200), 0)


class Own(TrigBasis):
    """Features of a user's own."""


def small(game, flow=None, **options):
    return mf.simulate(
        game, flow or mf.Langevin(10.0), mf.Start(), 0.02, step=0.01, particles=9, **options
    )


@pytest.mark.parametrize(
    ("game", "options", "message"),
    [
        (lambda: mf.games.expression(CIRCLE), {"device": "gpu"}, 'device must be "cpu" or "cuda"'),
        (
            lambda: LowRank(*2 * [Own(mf.Torus(1), np.arange(2)[:, None])], np.ones((4, 4))),
            {"device": "cuda"},
            "is low-rank in other features",
        ),
        (
            lambda: mf.games.function(
                lambda x, y: np.cos(x[..., 0] - y[..., 0]), mf.Torus(1), mf.Torus(1)
            ),
            {"device": "cuda"},
            "given by a formula",
        ),
        (
            lambda: mf.games.expression(CIRCLE),
            {"device": "cuda", "flow": mf.Wasserstein(), "scheme": "mirror-prox"},
            'takes "euler" and "strang" steps',
        ),
    ],
    ids=["name", "features", "function", "mirror-prox"],
)
def test_what_has_no_device_form_is_refused(game, options, message):
    with pytest.raises(ValueError, match=message):
        small(game(), **options)


def test_without_a_device_the_message_says_what_to_do(monkeypatch):
    from numba import cuda

    monkeypatch.setattr(cuda, "is_available", lambda: False)
    with pytest.raises(
        RuntimeError, match=r"needs an NVIDIA graphics processor.*meanfield-zerosum\[cuda\]"
    ):
        small(mf.games.expression(CIRCLE), device="cuda")
    monkeypatch.setitem(sys.modules, "numba.cuda", None)
    monkeypatch.delattr(sys.modules["numba"], "cuda")
    with pytest.raises(ImportError, match=r"pip install 'meanfield-zerosum\[cuda\]'"):
        small(mf.games.expression(CIRCLE), device="cuda")


def test_runs_on_a_device_equal_those_on_the_processor():
    from numba import cuda

    if not cuda.is_available():
        pytest.skip("no NVIDIA graphics processor here")
    game = mf.games.expression(SPHERE, mf.Sphere(2), mf.Sphere(2))
    options = dict(step=0.01, particles=(3000, 2000), progress=False)
    runs = [
        mf.simulate(game, mf.Langevin(10.0), mf.Start(), 0.1, **options, device=name)
        for name in ("cpu", "cuda", "cuda")
    ]
    for here, there, again in zip(*(run[-1] for run in runs), strict=True):
        np.testing.assert_allclose(here.points, there.points, rtol=0, atol=1e-12)
        np.testing.assert_array_equal(there.points, again.points)
