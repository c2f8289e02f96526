"""How every compiled kernel of the package is compiled, and when what is kept on disk is out of
date.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable
from functools import cache, cached_property, lru_cache, update_wrapper
from pathlib import Path
from typing import Any

from llvmlite.ir import FunctionType, PointerType
from numba import config, njit, types, version_info
from numba.core import serialize
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

from meanfield.checks import warn
from meanfield.interrupts import handlers_wait
from meanfield.kept import Sealed
from meanfield.registers import scale

# numba calls this Python function for each array that a kernel returns, and does not check whether
# it raised. A signal's handler may raise there (Ctrl-C), and the process would crash. The cache
# answers all but the first call in C, where no handler runs.
serialize._numba_unpickle = lru_cache(None)(serialize._numba_unpickle)

_ROOT = Path(__file__).parent
_IMPORTED = re.compile(r"^\s*from (meanfield[\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)
# `meanfield.parts` rests on what numba does not promise; other versions compile the ordinary way,
# to the same bits but for sums over pairs of formulas, which are taken in another order.
PARTS = (0, 60) <= version_info.short <= (0, 68)
# What imports this module or numba's parts makes kernels or instructions of them, and bundles are
# what kernels hand on; such a file and what it imports may be compiled into a caller.
_COMPILES = re.compile(r"meanfield\.(jit|bundles)\b|^from (numba|llvmlite)\b", re.MULTILINE)


def inside() -> dict[str, Any]:
    """How what becomes part of a kernel is compiled: as kernels that count no references are."""
    settings: dict[str, Any] = {"error_model": "numpy", "fastmath": False, "_nrt": False}
    if PARTS:
        from meanfield.parts import InlinedCompiler

        settings["pipeline_class"] = InlinedCompiler
    return settings


def shared(function: Callable[..., Any]) -> Any:
    """A function that Python runs as it stands, and that kernels which call it take into
    themselves.
    """
    return Shared(function, inside())


def kernel(
    function: Callable[..., Any] | None = None, *, counted: bool = False, **options: Any
) -> Any:
    """`njit`, kept on disk, outside Python's lock, with IEEE division; options are numba's.

    fastmath and forceinline are set to False by name: left out, a function takes the setting of
    whichever function compiles it first, and is kept on disk that way. Reordered sums would undo
    roundings that are meant.

    counted=True is for kernels that make or return arrays. The others do not count references,
    which costs two atomic operations for every array of every argument and every view: more than a
    small step of particles or of modes.

    numba looks only at a function's own file to see whether its compiled form is out of date,
    although the functions that it calls are compiled into it; here an edit of any file of kernels
    that its file imports, directly or not, outdates it too.
    """
    if function is None:
        return lambda f: kernel(f, counted=counted, **options)
    if config.DISABLE_JIT:
        raise RuntimeError(
            "meanfield needs numba's compiler, which NUMBA_DISABLE_JIT switches off; unset it"
        )
    settings = {
        "cache": True,
        "nogil": True,
        "error_model": "numpy",
        "fastmath": False,
        "forceinline": False,
        "_nrt": counted,
        **options,
    }
    return Kernel(function, settings)


class Kernel:
    """A function that is made ready for numba when it is first called, by Python or in another
    kernel: most of those that a process imports are found compiled inside others.
    """

    def __init__(self, function: Callable[..., Any], settings: dict[str, Any]) -> None:
        self.py_func, self.settings, self.known = function, settings, False
        update_wrapper(self, function)

    @cached_property
    def compiled(self) -> Any:
        """What Python calls."""
        found = _on_disk_if_possible(self.py_func, self.settings)
        files: Any = getattr(found._cache, "_cache_file", None)
        if hasattr(files, "_index_name"):
            name = files._index_name.removesuffix(".nbi")
            own = stamp(Path(inspect.getfile(self.py_func)))
            found._cache._cache_file = Sealed(files._cache_path, name, own)
        return found

    @cached_property
    def part(self) -> Any:
        """What kernels that name it call."""
        if not PARTS:
            return self.compiled
        from meanfield.parts import part_of

        return part_of(self.py_func, self.settings)

    @property
    def _numba_type_(self) -> Any:
        return types.Dispatcher(self.part)

    def __call__(self, *given: Any) -> Any:
        try:
            if self.known:
                return self.compiled(*given)
            # The first call fills the cache above, in Python.
            self.entry(*given)
            with handlers_wait():
                found = self.compiled(*given)
            self.known = True
            return found
        except SystemError as error:
            # numba looks up types in Python, where handlers of signals run, and calls all the same
            # when one raises: an interruption by the user, a time limit.
            raise (error.__cause__ or error) from None

    def entry(self, *given: Any) -> Any:
        """The compiled function for arguments of the same types as these. It does not look at types
        when it is called, which for long nested tuples takes most of the time of a call.
        """
        return self.compiled.compile(tuple(map(self.compiled.typeof_pyval, given)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.compiled, name)


class Shared(Kernel):
    """See `shared`."""

    def __call__(self, *given: Any) -> Any:
        return self.py_func(*given)


def _on_disk_if_possible(function: Callable[..., Any], settings: dict[str, Any]) -> Any:
    """The compiled function, kept in memory alone where no folder can be written."""
    if PARTS:
        from meanfield.parts import WholeCompiler, load_numba

        load_numba()
        settings = {**settings, "pipeline_class": WholeCompiler}
    try:
        return njit(**settings, no_cfunc_wrapper=True)(function)
    except RuntimeError as error:
        if "locator" not in str(error):
            raise
        _warn_once()
        return njit(**{**settings, "cache": False}, no_cfunc_wrapper=True)(function)


@cache
def _warn_once() -> None:
    warn(
        "compiled code cannot be kept: neither the package's folder nor a cache in the home "
        "folder can be "
        "written, so every process compiles anew; set NUMBA_CACHE_DIR to a folder that can",
        RuntimeWarning,
    )


@intrinsic  # type: ignore[untyped-decorator]
def apart(_: Any) -> Any:
    """Called inside a kernel: keep it a function of its own in whatever calls it.

    LLVM takes nearly every kernel into its callers, and works on it again in each of them; for the
    few long ones that costs compilation and gains nothing.
    """

    def emit(context: Any, builder: Any, *_: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.none(), emit


@intrinsic  # type: ignore[untyped-decorator]
def separate(_: Any) -> Any:
    """Called inside a kernel: like `apart`, and no two arrays among its arguments share memory.

    Otherwise a loop asks before it begins whether what it writes overlaps what it reads, array by
    array, and one with more than a few arrays is not made into vectors.
    """

    def emit(context: Any, builder: Any, *_: Any) -> Any:
        for given in builder.function.args:
            if isinstance(given.type, PointerType):
                given.add_attribute("noalias")
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.none(), emit


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def together(_: Any, numbers: Any) -> Any:
    """Called first in the body of an innermost loop: so many numbers are done at a time, each line
    of it for all.

    By itself the compiler takes as many as fit in a register. Several registers hide the delays of
    one another, and sums over a loop are the same whatever a register holds.
    """
    if not isinstance(numbers, types.IntegerLiteral):
        return None

    def emit(context: Any, builder: Any, *_: Any) -> Any:
        asked = vars(builder.module).setdefault("together", [])  # see `meanfield.parts`
        asked.append((builder.block, numbers.literal_value))
        return context.get_dummy_value()

    return types.none(numbers), emit


@intrinsic  # type: ignore[untyped-decorator]
def fma(_: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c in one rounding, wherever it is compiled into; single precision where all three
    are.
    """
    if not all(isinstance(t, types.Float) for t in (a, b, c)):
        return None
    t = types.float32 if a == b == c == types.float32 else types.float64
    return t(t, t, t), lambda _, builder, __, given: builder.fma(*given)


