"""numba's compiler as kernels use it leaves numba as it was for everybody else."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
import pytest
from numba import config, njit
from numba.core.errors import TypingError
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from meanfield.compiler import undisturbed
from meanfield.interrupts import handlers_wait
from meanfield.jit import Kernel, apart, kernel
from meanfield.parts import Whole


def _untouched() -> bool:
    return gc.isenabled() and "refresh" not in vars(cpu_target.target_context)


@kernel
def _tenth_power(x: float, out: Any) -> None:
    for i in range(len(out)):
        out[i] = x ** (10 * i) if i % 2 == 0 else -x + out[i - 1]


def test_a_kernel_computes_what_python_does_and_nothing_stays_changed() -> None:
    found, wanted = np.zeros(5), np.zeros(5)
    _tenth_power(0.9, found)
    _tenth_power.py_func(0.9, wanted)
    np.testing.assert_allclose(found, wanted, rtol=1e-15)
    assert _untouched()


def test_nothing_stays_changed_where_a_kernel_does_not_compile() -> None:
    @kernel(cache=False)
    def wrong(x: float) -> Any:
        return x.nothing

    with pytest.raises(TypingError):
        wrong(1.0)
    assert _untouched()


def test_an_interruption_while_machine_code_is_handed_over_is_one(
    monkeypatch: Any, tmp_path: Path
) -> None:
    """LLVM's call of Python swallows it, and the kernel stands without code to be kept."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    nothing = property(lambda _: None, lambda *_: None)
    monkeypatch.setattr(Whole, "_compiled_object", nothing, raising=False)

    @kernel
    def doubled(x: float) -> float:
        return 2 * x

    with pytest.raises(KeyboardInterrupt):
        doubled(1.0)
    assert _untouched()


def test_what_signals_raise_while_types_are_looked_up_is_raised() -> None:
    """numba goes on, and Python finds a result beside the exception."""

    def raising(cause: BaseException | None) -> Any:
        def compiled(_: Any) -> None:
            raise SystemError("returned a result with an exception set") from cause

        return compiled

    made = Kernel(lambda x: x, {})
    for cause in (KeyboardInterrupt(), TimeoutError(), None):
        vars(made)["compiled"], made.known = raising(cause), True
        with pytest.raises(SystemError if cause is None else type(cause)):
            made(1.0)


@pytest.mark.parametrize("first", [True, False])
def test_a_kernel_that_returns_arrays_is_interrupted_when_it_ends(first: bool) -> None:
    """numba would go on without the class of an array, which Python is asked for on return."""

    @kernel(counted=True, cache=False)
    def slow(n: int) -> tuple[Any, Any]:
        x = np.zeros(3)
        for i in range(n):
            x[i % 3] += np.sqrt(x[(i + 1) % 3] + i)
        return x, np.ones(2)

    assert not slow.known
    if first:
        slow.entry(10)  # compiled, and not called
    else:
        wanted = slow(200_000_000 // 1000)
    before = signal.getsignal(signal.SIGINT)
    sent = Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGINT))
    sent.start()
    with pytest.raises(KeyboardInterrupt):
        while True:
            slow(20_000_000)
    sent.join()
    assert signal.getsignal(signal.SIGINT) is before
    if not first:
        for a, b in zip(slow(200_000_000 // 1000), wanted, strict=True):
            np.testing.assert_array_equal(a, b)


def test_handlers_wait_for_the_end_and_are_called_once() -> None:
    """All of them, in order, also where one raises."""
    seen: list[int] = []

    def late(*_: Any) -> None:
        seen.clear()
        raise TimeoutError

    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    try:
        with handlers_wait():
            signal.raise_signal(signal.SIGUSR1)
            assert not seen
        assert seen == [signal.SIGUSR1]
        signal.raise_signal(signal.SIGUSR1)
        assert len(seen) == 2
        with pytest.raises(ValueError), handlers_wait():
            raise ValueError
        signal.signal(signal.SIGUSR2, late)
        with pytest.raises(TimeoutError), handlers_wait():
            signal.raise_signal(signal.SIGUSR2)
            signal.raise_signal(signal.SIGUSR1)
        assert seen == [signal.SIGUSR1]
        with ThreadPoolExecutor(1) as other:  # where handlers cannot be set, and do not run
            other.submit(lambda: handlers_wait().__enter__()).result()
    finally:
        signal.signal(signal.SIGUSR1, before)
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)


def test_a_collection_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with undisturbed(cpu_target.target_context):
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_was_made_meanwhile_is_looked_through_later_and_what_is_set_apart_stays_so() -> None:
    """A collection of young objects finds none of them; one of all does."""
    gc.collect()
    with undisturbed(cpu_target.target_context):
        for _ in range(1000):
            circle: list[Any] = []
            circle.append(circle)
    del circle
    assert gc.collect(1) < 1000 <= gc.collect()
    gc.freeze()
    try:
        apart = gc.get_freeze_count()
        with undisturbed(cpu_target.target_context):
            pass
        assert gc.get_freeze_count() > 0.9 * apart  # some end of themselves
    finally:
        gc.unfreeze()


def test_functions_that_others_add_meanwhile_are_found() -> None:
    @intrinsic
    def seven(typing: Any, x: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            return builder.fadd(given[0], context.get_constant(x, 7.0))

        return x(x), emit

    @njit
    def others(x: float) -> Any:
        return sum([seven(x + k) for k in range(2)])

    @kernel(cache=False)
    def ours(x: float) -> float:
        return seven(x) + 1.0

    assert others(1.0) == 17.0
    assert ours(1.0) == 9.0
    assert _untouched()


def test_operators_of_whole_arrays_compile_beside_those_of_numbers() -> None:
    @kernel(cache=False, counted=True)
    def shares(a: Any, q: float) -> Any:
        b = a / q
        b /= 2.0
        return np.maximum(1.0 - a / q, 0.0) + b

    a = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(shares(a, 4.0), np.maximum(1.0 - a / 4.0, 0.0) + a / 8.0)


@kernel
def _half(x: float) -> float:
    apart()
    return x / 2


@kernel
def _quarter(x: float) -> float:
    return _half(_half(x))  # type: ignore[no-any-return]


def test_parts_serve_kernels_and_what_numba_compiles_beside_them() -> None:
    """Each has code of its own."""

    @njit  # type: ignore[untyped-decorator]
    def eighth(x: float) -> float:
        return _quarter(_half(x))  # type: ignore[no-any-return]

    assert _quarter(3.0) == 0.75
    assert eighth(3.0) == 0.375


@kernel(counted=True, cache=False)  # what is read from a file has no text
def _gathered(columns: Any, v: Any) -> Any:
    out = np.zeros(len(columns))
    for i in range(len(columns)):
        out[i] = v[columns[i]]
    return out


def test_counts_of_references_keep_the_names_by_which_pairs_of_them_are_found() -> None:
    """Otherwise loops count up and down, number by number: W2 on T^2 took five times as long."""
    np.testing.assert_array_equal(_gathered(np.array([1, 0]), np.array([2.0, 3.0])), [3.0, 2.0])
    (code,) = _gathered.inspect_asm().values()
    assert "NRT_decref" in code
    assert not re.search(r"NRT_\w+\.inside", code)


def test_what_numba_knows_is_loaded_while_nobody_compiles() -> None:
    script = """
from threading import Thread
from numba.core.compiler_lock import global_compiler_lock
from meanfield.parts import load_numba
with global_compiler_lock:
    thread = Thread(target=load_numba)
    thread.start()
    thread.join(0.5)
    print(thread.is_alive())
thread.join()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "True\n" and not done.returncode
