"""Elementary functions without branches or tables, so that loops over them vectorise.

numba ships no vector mathematics library any more, and a call of the C library for every number
costs ten times as much. Arguments are reduced as in Cody and Waite, "Software Manual for the
Elementary Functions" (1980); the polynomials are Taylor's, cut below 5e-17. Products are added in
one rounding where `fma` and `polynomial` say so and nowhere else: left to the compiler, the same
function would round differently from one caller to the next. Nothing may be reordered.

Bounds, tested against correctly rounded values: `sincos` 2.5e-16 absolute for |x| <= 1e6, beyond
that as if x were off by one rounding; `exp` and `exp_moderate` 1.5 units in the last place (and 0
below the normal numbers); `log`, `tanh`, `sinh`, `cosh` 4e-16 relative; `power`
4e-16 (1 + |p log x|) relative. Outside the domain: exp(+-inf) = inf, 0; log 0 = -inf, log of a
negative number is not a number. Those in single precision, named ...32: 1e-7 absolute for
|x| <= 1e4, 1.5 units in the last place, 2e-7 relative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from meanfield.jit import bits, fma, from_bits, kernel, larger, smaller


def polynomial(*coefficients: float) -> Callable[[float], float]:
    """The function x -> a_0 + x (a_1 + x (a_2 + ...)) for kernels, each step in one rounding.

    It computes in the precision of x.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def value(_: Any, x: Any) -> Any:
        if not isinstance(x, types.Float):
            return None

        def emit(context: Any, builder: Any, _: Any, given: Any) -> Any:
            *lower, total = (context.get_constant(x, float(a)) for a in coefficients)
            for a in reversed(lower):
                total = builder.fma(total, given[0], a)
            return total

        return x(x), emit

    return value  # type: ignore[no-any-return]


def _sine(K: int, T: Any = float) -> Callable[[float], float]:
    """(sin r - r) / r^3 as a polynomial in r^2, up to r^(2 K + 1)."""
    return polynomial(*(T((-1) ** k / math.factorial(2 * k + 1)) for k in range(1, K + 1)))


def _cosine(K: int, T: Any = float) -> Callable[[float], float]:
    """(cos r - 1 + r^2/2) / r^4 as a polynomial in r^2, up to r^(2 K)."""
    return polynomial(*(T((-1) ** k / math.factorial(2 * k)) for k in range(2, K + 1)))


def _exponential(K: int, T: Any = float) -> Callable[[float], float]:
    """(e^r - 1 - r) / r^2, up to r^K."""
    return polynomial(*(T(1 / math.factorial(k)) for k in range(2, K + 1)))


def _artanh(K: int, T: Any = float) -> Callable[[float], float]:
    """(artanh f - f) / f^3 as a polynomial in f^2, up to f^K."""
    return polynomial(*(T(1 / k) for k in range(3, K + 1, 2)))


# The bits of sqrt(1/2), those of a mantissa, and that of the sign.
_HALF_ROOT = int(np.float64(math.sqrt(0.5)).view(np.int64))
_MANTISSA = (1 << 52) - 1
_SIGN = -1 << 63
# pi/2 = _P1 + _P2 with 33 bits in _P1, so that small multiples of it are exact; log 2 likewise.
_P1 = float.fromhex("0x1.921fb544p+0")
_P2 = float.fromhex("0x1.0b4611a626331p-34")
_L1 = float.fromhex("0x1.62e42feep-1")
_L2 = float.fromhex("0x1.a39ef35793c76p-33")
ROUND = 6755399441055744.0  # 1.5 * 2^52: adding and subtracting it rounds to a whole number
_ROUND_BITS = int(np.float64(ROUND).view(np.int64))
# log of the largest and of the least normal number
_MOST, _LEAST, _NORMAL = 709.782712893384, -708.3964185322641, 2.0**-1022
# Taylor's series of (e^r - 1 - r) / r^2 economised to degree 11 by Chebyshev polynomials
ECONOMISED = [
    *map(float.fromhex, ("0x1.0000000000001p-1", "0x1.5555555555557p-3", "0x1.5555555553d67p-5")),
    *map(float.fromhex, ("0x1.11111111100dfp-7", "0x1.6c16c1788a24fp-10", "0x1.a01a01abe6549p-13")),
    *map(float.fromhex, ("0x1.a019b913e6e77p-16", "0x1.71de0236eabcbp-19")),
    *map(float.fromhex, ("0x1.28917d444b49fp-22", "0x1.af4dde4b9be8cp-26")),
]
_SINE, _COSINE, _EXPONENTIAL, _ARTANH = _sine(7), _cosine(8), _exponential(13), _artanh(21)
_SHORT_EXPONENTIAL = polynomial(*ECONOMISED)


