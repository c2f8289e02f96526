"""How many small wrong changes of numerical modules the tests see: a mutation run, made by hand.

    nice -n 19 python -m benchmarks.mutants --count 150 --seed 0 --results mutants.jsonl

draws places in the modules that `benchmarks/mutants.toml` names, changes each in one way (a
constant doubled, a comparison turned, plus for minus, times for divided by, a term dropped), and
runs the tests that are about the module in a copy of the checkout, quick ones first. A mutant is
killed when a test fails that passes without it, or when the tests run out of processor time, which
is three times what they take without it, compiling included. What came of each is kept in the file
of results: a stopped run goes on, and `--again` tries the survivors once more, after a test was
added. Survivors are judged by eye; those that change no answer (a starting guess, a budget, the
order of a search) stand with the reason in `benchmarks/mutants.toml` and count neither way. Printed
are the others, and the score with a 95% interval (Wilson 1927).
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from time import clock_gettime, perf_counter, process_time, sleep
from typing import Any

import numba  # noqa: F401  (loaded once, before the tests' processes part)
import numpy as np
import pytest
import scipy.optimize
import scipy.spatial
import scipy.special  # noqa: F401

ROOT = Path(__file__).parents[1]
SECONDS = 60  # processor time of a mutant's tests, three times theirs without it where that is more
IDLE = 600  # seconds without any processor time after which tests hang
QUICK = 2.0  # seconds of a test that comes before the slower ones of all files
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

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Attribute) and node.func.attr == "reshape":
            # Any negative number stands for the size that is left.
            node.func = self.visit(node.func)
            node.args = [a if isinstance(a, ast.UnaryOp) else self.visit(a) for a in node.args]
            return node
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def skip(self, node: ast.AST) -> ast.AST:
        return node

    visit_Raise = visit_JoinedStr = visit_arguments = skip  # messages, annotations


def mutant(module: str, number: int) -> tuple[str, dict[str, Any]]:
    """A change of a module: its text, and where it is, with the line before and after."""
    tree = ast.parse((ROOT / "meanfield" / module).read_text())
    change = Change(number)
    changed = ast.unparse(change.visit(copy.deepcopy(tree)))
    both = zip(ast.unparse(tree).splitlines(), changed.splitlines(), strict=True)
    was, became = next((a.strip(), b.strip()) for a, b in both if a != b)
    return changed, {"module": module, "line": change.line, "was": was, "became": became}


class QuickestFirst:
    """pytest's tests in the order of the processor time that they took before, in a file."""

    def __init__(self, file: Path) -> None:
        self.file, self.took = file, json.loads(file.read_text()) if file.exists() else {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        files = list(dict.fromkeys(item.path for item in items))  # a file's fixtures are made once
        took = [self.took.get(item.nodeid, 1.0) for item in items]
        keys = [(t > QUICK, files.index(item.path), t) for t, item in zip(took, items, strict=True)]
        items[:] = [items[k] for k in sorted(range(len(items)), key=keys.__getitem__)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        begin = process_time()
        done = yield
        used = process_time() - begin
        if not item.session.testsfailed:
            self.took[item.nodeid] = min(used, self.took.get(item.nodeid, used))
            self.file.write_text(json.dumps(self.took))
        return done


def tried(folder: Path, took: Path, tests: list[str], seconds: float) -> tuple[str, float]:
    """How the tests of a checkout end, and the processor time that they take.

    "" where all pass, "timed out" after so many seconds of it or where they hang, or the name of
    what failed first. A process of its own runs them that has the libraries loaded already.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = os.fork()
    if child == 0:
        os.setsid()
        os.chdir(folder)
        limit = int(seconds + process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        log = os.open(folder.parent / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(log, stream)
        sys.path.insert(0, str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
            del sys.modules[name]  # tests import the copy's
        os.environ["PYTHONPATH"] = str(folder)
        options = ["-q", "-x", "-p", "no:cacheprovider", "--tb=line"]
        code = pytest.main([*options, *tests], plugins=[QuickestFirst(took)])
        sys.stdout.flush()
        os._exit(int(code))
    clock, moved = (~child << 3) | 2, (0.0, perf_counter())  # Linux's processor clock of the child
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        sleep(0.2)
        if clock_gettime(clock) > moved[0]:
            moved = clock_gettime(clock), perf_counter()
        elif perf_counter() - moved[1] > IDLE:
            os.killpg(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(ended[1])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return "timed out", used
    said = (folder.parent / "log").read_text(errors="replace").splitlines()
    first = next((line for line in said if line.startswith(("FAILED", "ERROR"))), f"code {code}")
    return first.split(" - ")[0] if code else "", used


def compiled(text: str) -> bool:
    """Whether a module is a part of kernels, which a change makes compile anew."""
    return "meanfield.jit" in text or "\nfrom numba" in text


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    middle, spread = hits + z * z / 2, z * np.sqrt(hits * (n - hits) / n + z * z / 4)
    return float((middle - spread) / (n + z * z)), float((middle + spread) / (n + z * z))


class Checkout:
    """A copy of the checkout in which one module at a time is changed; leaves when it is closed."""

    def __init__(self, took: Path) -> None:
        self.folder, self.took = Path(tempfile.mkdtemp(prefix="mutants-")), took.absolute()
        hidden = shutil.ignore_patterns(".git", "results", ".hypothesis", "*.pyc")
        shutil.copytree(ROOT, self.folder / "checkout", ignore=hidden)
        self.package, self.kept = self.folder / "checkout/meanfield", self.folder / "kept"
        # Kernels of formulas that mutants compile stay out of everybody's cache.
        os.environ["XDG_CACHE_HOME"] = str(self.package / "cache")

    def __enter__(self) -> Checkout:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder)

    def tried(
        self, tests: list[str], module: str = "", text: str = "", seconds: float = SECONDS
    ) -> tuple[str, float]:
        """How tests end with this text in a module's place.

        What is compiled stays for the next mutant, unless the module is a part of kernels.
        """
        if not module:
            return tried(self.folder / "checkout", self.took, tests, seconds)
        shutil.copytree(self.package, self.kept, copy_function=os.link)
        (self.package / module).unlink()
        (self.package / module).write_text(text)
        found = tried(self.folder / "checkout", self.took, tests, seconds)
        if compiled(text):
            shutil.rmtree(self.package)
            self.kept.rename(self.package)
        else:
            (self.kept / module).replace(self.package / module)
            shutil.rmtree(self.kept)
        return found

    def in_time(self, tests: list[str], module: str, text: str) -> tuple[str, float]:
        """The same; what runs out of time has three times what the tests take without a change."""
        end, used = self.tried(tests, module, text)
        if end == "timed out":
            tree = ast.parse((ROOT / "meanfield" / module).read_text())
            failed, base = self.tried(tests, module, ast.unparse(tree), 10 * SECONDS)
            if failed:
                raise SystemExit(f"{' '.join(tests)}: without any change, {failed}")
            if 3 * base > SECONDS:
                end, used = self.tried(tests, module, text, 3 * base)
        return end, used


class Results:
    """What came of mutants, and what tests of unchanged modules take, a line of a file each."""

    def __init__(self, path: Path) -> None:
        self.path, self.found = path, {}
        for line in path.read_text().splitlines() if path.exists() else ():
            one = json.loads(line)
            self.found[self.key(one)] = one

    def key(self, one: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(one.get(name) for name in ("module", "line", "was", "became", "tests"))

    def get(self, one: dict[str, Any]) -> dict[str, Any] | None:
        return self.found.get(self.key(one))

    def add(self, one: dict[str, Any]) -> dict[str, Any]:
        self.found[self.key(one)] = one
        with self.path.open("a") as file:
            file.write(json.dumps(one) + "\n")
        return one


def attempt(
    module: str, number: int, tests: list[str], results: Results, checkout: Checkout, again: bool
) -> dict[str, Any]:
    """What came of a mutant, which is tried unless the results know it."""
    text, one = mutant(module, number)
    found = results.get(one)
    if found is None or (again and not found["end"]):
        end, used = checkout.in_time(tests, module, text)
        found = results.add({**one, "end": end, "used": used})
    return found


def killer(end: str, tests: list[str]) -> list[str]:
    """The tests that ended a mutant: one, or all where these took too long."""
    status, _, node = end.partition(" ")
    return [node] if status in ("FAILED", "ERROR") else tests


def confirm(tests: list[str], results: Results, checkout: Checkout) -> None:
    """What tests say of mutants counts only where they pass without them, and in time."""
    new = [test for test in tests if results.get({"tests": test}) is None]
    for k in range(0, len(new), 10):
        some = new[k : k + 10]
        end, used = checkout.tried(some, seconds=10 * SECONDS)
        if end:
            raise SystemExit(f"{' '.join(some)}: without any change, {end}")
        for test in some:
            results.add({"tests": test, "used": used})


def planted(known: dict[str, Any], checkout: Checkout) -> None:
    """The named changes, each with the test that is to see it."""
    for one in known["planted"]:
        text = (ROOT / "meanfield" / one["module"]).read_text()
        if text.count(one["was"]) != 1:
            raise SystemExit(f"{one['module']} does not hold {one['was']!r} once")
        name, _, test = one["test"].partition("::")
        node = f"tests/test_{name}.py" + (f"::{test}" if test else "")
        changed = text.replace(one["was"], one["became"])
        end, _ = checkout.tried([node], one["module"], changed)
        print(f"{one['what']}: {end or 'SURVIVED'}", flush=True)


def reason(found: dict[str, Any], judged: Sequence[dict[str, str]]) -> str:
    """Why a survivor was judged to change no answer; "" where it was not."""
    keys = ("module", "was", "became")
    return next((j["why"] for j in judged if all(j[k] == found[k] for k in keys)), "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="part of the modules' names")
    compiled_or_not: dict[str, Any] = {"action": argparse.BooleanOptionalAction, "default": None}
    parser.add_argument("--compiled", **compiled_or_not, help="modules with kernels, or without")
    parser.add_argument("--results", type=Path, default=Path("mutants.jsonl"))
    parser.add_argument("--again", action="store_true", help="try survivors once more")
    parser.add_argument("--planted", action="store_true", help="try the named changes instead")
    asked = parser.parse_args()
    took = asked.results.with_suffix(".took.json")
    known = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
    if asked.planted:
        with Checkout(took) as checkout:
            return planted(known, checkout)
    places = []
    for module in known["tests"]:
        text, counted = (ROOT / "meanfield" / module).read_text(), Change()
        if asked.only in module and asked.compiled in (None, compiled(text)):
            counted.visit(ast.parse(text))
            places += [(module, i) for i in range(counted.seen)]
    drawn = np.random.default_rng(asked.seed).permutation(len(places))[: asked.count]
    results, dead, equal, killers = Results(asked.results), 0, 0, set()
    with Checkout(took) as checkout:
        for module, number in (places[k] for k in drawn):
            tests = [f"tests/test_{name}.py" for name in known["tests"][module]]
            tests.append(f"meanfield/{module}")  # its examples
            found = attempt(module, number, tests, results, checkout, asked.again)
            why = "" if found["end"] else reason(found, known.get("judged", ()))
            told = found["end"] or (f"changes no answer: {why}" if why else "SURVIVED")
            print(f"{module}:{found['line']} {told}", flush=True)
            if found["end"]:
                dead, killers = dead + 1, killers | set(killer(found["end"], tests))
            else:
                equal += bool(why)
                print(f"    {found['was']}\n -> {found['became']}", flush=True)
        confirm(sorted(killers), results, checkout)
    n = len(drawn) - equal
    low, high = wilson(dead, n)
    print(f"{dead} of {n} killed: {dead / n:.1%}, 95% interval {low:.1%} to {high:.1%}; {equal}")
    modules = len({module for module, _ in places})
    print(f"more change no answer; {len(places)} places in {modules} modules, seed {asked.seed}")


if __name__ == "__main__":
    main()