@intrinsic  # type: ignore[untyped-decorator]
def floor(_: Any, x: Any) -> Any:
    """The largest whole number up to x, in its precision; `math.floor` makes an integer of it, and
    loops over doubles, whose integers no register of AVX2 converts, go number by number.
    """
    if not isinstance(x, types.Float):
        return None
    name = f"llvm.floor.f{x.bitwidth}"

    def emit(_: Any, builder: Any, __: Any, given: Any) -> Any:
        kind = FunctionType(given[0].type, [given[0].type])
        return builder.call(get_or_insert_function(builder.module, kind, name), given)

    return x(x), emit


@intrinsic  # type: ignore[untyped-decorator]
def summed(_: Any, total: Any, a: Any, b: Any) -> Any:
    """total + a b, where a loop's sums may be taken in another order: one for each lane of its
    vectors.
    """
    t = types.float32 if total == a == b == types.float32 else types.float64
    how = ("reassoc", "nsz", "contract")

    def emit(_: Any, builder: Any, __: Any, given: Any) -> Any:
        return builder.fadd(given[0], builder.fmul(*given[1:], flags=how), flags=how)

    return t(t, t, t), emit


def _chosen(wins: str) -> Any:
    def typed(_: Any, a: Any, b: Any) -> Any:
        t = a if a == b else types.float64

        def emit(_: Any, builder: Any, __: Any, given: Any) -> Any:
            compare = builder.fcmp_ordered if isinstance(t, types.Float) else builder.icmp_signed
            return builder.select(compare(wins, given[1], given[0]), given[1], given[0])

        return t(t, t), emit

    return typed


# min and max of two numbers, the first where they do not compare, and the bits of a floating-point
# number, and back. numba makes a kernel each, with a wrapper for Python, of its own.
smaller, larger = intrinsic(_chosen("<")), intrinsic(_chosen(">"))
_SAME_BITS = {
    types.float64: types.int64, types.int64: types.float64,
    types.float32: types.int32, types.int32: types.float32,
}  # fmt: skip


def _reread(_: Any, x: Any) -> Any:
    to = _SAME_BITS.get(x)
    if to is None:
        return None
    return to(x), lambda context, builder, __, given: builder.bitcast(
        given[0], context.get_value_type(to)
    )


bits, from_bits = intrinsic(_reread), intrinsic(_reread)


def stamp(*files: Path) -> str:
    """A hash of files, of all kernels that they may call, and of how wide SVE's registers are."""
    seen: dict[Path, str] = {}
    stack = [*files, Path(__file__), Path(__file__).with_name("parts.py")]
    while stack:
        path = stack.pop()
        if path not in seen:
            seen[path], called = _read(path)
            stack += called
    return hashlib.sha256(
        "\0".join([*(seen[p] for p in sorted(seen)), str(scale())]).encode()
    ).hexdigest()


@cache
def _read(path: Path) -> tuple[str, list[Path]]:
    """A file's text, and the files of kernels among those that it imports."""
    text, found = path.read_text(encoding="utf-8"), set[Path]()
    for module, names in _IMPORTED.findall(text):
        place = _ROOT.joinpath(*module.split(".")[1:])
        found.add(place.with_suffix(".py"))
        if place.is_dir():  # some of the names may be its modules
            found.update(place / f"{name}.py" for name in re.findall(r"\w+", names))
    return text, [p for p in found if p.is_file() and _COMPILES.search(p.read_text("utf-8"))]
