"""How wide registers are, and what LLVM is told of those that are as wide as a processor likes."""

from types import SimpleNamespace

import pytest
from llvmlite import ir

from meanfield import parts, registers


@pytest.mark.parametrize(("said", "times"), [(32, 2), (16 | 1 << 17, 1), (-1, 0)])
def test_linux_says_how_wide_they_are(
    said: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bytes, in the lower half of its answer; negative where there are none."""
    library = SimpleNamespace(prctl=lambda what: said if what == 51 else 0)
    monkeypatch.setattr(registers, "CDLL", lambda _: library)
    monkeypatch.setattr(registers, "SCALABLE", True)
    monkeypatch.setattr(registers.sys, "platform", "linux")
    assert registers.scale.__wrapped__() == times
    monkeypatch.setattr(registers.sys, "platform", "darwin")
    assert registers.scale.__wrapped__() == 0


def test_llvm_is_told_but_for_whole_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ir.Module()
    for name, kind in (("real", ir.DoubleType()), ("whole", ir.IntType(64))):
        pair = ir.VectorType(kind, 2)
        function = ir.Function(module, ir.FunctionType(pair, [pair]), name)
        ir.IRBuilder(function.append_basic_block()).ret(function.args[0])
    ir.Function(module, ir.FunctionType(ir.VoidType(), []), "elsewhere")
    parts._widen(module)
    assert "vscale" not in str(module) or registers.scale()
    monkeypatch.setattr(parts, "scale", lambda: 2)
    parts._widen(module)
    told = {f.name: "vscale_range(2,2)" in str(f) for f in module.functions}
    assert told == {"real": True, "whole": False, "elsewhere": False}
