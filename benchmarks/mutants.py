"""How many small wrong changes of numerical modules the tests see: a mutation run, made by hand.

    nice -n 19 python -m benchmarks.mutants --count 60 --seed 0

draws places in the modules below, changes each in one way (a constant doubled, a comparison turned,
plus for minus, times for divided by, a term dropped), and runs the test files that are about the
module in a copy of the checkout. A mutant is killed when a test fails or the time is up. Printed
are the survivors, each with the line and what it became, and the score with a 95% interval (Wilson
1927). Survivors are judged by eye: some changes are none (a starting guess, a budget, a message).
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
COVERED = {
    "responses/bounds.py": ("soundness", "nikaido_isoda"),
    "responses/cells.py": ("intervals", "soundness"),
    "responses/curvature.py": ("intervals",),
    "responses/enclosures.py": ("intervals",),
    "responses/intervals.py": ("intervals",),
    "responses/polish.py": ("nikaido_isoda", "nash"),
    "trust_region.py": ("trust_region", "soundness"),
    "equilibria/support.py": ("nash",),
    "equilibria/nash.py": ("nash", "constants"),
    "equilibria/stability.py": ("soundness", "stability"),
    "games/base.py": ("constants", "games"),
    "games/lowrank.py": ("games", "constants"),
    "games/bases.py": ("games", "nikaido_isoda"),
    "games/functions.py": ("games", "constants", "intervals"),
    "games/formulas/calculus.py": ("games", "intervals"),
    "metrics/energy.py": ("nikaido_isoda", "energies"),
    "manifolds.py": ("manifolds",),
    "schedule.py": ("later_flows",),
}
TURNED = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
}  # fmt: skip


class Change(ast.NodeTransformer):
    """Counts the changes that a module has, and makes the one whose number is `wanted`."""

    def __init__(self, wanted: int = -1) -> None:
        self.wanted, self.seen, self.line = wanted, 0, 0

    def here(self, node: ast.AST) -> bool:
        self.seen += 1
        if self.seen - 1 == self.wanted:
            self.line = getattr(node, "lineno", 0)
            return True
        return False

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
        if number and self.here(node):
            return ast.copy_location(ast.Constant(2 * node.value if node.value else 1), node)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        turned = TURNED.get(type(node.ops[0]))
        if len(node.ops) == 1 and turned and self.here(node):
            node.ops = [turned()]
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        turned = TURNED.get(type(node.op))
        if turned and not isinstance(node.left, ast.Constant | ast.JoinedStr) and self.here(node):
            node.op = turned()
        if isinstance(node.op, ast.Add | ast.Sub) and self.here(node):
            return node.left
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return node  # messages

    def skip(self, node: ast.AST) -> ast.AST:
        return node

    visit_AnnAssign = visit_JoinedStr = visit_arguments = skip


def mutated(text: str, wanted: int) -> tuple[str, int]:
    change = Change(wanted)
    return ast.unparse(change.visit(copy.deepcopy(ast.parse(text)))), change.line


def killed(folder: Path, tests: tuple[str, ...], seconds: float) -> str:
    """How the tests ended: "failed", "timed out", or "" where none saw anything."""
    files = [f"tests/test_{name}.py" for name in tests]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return "timed out"
    return "failed" if done.returncode else ""


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    middle, spread = hits + z * z / 2, z * np.sqrt(hits * (n - hits) / n + z * z / 4)
    return float((middle - spread) / (n + z * z)), float((middle + spread) / (n + z * z))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=300.0, help="a mutant's time")
    parser.add_argument("--only", default="", help="part of the modules' names")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mutants-"))
    hidden = shutil.ignore_patterns(".git", "__pycache__", "results", "*.nbc", "*.nbi")
    shutil.copytree(ROOT, folder / "checkout", ignore=hidden)
    folder, places = folder / "checkout", []
    for module in COVERED:
        if asked.only in module:
            counted = Change()
            counted.visit(ast.parse((ROOT / "meanfield" / module).read_text()))
            places += [(module, i) for i in range(counted.seen)]
    rng, dead = np.random.default_rng(asked.seed), 0
    drawn = rng.permutation(len(places))[: asked.count]
    for done, k in enumerate(drawn, 1):
        module, i = places[k]
        text = (ROOT / "meanfield" / module).read_text()
        changed, line = mutated(text, i)
        (folder / "meanfield" / module).write_text(changed)
        end = killed(folder, COVERED[module], asked.seconds)
        (folder / "meanfield" / module).write_text(text)
        dead += bool(end)
        print(f"{done:4} {module}:{line} {end or 'SURVIVED'}", flush=True)
        if not end:
            before, after = ast.unparse(ast.parse(text)).splitlines(), changed.splitlines()
            for a, b in zip(before, after, strict=False):
                if a != b:
                    print(f"       {a.strip()}\n    -> {b.strip()}", flush=True)
    n = len(drawn)
    low, high = wilson(dead, n)
    print(f"{dead} of {n} killed: {dead / n:.1%}, 95% interval {low:.1%} to {high:.1%}")
    print(f"of {len(places)} places in {len(COVERED)} modules, seed {asked.seed}")
    shutil.rmtree(folder.parent)


if __name__ == "__main__":
    main()
