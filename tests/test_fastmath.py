"""Our own sine, cosine, exponential and logarithm against values of 40 digits, over the whole
range.
"""

import ast
import math
from functools import cache
from pathlib import Path

import mpmath
import numpy as np
import pytest
from numba import njit

from meanfield import fastmath, jit
from meanfield.particles import noise
from tests.vectors import arithmetic, needs_vectors

PACKAGE = Path(jit.__file__).parent


NAMES = ("sin", "cos", "exp", "log", "exp_moderate", "tanh", "sinh", "cosh")


@cache
def compiled(name, *constants):
    """A loop over a function of ours."""
    f = getattr(fastmath, name)

    @njit(fastmath=False, error_model="numpy")
    def loop(x, out):
        for i in range(len(x)):
            out[i] = f(x[i], *constants)

    return loop


def values(which, x, *constants):
    x = np.asarray(x, dtype=float)
    out = np.empty(len(x))
    compiled(which if isinstance(which, str) else NAMES[which], *constants)(x, out)
    return out


def off(got, exact, x):
    """|got - exact| with exact to 40 digits."""
    with mpmath.workdps(40):
        return np.array(
            [float(abs(mpmath.mpf(g) - exact(mpmath.mpf(v)))) for g, v in zip(got, x, strict=True)]
        )


def test_short_exponential_has_the_bits_of_the_long_one():
    least = -708.3964185322641
    edges = [0.0, -0.0, 1e-300, least, np.nextafter(least, 0), np.nextafter(least, -800), -1e308]
    x = np.concatenate([np.linspace(-760, 700, 20_001), edges, [-np.inf, np.nan]])
    np.testing.assert_array_equal(values("exp_below", x), values("exp", x))


def test_least_most_and_bits_are_those_of_python_and_numpy():
    @njit
    def every(a, b):
        return jit.smaller(a, b), jit.larger(a, b), jit.bits(a), jit.from_bits(jit.bits(a))

    for kind, word in ((np.float64, np.int64), (np.float32, np.int32)):
        for a in (kind(v) for v in (0.0, -0.0, 1.5, -np.inf, np.nan)):
            for b in (kind(v) for v in (-0.0, 0.0, 2.5, np.nan)):
                low, high, bits, same = map(np.asarray, every(a, b))
                got = low.astype(kind), high.astype(kind), bits.astype(word), same.astype(kind)
                for found, asked in zip(got, (min(a, b), max(a, b), a, a), strict=True):
                    assert found.tobytes() == asked.tobytes()


def phases():
    rng = np.random.default_rng(1)
    near = np.arange(-400, 401) * (np.pi / 4)
    return np.concatenate(
        [rng.uniform(-4, 4, 4000), rng.uniform(-1e3, 1e3, 2000), rng.uniform(-1e6, 1e6, 4000), near,
         np.nextafter(near, np.inf), 10.0 ** rng.uniform(-300, 0, 500), [0.0]]
    )  # fmt: skip


@pytest.mark.parametrize("which, exact", [(0, mpmath.sin), (1, mpmath.cos)])
def test_sine_and_cosine(which, exact):
    x = phases()
    assert off(values(which, x), exact, x).max() < 2.5e-16


@pytest.mark.parametrize("which, exact", [(0, mpmath.sin), (1, mpmath.cos)])
def test_large_phases_are_off_by_one_rounding_of_the_phase(which, exact):
    x = 10.0 ** np.random.default_rng(2).uniform(6, 14, 3000)
    assert (off(values(which, x), exact, x) / np.spacing(x)).max() < 1.1


def test_small_sines_keep_their_relative_error():
    x = 10.0 ** np.random.default_rng(3).uniform(-300, -1, 1000)
    assert (off(values(0, x), mpmath.sin, x) / x).max() < 2.5e-16