@kernel
def sincos_near_zero(r: float) -> tuple[float, float]:
    """(sin r, cos r) for |r| <= pi/4."""
    z = r * r
    return fma(r, z * _SINE(z), r), fma(z * z, _COSINE(z), fma(-0.5, z, 1.0))


@kernel
def turned(s: float, c: float, shifted: float) -> tuple[float, float]:
    """(sin, cos) of r + q pi/2 for s = sin r, c = cos r and a whole number q, as q + ROUND."""
    k = bits(shifted)
    odd = (k & 1) != 0
    sine, cosine = (c, s) if odd else (s, c)
    return _signed(sine, k << 62), _signed(cosine, (k + 1) << 62)


@kernel
def _signed(x: float, k: int) -> float:
    """x, or -x where k < 0; a choice between the two would take another instruction or two."""
    return from_bits(bits(x) ^ (k & _SIGN))


@kernel
def sincos(x: float) -> tuple[float, float]:
    """(sin x, cos x)."""
    shifted = fma(x, 2 / math.pi, ROUND)
    q = shifted - ROUND
    s, c = sincos_near_zero(fma(-q, _P2, fma(-q, _P1, x)))
    return turned(s, c, shifted)


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
    y = smaller(larger(x, _LEAST), _MOST)
    k = fma(y, 1 / math.log(2.0), ROUND) - ROUND
    r = fma(-k, _L2, fma(-k, _L1, y))
    t = 1.0 + fma(r * r, _EXPONENTIAL(r), r)
    # 2^k in two factors: k may be 1024, for which there is no single one.
    half = fma(k, 0.5, ROUND) - ROUND
    scale = _power(half) * t * _power(k - half)
    scale = math.inf if x > _MOST else scale
    scale = 0.0 if x < _LEAST else scale
    return scale if x == x else x


@kernel
def _from_one(r: float) -> float:
    """e^r - 1 for |r| <= log(2)/2, 2e-17 off."""
    return fma(r * r, _SHORT_EXPONENTIAL(r), r)


@kernel
def exp_begun(x: float) -> tuple[float, float]:
    """r and k + ROUND for x = k log 2 + r, from which `exp_ended` goes on."""
    shifted = fma(x, 1 / math.log(2.0), ROUND)
    k = shifted - ROUND
    return fma(-k, _L2, fma(-k, _L1, x)), shifted


@kernel
def exp_ended(r: float, shifted: float) -> float:
    """2^k e^r: k is added to the exponent of the polynomial's value."""
    t = 1.0 + _from_one(r)
    return from_bits(bits(t) + (bits(shifted) << 52))


@kernel
def exp_moderate(x: float) -> float:
    """e^x for |x| <= 700, in half the time of `exp`."""
    r, shifted = exp_begun(x)
    return exp_ended(r, shifted)


@kernel
def exp_below(x: float) -> float:
    """e^x for x <= 700, the bits of `exp` in less time: there 2^k is a normal number."""
    y = larger(x, _LEAST)
    shifted = fma(y, 1 / math.log(2.0), ROUND)
    k = shifted - ROUND
    r = fma(-k, _L2, fma(-k, _L1, y))
    t = 1.0 + fma(r * r, _EXPONENTIAL(r), r)
    found = from_bits(bits(t) + (bits(shifted) << 52))
    found = 0.0 if x < _LEAST else found
    return found if x == x else x


@kernel
def _power(k: float) -> float:
    """2^k for a whole number -1022 <= k <= 1023."""
    return from_bits((bits(k + ROUND) - (_ROUND_BITS - 1023)) << 52)


@kernel
def exp_and_less(x: float) -> tuple[float, float]:
    """e^x, and e^x - 1 right near 0 too, for |x| <= 700: 2^k (e^r - 1) + 2^k, and + (2^k - 1)."""
    k = fma(x, 1 / math.log(2.0), ROUND) - ROUND
    scale, more = _power(k), _from_one(fma(-k, _L2, fma(-k, _L1, x)))
    return fma(scale, more, scale), fma(scale, more, scale - 1.0)


@kernel
def _exp_minus_one(x: float) -> float:
    """e^x - 1 for |x| <= 700."""
    return exp_and_less(x)[1]


@kernel
def tanh(x: float) -> float:
    """tanh x = E / (E + 2) with E = e^(2x) - 1."""
    e = _exp_minus_one(2.0 * smaller(larger(x, -22.0), 22.0))
    return e / (e + 2.0) if x == x else x


