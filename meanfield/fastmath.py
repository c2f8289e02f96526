"""Elementary functions without branches or tables, so that loops over them vectorise.

numba ships no vector mathematics library any more, and a call of the C library for every number costs
ten times as much. Arguments are reduced as in Cody and Waite, "Software Manual for the Elementary
Functions" (1980); the polynomials are Taylor's, cut below 5e-17. Products are added in one
rounding where `fma` says so and nowhere else: left to the compiler, the same function would round one way
in one caller and another way in the next. Nothing may be reordered.

Bounds, tested against correctly rounded values: `sincos` 2.5e-16 absolute for |x| <= 1e6, beyond that as if
x were off by one rounding; `exp` and `exp_moderate` 1.5 units in the last place (and 0 below the normal numbers);
`log`, `tanh`, `sinh`, `cosh` 4e-16 relative; `power` 4e-16 (1 + |p log x|) relative. Outside the domain:
exp(+-inf) = inf, 0; log 0 = -inf, log of a negative number is not a number.
Those in single precision, named ...32: 1e-7 absolute for |x| <= 1e4, 1.5 units in the last place, 2e-7 relative.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from meanfield.jit import fma, kernel

# The bits of sqrt(1/2), and those of a mantissa.
_HALF_ROOT = int(np.float64(math.sqrt(0.5)).view(np.int64))
_MANTISSA = (1 << 52) - 1

# pi/2 = _P1 + _P2 with 33 bits in _P1, so that small multiples of it are exact; log 2 likewise.
_P1 = float.fromhex("0x1.921fb544p+0")
_P2 = float.fromhex("0x1.0b4611a626331p-34")
_L1 = float.fromhex("0x1.62e42feep-1")
_L2 = float.fromhex("0x1.a39ef35793c76p-33")
ROUND = 6755399441055744.0  # 1.5 * 2^52: adding and subtracting it rounds to a whole number
_ROUND_BITS = int(np.float64(ROUND).view(np.int64))

_E2, _E3, _E4, _E5 = map(
    float.fromhex,
    (
        "0x1.0000000000001p-1",
        "0x1.5555555555557p-3",
        "0x1.5555555553d67p-5",
        "0x1.11111111100dfp-7",
    ),
)
_E6, _E7, _E8 = map(
    float.fromhex, ("0x1.6c16c1788a24fp-10", "0x1.a01a01abe6549p-13", "0x1.a019b913e6e77p-16")
)
_E9, _E10, _E11 = map(
    float.fromhex, ("0x1.71de0236eabcbp-19", "0x1.28917d444b49fp-22", "0x1.af4dde4b9be8cp-26")
)
_MOST, _LEAST = (
    709.782712893384,
    -708.3964185322641,
)  # log of the largest and of the least normal number
_NORMAL = 2.0**-1022


@kernel
def turned(r: float, q: float) -> tuple[float, float]:
    """(sin, cos) of r + q pi/2 for |r| <= pi/4 and a whole number q."""
    z = r * r
    s = -1 / 1307674368000.0
    s = fma(s, z, 1 / 6227020800.0)
    s = fma(s, z, -1 / 39916800.0)
    s = fma(s, z, 1 / 362880.0)
    s = fma(s, z, -1 / 5040.0)
    s = fma(s, z, 1 / 120.0)
    s = fma(s, z, -1 / 6.0)
    s = fma(r, z * s, r)
    c = 1 / 20922789888000.0
    c = fma(c, z, -1 / 87178291200.0)
    c = fma(c, z, 1 / 479001600.0)
    c = fma(c, z, -1 / 3628800.0)
    c = fma(c, z, 1 / 40320.0)
    c = fma(c, z, -1 / 720.0)
    c = fma(c, z, 1 / 24.0)
    c = fma(z * z, c, fma(-0.5, z, 1.0))
    k = np.float64(q + ROUND).view(np.int64)
    odd = (k & 1) != 0
    sine, cosine = (c, s) if odd else (s, c)
    return (-sine if (k & 2) != 0 else sine), (-cosine if ((k + 1) & 2) != 0 else cosine)


@kernel
def sincos(x: float) -> tuple[float, float]:
    """(sin x, cos x)."""
    q = fma(x, 2 / math.pi, ROUND) - ROUND
    return turned(fma(-q, _P2, fma(-q, _P1, x)), q)


@kernel
def sin(x: float) -> float:
    """sin x."""
    return sincos(x)[0]


@kernel
def cos(x: float) -> float:
    """cos x."""
    return sincos(x)[1]


@kernel
def exp(x: float) -> float:
    """e^x = 2^k e^r with |r| <= log(2)/2."""
    y = min(max(x, _LEAST), _MOST)
    k = fma(y, 1 / math.log(2.0), ROUND) - ROUND
    r = fma(-k, _L2, fma(-k, _L1, y))
    t = 1 / 6227020800.0
    t = fma(t, r, 1 / 479001600.0)
    t = fma(t, r, 1 / 39916800.0)
    t = fma(t, r, 1 / 3628800.0)
    t = fma(t, r, 1 / 362880.0)
    t = fma(t, r, 1 / 40320.0)
    t = fma(t, r, 1 / 5040.0)
    t = fma(t, r, 1 / 720.0)
    t = fma(t, r, 1 / 120.0)
    t = fma(t, r, 1 / 24.0)
    t = fma(t, r, 1 / 6.0)
    t = 1.0 + fma(r * r, fma(r, t, 0.5), r)
    # 2^k in two factors: k may be 1024, for which there is no single one.
    half = fma(k, 0.5, ROUND) - ROUND
    scale = _power(half) * t * _power(k - half)
    scale = math.inf if x > _MOST else scale
    scale = 0.0 if x < _LEAST else scale
    return scale if x == x else x


@kernel
def _from_one(r: float) -> float:
    """e^r - 1 for |r| <= log(2)/2: Taylor's series economised to degree 11 by Chebyshev polynomials, 2e-17 away."""
    t = _E11
    t = fma(t, r, _E10)
    t = fma(t, r, _E9)
    t = fma(t, r, _E8)
    t = fma(t, r, _E7)
    t = fma(t, r, _E6)
    t = fma(t, r, _E5)
    t = fma(t, r, _E4)
    t = fma(t, r, _E3)
    t = fma(t, r, _E2)
    return fma(r * r, t, r)


