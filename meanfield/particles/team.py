"""Several threads that take the steps of one run together: the same compiled text, each on its own
blocks of particles.

Every thread owns some consecutive blocks of both players. What is summed over all particles is
summed block by block, and the blocks' sums are added in their order by every thread alike, so
results have the same bits for any number of threads. `meet` is where they wait for one another:
none goes on before all have come.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from meanfield.checks import Array
from meanfield.jit import apart, kernel

SPINS = 2000  # looks at the gate before a waiting thread offers its processor to others
WORK = 1 << 13  # numbers that a thread must have to move, or waiting costs more than it gains
_OPEN = 1 << 62  # arrivals for which nobody waits any more


def _place(context: Any, b: Any, signature: Any, args: Any) -> Any:
    return context.make_array(signature.args[0])(context, b, args[0]).data


@intrinsic  # type: ignore[untyped-decorator]
def _arrive(_: Any, gate: Any) -> Any:
    """One more arrival; how many there were before."""

    def emit(context: Any, b: Any, signature: Any, args: Any) -> Any:
        one = ir.Constant(ir.IntType(64), 1)
        return b.atomic_rmw("add", _place(context, b, signature, args), one, "seq_cst")

    return types.int64(gate), emit


@intrinsic  # type: ignore[untyped-decorator]
def _arrived(_: Any, gate: Any) -> Any:
    """How many arrivals there have been."""

    def emit(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.load_atomic(_place(context, b, signature, args), "seq_cst", 8)

    return types.int64(gate), emit


@intrinsic  # type: ignore[untyped-decorator]
def _rest(_: Any) -> Any:
    """Let other threads have the processor."""

    def emit(context: Any, b: Any, *_: Any) -> Any:
        name = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
        kind = ir.FunctionType(ir.IntType(32), [])
        b.call(cgutils.get_or_insert_function(b.module, kind, name), [])
        return context.get_dummy_value()

    return types.none(), emit


@kernel
def meet(size: int, gate: Array) -> None:
    """Wait until all `size` threads are here."""
    apart()
    if size == 1:
        return
    before, spins = _arrive(gate), 0
    all_here = (before // size + 1) * size if before < _OPEN else 0
    while _arrived(gate) < all_here:
        spins += 1
        if spins > SPINS:
            _rest()


@kernel
def next_turn(turn: Array) -> int:
    """Which of its two parts a look writes to: other threads may still read the last one."""
    turn[0] = 1 - turn[0]
    return turn[0]  # type: ignore[no-any-return]


@kernel
def add_up(parts: Array, m: Array) -> None:
    """m (K,) = the sum of the rows of parts (blocks, K), first to last."""
    apart()
    for k in range(len(m)):
        m[k] = 0.0
    for b in range(len(parts)):
        for k in range(len(m)):
            m[k] += parts[b, k]


@kernel
def take_moments(me: Any, turn: Array, parts: Array, m: Array) -> None:
    """The opponent's moments m (K,), once all blocks of both players have been seen."""
    if me.number == 0:  # who aims first
        meet(me.size, me.gate)
    add_up(parts[turn[0]], m)


def together(function: Callable[..., Any], calls: Sequence[Sequence[Any]], gate: Any) -> None:
    """Call a kernel with each of these arguments, the first in this thread, all at once."""
    if gate[0]:
        raise RuntimeError("these threads were interrupted; begin again from what was saved")
    try:
        if len(calls) == 1:
            function(*calls[0])
        else:
            _in_threads(function, calls, gate)
    except BaseException:  # such as an interruption: nobody shall wait for threads that never come
        gate[0] = _OPEN
        raise
    gate[0] = 0


def _in_threads(function: Callable[..., Any], calls: Sequence[Sequence[Any]], gate: Any) -> None:
    failed: list[BaseException] = []

    def one(call: Sequence[Any]) -> None:
        try:
            function(*call)
        except BaseException as error:
            gate[0] = _OPEN
            failed.append(error)

    others = [Thread(target=one, args=(call,), daemon=True) for call in calls[1:]]
    for thread in others:
        thread.start()
    function(*calls[0])
    for thread in others:
        thread.join()
    if failed:
        raise failed[0]


def new_gate() -> Any:
    """Where a team's arrivals are counted, in a line of memory of its own."""
    return np.zeros(16, dtype=np.int64)
