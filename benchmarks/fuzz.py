"""python -m benchmarks.fuzz TARGET [--cases N] [--seed S]: hostile formulas and files, counted.

    grammar    a loss as text, read alone
    formula    a loss as text: read, checked, evaluated
    toml       a file of `meanfield run | compare | check | gibbs | nash | sweep`, up to the run
    bytes      a result file whose bytes were changed and which was given a fitting digest
    structure  a result file whose groups, arrays and attributes were changed, likewise

A case passes when it is accepted, or refused by an error that this package raises on purpose. It
fails by any other exception, by more than SECONDS of processor time, by memory beyond MEMORY, by
the end of its process, and by code that is run or a file that is opened outside the folder of the
case (an audit hook looks). Where atheris is installed, cases are led by the lines of the package
that they reach; elsewhere they are changes of known files at random. What is found is printed with
its case, and kept in --out; the number of cases is printed at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import linecache
import os
import random
import select
import signal
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.fuzz_targets import TARGETS
from benchmarks.hostile_cases import TOKENS, known, mutated

SECONDS, MEMORY, HANGS = 10.0, 4 << 30, 30.0
READING = (tomllib.TOMLDecodeError, UnicodeError)  # whose words say what is wrong, too
ROOT = Path(__file__).resolve().parent.parent
# What coverage is counted in: modules that read what strangers write, without compiled kernels.
READERS = (
    "tomllib", "meanfield.cli.schema", "meanfield.cli.spec", "meanfield.cli.build",
    "meanfield.cli.grid", "meanfield.cli.jobs",
    "meanfield.games.formulas.grammar", "meanfield.games.formulas.domain",
    "meanfield.games.formulas.calculus", "meanfield.games.formulas.expansion",
    "meanfield.games.formulas.expressions", "meanfield.games.formulas.densities",
    "meanfield.storage", "meanfield.describe", "meanfield.laws", "meanfield.start",
    "meanfield.flows", "meanfield.studies.sweep.axes",
)  # fmt: skip


class Escape(BaseException):
    """A case ran code or opened a file that is none of its business."""


class Watch:
    """An audit hook: while `on`, files are opened in `folder` alone and no code is run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.on = str(folder.resolve()), False
        self.ours = tuple(map(str, (ROOT / "meanfield", *map(Path, {sys.prefix, sys.base_prefix}))))
        sys.addaudithook(self.look)

    def look(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on or (
            event not in ("open", "exec")
            and not event.startswith(
                (
                    "os.system",
                    "os.exec",
                    "os.posix_spawn",
                    "subprocess.",
                    "socket.",
                    "ctypes.dlopen",
                )
            )
        ):
            return
        if event == "exec" and args[0].co_filename.startswith(
            (*self.ours, "<frozen", "<string>", "<unknown>")
        ):
            return  # a module imported late, or what dataclasses make of their own text
        if event == "open" and (isinstance(args[0], int) or self._may(*args)):
            return
        self.on = False
        raise Escape(f"{event} {args!r:.300}")

    def _may(self, path: Any, mode: Any, flags: int) -> bool:
        name = os.path.realpath(os.fsdecode(path))
        reads = not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        known = (*self.ours, "/proc", "/dev/null", "/sys", str(Path.home() / ".cache"))
        return name.startswith(self.folder) or (reads and name.startswith(known))


def on_purpose(error: BaseException) -> bool:
    """Whether an error, and those whose words it repeats, come from a `raise` of this package."""
    seen: BaseException | None = error
    while seen is not None and str(seen) in str(error):
        frames = traceback.extract_tb(seen.__traceback__)
        line = linecache.getline(frames[-1].filename, frames[-1].lineno or 0) if frames else ""
        ours = bool(frames) and frames[-1].filename.startswith(str(ROOT / "meanfield"))
        if not isinstance(seen, READING) and not (ours and line.strip().startswith("raise")):
            return False
        seen = seen.__cause__ or seen.__context__
    return True


class Trial:
    """Runs cases of one target, counts them, and keeps those that fail."""

    def __init__(self, target: str, out: Path | None = None) -> None:
        self.target, self.out, self.count = target, out, 0
        self.files = target in ("bytes", "structure")  # whose errors all say the same first
        self.found: Counter[str] = Counter()
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.watch = Watch(self.folder)
        self.begun, self.said = time.perf_counter(), 0.0

    def __call__(self, data: bytes) -> None:
        self.count += 1
        clock, why = time.process_time(), ""
        try:
            self.watch.on = True
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                TARGETS[self.target](data, self.folder)
        except (ValueError, TypeError, OSError) as error:
            self.watch.on = False
            if not (str(error).startswith(str(self.folder)) if self.files else on_purpose(error)):
                why = _why(error)
        except (Exception, Escape) as error:
            self.watch.on = False
            why = _why(error)
        finally:
            self.watch.on = False
        spent = time.process_time() - clock
        if spent > SECONDS:
            why = why or "slow"
        if why:
            self.note(why, data, spent)
        if time.perf_counter() - self.said > 60:
            self.said = time.perf_counter()
            print(f"{self}", flush=True)

    def note(self, why: str, data: bytes, spent: float) -> None:
        self.found[why] += 1
        if self.found[why] > 3:
            return
        print(f"FOUND {why} ({spent:.1f} s): {data[:300]!r}", flush=True)
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            name = hashlib.sha256(data).hexdigest()[:12]
            (self.out / f"{self.target}-{name}").write_bytes(data)

    def __str__(self) -> str:
        spent = time.perf_counter() - self.begun
        found = ", ".join(f"{count} {why:.40}" for why, count in self.found.items()) or "none found"
        return f"{self.target}: {self.count:,} cases in {spent:.0f} s; {found}"


def _why(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    inner = error.__context__
    more = f" from {type(inner).__name__}: {inner!s:.80}" if inner is not None else ""
    return f"{type(error).__name__} at {where}: {' '.join(str(error).split())[:150]}{more}"


def case(target: str, seed: int, k: int) -> bytes:
    """The k-th case at random, the same on every machine."""
    return mutated(random.Random(f"{seed} {k}"), target)


def blind(trial: Trial, cases: int, seed: int) -> None:
    """Cases at random, in a child process each time that one dies or hangs."""
    k = 0
    while k < cases:
        into, out = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(into)
            for j in range(k, cases):
                found = sum(trial.found.values())
                trial(case(trial.target, seed, j))
                os.write(out, b"x" if sum(trial.found.values()) > found else b".")
            os._exit(0)
        os.close(out)
        end = ""
        while select.select([into], [], [], HANGS)[0] and (said := os.read(into, 4096)):
            k, trial.count = k + len(said), trial.count + len(said)
            trial.found["told above"] += said.count(b"x")
        if k < cases:
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            end = "hangs" if number == signal.SIGKILL else f"dies of signal {number}"
            trial.note(f"the process {end}", case(trial.target, seed, k), 0.0)
            k, trial.count = k + 1, trial.count + 1
        else:
            os.waitpid(child, 0)
        os.close(into)
    trial.found = +trial.found


def guided(trial: Trial, cases: int, seed: int, corpus: Path) -> None:
    """Cases led by coverage; ends the process."""
    import atheris

    corpus.mkdir(parents=True, exist_ok=True)
    if trial.target != "structure":
        for k, data in enumerate(known(trial.target)):
            (corpus / f"known-{k}").write_bytes(data)
    arguments = [sys.argv[0], f"-runs={cases}", f"-seed={seed + 1}", "-max_len=4000",
                 "-timeout=300", "-rss_limit_mb=6000", "-print_final_stats=1",
                 "-verbosity=0", str(corpus)]  # fmt: skip
    if trial.target in TOKENS:
        words = corpus.parent / f"{trial.target}.dict"
        words.write_text("".join(
            '"' + token.replace("\\", "\\\\").replace('"', '\\"') + '"\n'
            for token in TOKENS[trial.target]
        ))  # fmt: skip
        arguments.insert(1, f"-dict={words}")
    atheris.Setup(arguments, trial)
    atheris.Fuzz()


def main() -> int:
    """0 when every case passed."""
    layout: Any = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz", description=__doc__, formatter_class=layout
    )
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--blind", action="store_true", help="at random even with atheris")
    parser.add_argument("--out", type=Path, default=Path("results/fuzz"))
    options = parser.parse_args()
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except ImportError:  # not a Unix
        pass
    try:
        if options.blind:
            raise ImportError
        import atheris

        with atheris.instrument_imports(include=list(READERS)):
            _import_all(options.target)
    except ImportError:
        _import_all(options.target)
        options.blind = True
    trial = Trial(options.target, options.out)
    if not options.blind:
        guided(trial, options.cases, options.seed, options.out / f"corpus-{options.target}")
        return 0
    blind(trial, options.cases, options.seed)
    print(trial)
    return 1 if trial.found else 0


def _import_all(target: str) -> None:
    """Everything that a case may need, so that no case imports."""

    known(target)


if __name__ == "__main__":
    sys.exit(main())
