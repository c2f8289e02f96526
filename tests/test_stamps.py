"""When compiled code on disk is out of date: after an edit of any kernel compiled into it."""

import ast
import pkgutil
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import meanfield
from meanfield import fastmath, jit
from meanfield.particles import noise
from meanfield.particles.looks.compiled import march


@pytest.mark.parametrize("f", [noise.fill, march, fastmath.sincos], ids=lambda f: f.__name__)
def test_an_edit_of_any_kernel_called_outdates_what_is_on_disk(f):
    file = Path(f.py_func.__code__.co_filename)
    assert f._cache._cache_file._source_stamp == jit.stamp(file)


@pytest.mark.parametrize("made_by", ["meanfield.jit import kernel", "numba.core import cgutils"])
def test_stamps_follow_imports(made_by, tmp_path, monkeypatch):
    lower, upper = tmp_path / "lower.py", tmp_path / "upper.py"
    monkeypatch.setattr(jit, "_ROOT", tmp_path)
    lower.write_text(f"from {made_by}\n")
    upper.write_text("from meanfield.jit import kernel\nfrom meanfield.lower import f\n")
    first = jit.stamp(upper)
    lower.write_text(f"from {made_by}\n# edited\n")
    jit._read.cache_clear()
    assert jit.stamp(upper) != first
    jit._read.cache_clear()


def called_by(k):
    """The kernels that the text of a kernel names, itself or by their module."""
    named = k.py_func.__code__.co_names
    for value in (k.py_func.__globals__.get(name) for name in named):
        inside = vars(value).values() if isinstance(value, ModuleType) else [value]
        yield from (v for v in inside if isinstance(v, jit.Kernel) and v.__name__ in named)


def reached(k):
    """The files on whose text it depends whether a kernel is compiled anew."""
    seen, stack = set(), [Path(k.py_func.__code__.co_filename)]
    while stack:
        if (path := stack.pop()) not in seen:
            seen.add(path)
            stack += jit._read(path)[1]
    return seen


def imported_by(k):
    """The files from which a kernel's own has constants and functions that stand in its text."""
    file, named = Path(k.py_func.__code__.co_filename), k.py_func.__code__.co_names
    lines = [
        n for n in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(n, ast.ImportFrom)
    ]
    for line in (n for n in lines if str(n.module).startswith("meanfield")):
        module = import_module(str(line.module))
        for name in (n.name for n in line.names if (n.asname or n.name) in named):
            value = getattr(module, name)
            yield Path((value if isinstance(value, ModuleType) else module).__file__)


def test_stamps_reach_all_that_is_compiled_into_a_kernel():
    """By what kernels find under the names in their text, not by what import lines look like."""
    packages = pkgutil.walk_packages(meanfield.__path__, "meanfield.")
    names = [m.name for m in packages if not re.search(r"cuda|device|\bgan\b|__main__", m.name)]
    kernels = {
        v for name in names for v in vars(import_module(name)).values() if isinstance(v, jit.Kernel)
    }
    assert len(kernels) > 200
    missed = []
    for k in kernels:
        files = {Path(c.py_func.__code__.co_filename) for c in called_by(k)} | set(imported_by(k))
        missed += [(k.__name__, str(file)) for file in files - reached(k)]
    assert missed == []
