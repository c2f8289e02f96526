"""Kernels of the package in machine code of processors that are not here, loop by loop."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

# Name: (LLVM's triple, bits of its widest vectors in use).
PROCESSORS = {
    "znver3": ("x86_64-unknown-linux-gnu", 256),
    "znver4": ("x86_64-unknown-linux-gnu", 512),
    "skylake-avx512": ("x86_64-unknown-linux-gnu", 512),
    "sapphirerapids": ("x86_64-unknown-linux-gnu", 512),
    "neoverse-n1": ("aarch64-unknown-linux-gnu", 128),
    "neoverse-v1": ("aarch64-unknown-linux-gnu", 128),
}
# Where `meanfield.parts` asks for no width, but says how many times 128 bits there are.
SCALABLE = {"neoverse-v1": 2}
_X86 = {"x": 128, "y": 256, "z": 512}
# Places there have no index, which those of arrays have.
_STACK = re.compile(r"(^|[ ,])-?\d*\(%rsp\)|\[(sp|x29)\b")
_TIMES = re.compile(r"^v?(f?n?m(ul|ad|sub|la|ls|sb)|umull|umlal|pmul)")


@dataclass(frozen=True)
class Loop:
    """What stands between a label and the jump back to it, with no such jump between."""

    function: str
    lines: tuple[str, ...]
    times: int  # multiplications of single numbers
    stored: int  # vectors put on the stack
    loaded: int  # vectors taken from there


def modules(bits: int) -> list[str]:
    """What a few runs compile for registers so wide, before it is optimised."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NUMBA_CACHE_DIR"] = cache  # or nothing would be compiled
        from numba.core.codegen import JITCodeLibrary

        from meanfield import registers

        registers.BITS = bits
        found: list[str] = []
        finish: Any = JITCodeLibrary._optimize_final_module

        def noted(library: Any) -> None:
            found.append(str(library._final_module))
            finish(library)

        JITCodeLibrary._optimize_final_module = noted
        _run()
    return [text for text in found if "meanfield" in text]


def _run() -> None:
    import meanfield as mf
    from meanfield.density.products import Products
    from meanfield.games.lowrank import polynomial, trigonometric

    modes = trigonometric([((k,), (-k,), 1.0 / k**2, 0.0) for k in range(1, 17)])
    torus = mf.games.benchmark("torus")
    langevin, wfr = mf.Langevin(10.0), mf.WassersteinFisherRao()
    how: Any = {"time": 0.002, "particles": 120, "threads": 1, "progress": False}
    for game, flow, more in (
        (modes, langevin, {}),
        (modes, langevin, {"precision": "float32"}),
        (torus, wfr, {}),
        (polynomial("a", 6), langevin, {}),
        (mf.games.expression("exp(cos(x - y))"), langevin, {}),
    ):
        mf.simulate(game, flow, **how, **more)
    Products(16, lambda rows: np.ones((rows.stop, 8)))(np.ones((8, 3)))


def assembly(text: str, processor: str) -> str:
    """A module optimised and compiled for a processor, by the passes that numba runs."""
    import llvmlite.binding as llvm

    triple, _ = PROCESSORS[processor]
    machine = llvm.Target.from_triple(triple).create_target_machine(
        cpu=processor, opt=3, jit=True, codemodel="default", reloc="static"
    )
    text = re.sub(r"(?m)^target (triple|datalayout) = .*$", "", text)
    if processor in SCALABLE:
        text = _told(re.sub(r", !llvm\.loop !\d+", "", text), SCALABLE[processor])
    module = llvm.parse_assembly(text)
    module.triple, module.data_layout = triple, str(machine.target_data)
    for vectors in (False, True):
        options = llvm.create_pipeline_tuning_options(speed_level=3)
        options.loop_vectorization, options.slp_vectorization = True, vectors
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
    return machine.emit_assembly(module)


def _told(text: str, scale: int) -> str:
    """A module whose functions, but those of whole numbers, know how wide registers are."""
    first, *functions = re.split(r"(?m)^(?=define )", text)
    for i, function in enumerate(functions):
        if not re.search(r"<\d+ x i64>", function):
            to = rf"\1 vscale_range({scale},{scale})\2 {{"
            functions[i] = re.sub(r"\A(.*?)((?: #\d+)?) \{$", to, function, count=1, flags=re.M)
    return "".join([first, *functions])


def loops(text: str) -> Iterator[Loop]:
    """The innermost loops of every function."""
    name, labels, last = "", dict[str, int](), 0  # last: where the last loop ends
    body: list[str] = []
    for line in text.splitlines():
        line = re.split(r"\s+(?:# |//)", line.rstrip())[0]
        if head := re.match(r"^([\w.$]+):", line):
            if head[1].startswith(".L"):
                labels[head[1]] = len(body)
            else:
                name, labels, body, last = head[1], {}, [], 0
            continue
        word = line.split()
        if not word or word[0].startswith("."):
            continue
        body.append(line.strip())
        # What stands apart from its loop jumps back as well, always.
        if (
            word[0][0] in "jbct"
            and word[0] not in ("jmp", "b")
            and labels.get(word[-1], -1) >= last
        ):
            yield _loop(name, body[labels[word[-1]] : -1])
            last = len(body)


def _loop(name: str, lines: list[str]) -> Loop:
    times = stored = loaded = 0
    for line in lines:
        mnemonic, _, given = line.partition("\t")
        bits = _bits(given)
        if _TIMES.match(mnemonic):
            times += bits // _of(mnemonic, given)
        if bits and _STACK.search(given):
            out = mnemonic.startswith(("st", "vmov")) and given.rstrip().endswith((")", "]"))
            stored, loaded = stored + out, loaded + (not out)
    return Loop(name, tuple(lines), times, stored, loaded)


def _bits(given: str) -> int:
    """Of the widest register that an instruction names; none for those of single numbers."""
    if found := re.findall(r"%([xyz])mm\d", given):
        return max(_X86[f] for f in found)
    return 128 if re.search(r"\bv\d+\.(2d|4s|2s|16b)|\bq\d+", given) else 256 * bool(
        re.search(r"\bz\d+\.", given)
    )  # fmt: skip


def _of(mnemonic: str, given: str) -> int:
    """Bits of a number; a scalar is a vector of one."""
    if mnemonic.endswith(("sd", "ss")):
        return 128
    single = mnemonic.endswith("ps") or ".4s" in given.split(",")[0] or ".s," in given
    return 32 if single else 64


def named(function: str) -> str:
    """The kernel that a symbol of numba's is: the last two parts of its dotted name."""
    parts, rest = [], function.removeprefix("_ZN")
    while size := re.match(r"\d+", rest):
        start, end = size.end(), size.end() + int(size[0])
        parts.append(rest[start:end])
        rest = rest[end:]
    found = ".".join(parts[-2:]) or function
    return re.sub(r"^meanfield_kernel_\w+", "formula", found)