@kernel
def sinh(x: float) -> float:
    """sinh x = sign(x) (E + E / (E + 1)) / 2, E = e^|x| - 1; infinite where e^|x| nearly is."""
    e = _exp_minus_one(smaller(abs(x), 709.4))
    found = math.copysign(0.5 * (e + e / (e + 1.0)) if abs(x) <= 709.4 else math.inf, x)
    return found if x == x else x


@kernel
def cosh(x: float) -> float:
    """cosh x."""
    e = exp(abs(x))
    return 0.5 * e + 0.5 / e


@kernel(forceinline=True)
def power(x: float, p: float) -> float:
    """x^p for x > 0."""
    return exp(p * log(x))


@kernel
def log_begun(u: float) -> tuple[float, float]:
    """(m - 1)/(m + 1) and e for normal u = 2^e m, m in [sqrt(1/2), sqrt 2), from which
    `minus_log_ended` goes on.
    """
    b = bits(u) - _HALF_ROOT
    m = from_bits((b & _MANTISSA) + _HALF_ROOT)
    return (m - 1.0) / (m + 1.0), np.float64(np.int32(b >> 52))


@kernel
def minus_log_ended(f: float, e: float) -> float:
    """-log u = -e log 2 - 2 artanh f, f = (m - 1)/(m + 1)."""
    z = f * f
    return -fma(e, math.log(2.0), 2.0 * fma(f, z * _ARTANH(z), f))


@kernel
def minus_log(u: float) -> float:
    """-log u for normal u."""
    f, e = log_begun(u)
    return minus_log_ended(f, e)


@kernel
def log(x: float) -> float:
    """log x; numbers below the normal ones count as zero."""
    found = -minus_log(x)
    found = math.inf if x == math.inf else found
    found = -math.inf if x < _NORMAL else found
    found = math.nan if x < 0.0 else found
    return found if x == x else x


# -- single precision: constants must be single too, or everything that they meet becomes double

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
_SINE32, _COSINE32, _EXPONENTIAL32 = _sine(4, F), _cosine(5, F), _exponential(7, F)
_ARTANH32 = _artanh(9, F)
_MOST32, _LEAST32, _NORMAL32 = F(88.72283), F(-87.33654), F(2.0**-126)
_HALF_ROOT32, _MANTISSA32 = int(F(math.sqrt(0.5)).view(np.int32)), (1 << 23) - 1


@kernel
def sincos32(x: float) -> tuple[float, float]:
    """(sin x, cos x)."""
    q = fma(x, _TURNS, _ROUND32) - _ROUND32
    r = fma(-q, _P2_32, fma(-q, _P1_32, x))
    z = r * r
    s = fma(r, z * _SINE32(z), r)
    c = fma(z * z, _COSINE32(z), fma(-_HALF, z, _ONE))
    k = bits(F(q + _ROUND32))
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
    return fma(r * r, _EXPONENTIAL32(r), r)


@kernel
def exp32(x: float) -> float:
    """e^x."""
    y = smaller(larger(x, _LEAST32), _MOST32)
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
    return from_bits(np.int32(bits(F(t)) + np.int32(bits(F(shifted)) << 23)))


@kernel
def _power32(k: float) -> float:
    """2^k for a whole number -126 <= k <= 127."""
    return from_bits(np.int32((bits(F(k + _ROUND32)) - (_ROUND_BITS32 - 127)) << 23))


@kernel
def log32(x: float) -> float:
    """log x; numbers below the normal ones count as zero."""
    b = np.int32(bits(F(x)) - _HALF_ROOT32)
    e = F(np.int32(b >> 23))
    m = from_bits(np.int32((b & _MANTISSA32) + _HALF_ROOT32))
    f = (m - _ONE) / (m + _ONE)
    z = f * f
    found = fma(e, _L1_32, _TWO * fma(f, z * _ARTANH32(z), f))
    found = _INF if x == _INF else found
    found = -_INF if x < _NORMAL32 else found
    found = _NAN if x < _NOUGHT else found
    return found if x == x else x


@kernel
def tanh32(x: float) -> float:
    """tanh x."""
    y = _TWO * smaller(larger(x, -_TEN), _TEN)
    k = fma(y, _PER_LOG, _ROUND32) - _ROUND32
    scale = _power32(k)
    e = fma(scale, _from_one32(fma(-k, _L2_32, fma(-k, _L1_32, y))), scale - _ONE)
    return e / (e + _TWO) if x == x else x