@kernel
def exp_moderate(x: float) -> float:
    """e^x for |x| <= 700, in half the time of `exp`: the polynomial's exponent takes 2^k in as it is."""
    shifted = fma(x, 1 / math.log(2.0), ROUND)
    k = shifted - ROUND
    r = fma(-k, _L2, fma(-k, _L1, x))
    t = 1.0 + _from_one(r)
    return np.int64(np.float64(t).view(np.int64) + (np.float64(shifted).view(np.int64) << 52)).view(
        np.float64
    )


@kernel
def _power(k: float) -> float:
    """2^k for a whole number -1022 <= k <= 1023."""
    return np.int64((np.float64(k + ROUND).view(np.int64) - (_ROUND_BITS - 1023)) << 52).view(
        np.float64
    )


@kernel
def _exp_minus_one(x: float) -> float:
    """e^x - 1 for |x| <= 700, right near 0 too: 2^k (e^r - 1) + (2^k - 1)."""
    k = fma(x, 1 / math.log(2.0), ROUND) - ROUND
    scale = _power(k)
    return fma(scale, _from_one(fma(-k, _L2, fma(-k, _L1, x))), scale - 1.0)


@kernel
def tanh(x: float) -> float:
    """tanh x = E / (E + 2) with E = e^(2x) - 1."""
    e = _exp_minus_one(2.0 * min(max(x, -22.0), 22.0))
    return e / (e + 2.0) if x == x else x


@kernel
def sinh(x: float) -> float:
    """sinh x = (E + E / (E + 1)) / 2 with E = e^|x| - 1, and the sign of x; infinite where e^|x| nearly is."""
    e = _exp_minus_one(min(abs(x), 709.4))
    found = math.copysign(0.5 * (e + e / (e + 1.0)) if abs(x) <= 709.4 else math.inf, x)
    return found if x == x else x


@kernel
def cosh(x: float) -> float:
    """cosh x."""
    e = exp(abs(x))
    return 0.5 * e + 0.5 / e


@kernel
def power(x: float, p: float) -> float:
    """x^p for x > 0."""
    return exp(p * log(x))


@kernel
def minus_log(u: float) -> float:
    """-log u for normal numbers: u = 2^e m with m in [sqrt(1/2), sqrt 2), log m = 2 artanh((m - 1)/(m + 1))."""
    bits = np.float64(u).view(np.int64) - _HALF_ROOT
    e = np.int32(bits >> 52)
    m = np.int64((bits & _MANTISSA) + _HALF_ROOT).view(np.float64)
    f = (m - 1.0) / (m + 1.0)
    z = f * f
    t = 1 / 21.0
    t = fma(t, z, 1 / 19.0)
    t = fma(t, z, 1 / 17.0)
    t = fma(t, z, 1 / 15.0)
    t = fma(t, z, 1 / 13.0)
    t = fma(t, z, 1 / 11.0)
    t = fma(t, z, 1 / 9.0)
    t = fma(t, z, 1 / 7.0)
    t = fma(t, z, 1 / 5.0)
    t = fma(t, z, 1 / 3.0)
    return -fma(np.float64(e), math.log(2.0), 2.0 * fma(f, z * t, f))


@kernel
def log(x: float) -> float:
    """log x; numbers below the normal ones count as zero."""
    found = -minus_log(x)
    found = math.inf if x == math.inf else found
    found = -math.inf if x < _NORMAL else found
    found = math.nan if x < 0.0 else found
    return found if x == x else x


# -- single precision: constants must be single too, or everything that they meet becomes double -------------------