def test_exponential():
    rng = np.random.default_rng(4)
    x = np.concatenate(
        [
            rng.uniform(-708.39, 709.78, 4000),
            rng.uniform(-2, 2, 4000),
            [0.0, 709.78271289338, -708.3964185322],
        ]
    )
    with mpmath.workdps(40):
        size = np.array([np.spacing(float(mpmath.exp(mpmath.mpf(v)))) for v in x])
    assert (off(values(2, x), mpmath.exp, x) / size).max() < 1.5


def test_moderate_exponential():
    rng = np.random.default_rng(6)
    x = np.concatenate(
        [rng.uniform(-700, 700, 4000), rng.uniform(-2, 2, 4000), [0.0, 700.0, -700.0]]
    )
    with mpmath.workdps(40):
        size = np.array([np.spacing(float(mpmath.exp(mpmath.mpf(v)))) for v in x])
    assert (off(values(4, x), mpmath.exp, x) / size).max() < 1.5
    assert values(4, [0.0, -0.0]).tolist() == [1.0, 1.0] and np.isnan(values(4, [np.nan])).all()


def test_its_polynomial_is_the_economised_series():
    """Chebyshev's coefficients of (e^r - 1 - r)/r^2 on |r| <= log(2)/2, by 40 digits, back to
    powers of r.
    """
    h, n = np.log(2.0) / 2, 40
    with mpmath.workdps(40):
        nodes = [mpmath.cos(mpmath.pi * (k + mpmath.mpf(0.5)) / n) for k in range(n)]
        values_there = [(mpmath.exp(h * s) - 1 - h * s) / (h * s) ** 2 for s in nodes]
        waves = [[mpmath.cos(j * mpmath.acos(s)) for s in nodes] for j in range(10)]
        chebyshev = [float(2 * mpmath.fdot(wave, values_there) / n) for wave in waves]
    chebyshev[0] /= 2
    powers = np.polynomial.chebyshev.cheb2poly(chebyshev) / h ** np.arange(10)
    ours = fastmath.ECONOMISED
    np.testing.assert_allclose(
        ours * h ** np.arange(2, 12), powers * h ** np.arange(2, 12), rtol=0, atol=1e-17
    )


@pytest.mark.parametrize("which, exact", [(5, mpmath.tanh), (6, mpmath.sinh), (7, mpmath.cosh)])
def test_hyperbolic_functions_to_their_relative_error(which, exact):
    rng = np.random.default_rng(7)
    tiny = 10.0 ** rng.uniform(-300, 0, 2000)
    x = np.concatenate(
        [
            rng.uniform(-2, 2, 3000),
            rng.uniform(-30, 30, 2000),
            rng.uniform(-709, 709, 1000),
            tiny,
            -tiny,
        ]
    )
    with mpmath.workdps(40):
        size = np.array([abs(float(exact(mpmath.mpf(v)))) for v in x])
    assert (off(values(which, x), exact, x) / size).max() < 4e-16
    far = {5: [1, -1, 1], 6: [np.inf, -np.inf, np.inf], 7: [np.inf, np.inf, np.inf]}[which]
    assert values(which, [np.inf, -np.inf, 800.0]).tolist() == far
    assert np.isnan(values(which, [np.nan])).all() and values(which, [0.0]).tolist() == [
        float(which == 7)
    ]


@pytest.mark.parametrize("p", [-1.3, 0.2, 1.7])
def test_powers(p):
    x = 10.0 ** np.random.default_rng(8).uniform(-12, 12, 3000)
    with mpmath.workdps(40):
        size = np.array([float(mpmath.mpf(v) ** mpmath.mpf(p)) for v in x])
    error = off(values("power", x, p), lambda v: v ** mpmath.mpf(p), x) / size
    assert (error / (1 + np.abs(p * np.log(x)))).max() < 4e-16


def test_logarithm():
    rng = np.random.default_rng(5)
    x = np.concatenate(
        [10.0 ** rng.uniform(-307, 308, 4000), rng.uniform(0.5, 2, 4000),
         1 + rng.uniform(-1e-6, 1e-6, 500),
         [1.0, 2.0**-1022, np.finfo(float).max]]
    )  # fmt: skip
    size = np.abs(np.log(x))
    error = off(values(3, x), mpmath.log, x)
    assert error[size == 0].max() == 0
    assert (error[size > 0] / size[size > 0]).max() < 4e-16


