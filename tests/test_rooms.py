"""The order of the rooms, the size of files and the calls that no module may make, read from the
source.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "meanfield"
ORDER = [
    "checks", "sums", "interrupts", "aligned", "bundles", "registers", "compiler", "parts", "kept",
    "jit", "lanes", "fastmath", "progress", "cores", "executors", "machine", "schedule", "shown",
    "manifolds", "meshes", "measures", "laws", "start", "games", "flows", "needs", "describe",
    "packing", "citations", "storage", "trust_region", "responses", "metrics", "trajectory",
    "observables", "run", "particles", "density", "equilibria", "plotting", "studies", "gan", "cli",
    "__main__",
]  # fmt: skip
APART = {("particles", "density"), ("density", "particles")}
OUTSIDE = ("validation", "figures", "benchmarks", "tests")
LAZY = {"plotting"}  # what a function of an earlier room may import
LONGEST = 480  # lines a file
REFUSED = {"eval", "exec", "compile", "__import__"}
REFUSED_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "shelve", "marshal"}


def imported(tree: ast.Module) -> list[tuple[str, int, bool]]:
    """(dotted name, line, inside a function?) of every import statement."""
    found = []

    def visit(node: ast.AST, inside: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend((alias.name, node.lineno, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            found.extend((f"{base}.{alias.name}", node.lineno, inside) for alias in node.names)
        function = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            visit(child, function)

    visit(tree, False)
    return found


def offences(room: str, source: str) -> list[str]:
    """What the source of a module of `room` imports against the order of rooms."""
    bad = []
    for name, line, inside in imported(ast.parse(source)):
        if name.startswith("."):
            bad.append(f"line {line}: relative import {name}; write meanfield.ROOM")
            continue
        parts = name.split(".")
        if parts[0] in OUTSIDE:
            bad.append(f"line {line}: {room} imports {parts[0]}, which stands outside the package")
        if parts[0] != "meanfield" or len(parts) < 2:
            continue
        target = parts[1]
        if target not in ORDER:
            if target != "__version__":
                bad.append(f"line {line}: {name} is taken from the package, not from a room")
        elif (room, target) in APART:
            bad.append(f"line {line}: {room} and {target} must not know each other")
        elif ORDER.index(target) > ORDER.index(room) and not (inside and target in LAZY):
            bad.append(f"line {line}: {room} imports {target}, a later room")
    return bad


def calls(source: str) -> list[str]:
    """Calls that run or load code from data, and imports of modules that do."""
    tree = ast.parse(source)
    bad = [
        f"line {node.lineno}: {node.func.id}(...)"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in REFUSED
    ]
    bad += [
        f"line {node.lineno}: allow_pickle"
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword)
        and node.arg == "allow_pickle"
        and not (isinstance(node.value, ast.Constant) and node.value.value is False)
    ]
    return bad + [
        f"line {line}: imports {name}"
        for name, line, _ in imported(tree)
        if name.split(".")[0] in REFUSED_MODULES
    ]


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def sources() -> list[Path]:
    """Every file of ours, in the package and beside it."""
    return [*modules(), *(p for folder in OUTSIDE for p in sorted((ROOT / folder).rglob("*.py")))]


@pytest.mark.parametrize(
    "path", [p for p in modules() if p != PACKAGE / "__init__.py"], ids=lambda p: p.stem
)
def test_rooms_import_only_earlier_rooms(path: Path) -> None:
    room = room_of(path)
    assert room in ORDER, f"{path.name} is in no room of the list; add it where it belongs"
    assert offences(room, path.read_text()) == []


def test_the_package_itself_imports_no_room() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    for block in (node for node in tree.body if isinstance(node, ast.If)):
        if ast.unparse(block.test) == "TYPE_CHECKING":  # never run
            block.body = [ast.Pass()]
    names = [name for name, _, _ in imported(tree)]
    assert [n for n in names if n.startswith(("meanfield", "."))] == []


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("measures", "import meanfield.games"),
        ("measures", "from meanfield.games import base"),
        ("measures", "from meanfield import games"),
        ("particles", "from meanfield.density.engine import Engine"),
        ("density", "import meanfield.particles.simulate as s"),
        ("density", "def f():\n    from meanfield.particles import simulate"),
        ("trajectory", "from meanfield.plotting import plot_trajectory"),
        ("trajectory", "def f():\n    from meanfield.studies import compare"),
        ("games", "from .base import Game"),
        ("studies", "import figures.oscillator"),
        ("plotting", "from meanfield import simulate"),
    ],
)
def test_the_checker_sees_a_violation(room: str, line: str) -> None:
    assert len(offences(room, line)) == 1


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("games", "from meanfield.measures import Measure"),
        ("games", "from meanfield.games.base import Game"),
        ("trajectory", "def f():\n    from meanfield.plotting import plot_trajectory"),
        ("studies", "import numpy\nfrom meanfield.particles.simulate import simulate"),
    ],
)
def test_the_checker_lets_honest_imports_pass(room: str, line: str) -> None:
    assert offences(room, line) == []


def needs(room: str) -> dict[str, set[str]]:
    """file -> files of the room that it imports anywhere, inside functions and for types too."""
    files = {
        ".".join(("meanfield", *path.relative_to(PACKAGE).with_suffix("").parts)): path
        for path in modules()
        if room_of(path) == room
    }
    names = {
        file: [name for name, _, _ in imported(ast.parse(path.read_text()))]
        for file, path in files.items()
    }
    return {
        file: {other for other in files for n in names[file] if f"{n}.".startswith(f"{other}.")}
        for file in files
    }


@pytest.mark.parametrize("room", ["games"])
def test_files_of_a_room_import_each_other_in_no_circle(room: str) -> None:
    left = needs(room)
    while free := {file for file, needed in left.items() if not needed & left.keys()}:
        left = {file: needed for file, needed in left.items() if file not in free}
    assert not left, f"these import each other: {sorted(left)}"


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_too_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_runs_code_from_data(path: Path) -> None:
    assert calls(path.read_text()) == []


def test_the_call_checker_sees_its_prey() -> None:
    prey = ["eval('1')", "x = [exec(a) for a in b]", "import pickle", "from dill import loads"]
    for line in (*prey, "numpy.load(f, allow_pickle=True)"):
        assert len(calls(line)) == 1, line
    assert calls("model.eval()\nnumpy.load(f, allow_pickle=False)") == []