F: Any = np.float32
_ONE, _TWO, _TEN, _HALF, _NOUGHT, _INF, _NAN = map(
    F, (1.0, 2.0, 10.0, 0.5, 0.0, math.inf, math.nan)
)
_ROUND32, _ROUND_BITS32 = F(12582912.0), int(F(12582912.0).view(np.int32))  # 1.5 * 2^23
# With fma the first part of pi/2 may have all 24 bits: x - q pi/2 is then exact.
_P1_32, _TURNS = F(math.pi / 2), F(2 / math.pi)
_P2_32 = F(math.pi / 2 - float(_P1_32))
_L1_32, _PER_LOG = F(math.log(2.0)), F(1 / math.log(2.0))
_L2_32 = F(math.log(2.0) - float(_L1_32))
_SINE = tuple(F((-1) ** k / math.factorial(2 * k + 1)) for k in (4, 3, 2, 1))
_COSINE = tuple(F((-1) ** k / math.factorial(2 * k)) for k in (5, 4, 3, 2))
_S9, _S7, _S5, _S3 = _SINE
_C10, _C8, _C6, _C4 = _COSINE
_T7, _T6, _T5, _T4, _T3 = (F(1 / math.factorial(k)) for k in (7, 6, 5, 4, 3))
_A9, _A7, _A5, _A3 = F(1 / 9), F(1 / 7), F(1 / 5), F(1 / 3)
_MOST32, _LEAST32, _NORMAL32 = F(88.72283), F(-87.33654), F(2.0**-126)
_HALF_ROOT32, _MANTISSA32 = int(F(math.sqrt(0.5)).view(np.int32)), (1 << 23) - 1


@kernel
def sincos32(x: float) -> tuple[float, float]:
    """(sin x, cos x)."""
    q = fma(x, _TURNS, _ROUND32) - _ROUND32
    r = fma(-q, _P2_32, fma(-q, _P1_32, x))
    z = r * r
    s = fma(fma(fma(_S9, z, _S7), z, _S5), z, _S3)
    s = fma(r, z * s, r)
    c = fma(fma(fma(_C10, z, _C8), z, _C6), z, _C4)
    c = fma(z * z, c, fma(-_HALF, z, _ONE))
    k = np.int32(F(q + _ROUND32).view(np.int32))
    sine, cosine = (c, s) if (k & 1) != 0 else (s, c)
    return (-sine if (k & 2) != 0 else sine), (-cosine if ((k + 1) & 2) != 0 else cosine)


@kernel
def sin32(x: float) -> float:
    """sin x."""
    return sincos32(x)[0]


@kernel
def cos32(x: float) -> float:
    """cos x."""
    return sincos32(x)[1]


@kernel
def _from_one32(r: float) -> float:
    """e^r - 1 for |r| <= log(2)/2."""
    t = fma(fma(fma(fma(_T7, r, _T6), r, _T5), r, _T4), r, _T3)
    return fma(r * r, fma(r, t, _HALF), r)


@kernel
def exp32(x: float) -> float:
    """e^x."""
    y = min(max(x, _LEAST32), _MOST32)
    k = fma(y, _PER_LOG, _ROUND32) - _ROUND32
    r = fma(-k, _L2_32, fma(-k, _L1_32, y))
    t = _ONE + _from_one32(r)
    half = fma(k, _HALF, _ROUND32) - _ROUND32
    scale = _power32(half) * t * _power32(k - half)
    scale = _INF if x > _MOST32 else scale
    scale = _NOUGHT if x < _LEAST32 else scale
    return scale if x == x else x


@kernel
def exp_moderate32(x: float) -> float:
    """e^x for |x| <= 80."""
    shifted = fma(x, _PER_LOG, _ROUND32)
    k = shifted - _ROUND32
    t = _ONE + _from_one32(fma(-k, _L2_32, fma(-k, _L1_32, x)))
    return np.int32(F(t).view(np.int32) + np.int32(F(shifted).view(np.int32) << 23)).view(F)


@kernel
def _power32(k: float) -> float:
    """2^k for a whole number -126 <= k <= 127."""
    return np.int32((F(k + _ROUND32).view(np.int32) - (_ROUND_BITS32 - 127)) << 23).view(F)


@kernel
def log32(x: float) -> float:
    """log x; numbers below the normal ones count as zero."""
    bits = np.int32(F(x).view(np.int32) - _HALF_ROOT32)
    e = F(np.int32(bits >> 23))
    m = np.int32((bits & _MANTISSA32) + _HALF_ROOT32).view(np.float32)
    f = (m - _ONE) / (m + _ONE)
    z = f * f
    t = fma(fma(fma(_A9, z, _A7), z, _A5), z, _A3)
    found = fma(e, _L1_32, _TWO * fma(f, z * t, f))
    found = _INF if x == _INF else found
    found = -_INF if x < _NORMAL32 else found
    found = _NAN if x < _NOUGHT else found
    return found if x == x else x


@kernel
def tanh32(x: float) -> float:
    """tanh x."""
    y = _TWO * min(max(x, -_TEN), _TEN)
    k = fma(y, _PER_LOG, _ROUND32) - _ROUND32
    scale = _power32(k)
    e = fma(scale, _from_one32(fma(-k, _L2_32, fma(-k, _L1_32, y))), scale - _ONE)
    return e / (e + _TWO) if x == x else x