def test_the_ends_of_the_range():
    big = np.finfo(float).max
    assert values(2, [np.inf, -np.inf, 710.0, big, -746.0, -big]).tolist() == [
        np.inf,
        0,
        np.inf,
        np.inf,
        0,
        0,
    ]
    assert values(2, [0.0, -0.0]).tolist() == [1.0, 1.0]
    assert values(3, [0.0, np.inf, 1.0]).tolist() == [-np.inf, np.inf, 0.0]
    assert np.isnan(values(3, [-1.0, np.nan, -np.inf])).all()
    assert np.isnan(values(2, [np.nan])).all() and np.isnan(values(0, [np.nan, np.inf])).all()


@needs_vectors
@pytest.mark.parametrize("which", range(8))
def test_loops_run_in_vectors(which):
    """Packed multiplications in the machine code."""
    loop = compiled(NAMES[which])
    loop(np.ones(64), np.empty(64))
    assert arithmetic(loop)[0] > 10


def decorators():
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                for d in node.decorator_list:
                    called = d.func if isinstance(d, ast.Call) else d
                    name = getattr(called, "attr", getattr(called, "id", ""))
                    if getattr(getattr(called, "value", None), "id", "") == "cuda":
                        continue  # kept nowhere, and takes nobody's fastmath
                    yield path, node.name, name, d


def test_every_kernel_is_compiled_in_one_way():
    """A function without fastmath of its own takes its caller's, and is kept on disk that way."""
    found = list(decorators())
    assert sum(name == "kernel" for _, _, name, _ in found) > 100
    wrong = [
        (p.name, f, n)
        for p, f, n, _ in found
        if n in ("njit", "jit", "vectorize", "guvectorize", "generated_jit")
    ]
    assert wrong == []
    for path in sorted(PACKAGE.rglob("*.py")):
        alone = path.name in ("jit.py", "parts.py")
        assert alone or "import njit" not in path.read_text(encoding="utf-8"), path


SCALAR = (
    "sqrt",
    "sin",
    "cos",
    "exp",
    "expm1",
    "floor",
    "rint",
    "arcsin",
    "arctan2",
    "log2",
    "isfinite",
    "copysign",
)
SCALAR += ("arccos", "arctan", "ceil", "cosh", "log", "sign", "sinh", "tanh")
SCALAR += ("searchsorted", "int32", "int64", "uint64", "float32", "float64")
ROOMS = ("math", "fastmath", "lowrank", "spheres", "spherical", "doubles", "singles", "shifts")


def test_kernels_that_count_no_references_call_nothing_that_makes_arrays():
    """numba's x.max() makes one, and compiles or not by what was compiled before it in the same
    process.
    """
    wrong = []
    for path, name, decorator, d in decorators():
        counted = isinstance(d, ast.Call) and any(
            k.arg == "counted" and ast.unparse(k.value) == "True" for k in d.keywords
        )
        if decorator != "kernel" or counted:
            continue
        body = next(
            n
            for n in ast.parse(path.read_text(encoding="utf-8")).body
            if getattr(n, "name", "") == name
        )
        for call in (
            n.func
            for n in ast.walk(body)
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
        ):
            room = ast.unparse(call.value)
            if not (
                room in ROOMS
                or call.attr in ("view", "reshape")
                or (room == "np" and call.attr in SCALAR)
            ):
                wrong.append((path.name, name, ast.unparse(call)))
    assert wrong == []


def test_fastmath_is_set_by_name():
    assert noise.fill.targetoptions["fastmath"] is False
    assert fastmath.sincos.targetoptions["fastmath"] is False
    assert math.isclose(float(fastmath.sincos(1.0)[0]), math.sin(1.0), rel_tol=1e-15)
