"""Named tuples that kernels hand on whole."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from numba import typeof, types

from meanfield.bundles import Bundle, bundle
from meanfield.jit import apart, kernel


@bundle
class Inner(NamedTuple):
    x: Any
    flag: Any
    n: int


@bundle
class Outer(NamedTuple):
    inner: Inner
    pair: tuple[Inner, Inner]
    y: Any


class Plain(NamedTuple):
    x: Any
    n: int


@kernel
def _added(inner, scale):
    apart()
    total = 0.0
    for i in range(inner.n):
        total += scale * inner.x[i]
    return total if len(inner.flag) == 0 else -total


@kernel
def _written(outer, plain):
    first, second = outer.pair
    outer.y[0] = _added(outer.inner, 1.0) + _added(first, 10.0) + _added(second, 100.0)
    outer.y[1] = _added(Inner(plain.x, (), plain.n), 1.0)


def test_numbers_arrays_and_tuples_in_bundles_arrive_in_kernels_inside_kernels():
    a, b, c = np.arange(3.0), np.arange(4.0)[::-1].copy(), np.ones(2)
    y = np.zeros(2)
    outer = Outer(Inner(a, (), 3), (Inner(b, (), 2), Inner(c, (), 1)), y)
    _written(outer, Plain(a, 2))
    assert y.tolist() == [3.0 + 50.0 + 100.0, 1.0]
    turned = outer._replace(inner=Inner(a, (True,), 3))
    _written(turned, Plain(a, 2))
    assert y.tolist() == [-3.0 + 50.0 + 100.0, 1.0], "their flags are known when compiled"


def test_their_types_tell_them_from_other_named_tuples():
    inner = Inner(np.zeros(1), (), 1)
    kind = typeof(inner)
    assert isinstance(kind, Bundle) and kind.instance_class is Inner
    assert kind == typeof(Inner(np.ones(5), (), 7)) != typeof(Inner(np.ones(5), (True,), 7))
    assert not isinstance(typeof(Plain(np.zeros(1), 1)), Bundle)
    assert isinstance(typeof((inner, inner)), types.UniTuple)
    with pytest.raises(ValueError, match="Cannot determine Numba type"):
        typeof(Inner(object(), (), 1))
