"""Whether two checkouts compute the same bytes: about a hundred short runs of everything, compared.

    python -m benchmarks.same_bytes OLD NEW [--only PATTERN] [--out FOLDER]

OLD and NEW are folders that hold a `meanfield/`; each runs in a process of its own, with the Python
that runs this script. Tests compare runs within one checkout; a change that must not change a
number (files that move, functions that merge) is checked with this before it is committed. `--only`
picks the runs whose names match a regular expression. Differences are listed by run and array, with
the largest absolute one; the exit status says whether there are any. Only the public interface is
used, so that checkouts of any structure compare.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[], dict[str, Any]]


def games(mf: Any) -> dict[str, tuple[Any, Any]]:
    """A game and a start by name."""
    one, two, ball = mf.Torus(1), mf.Torus(2), mf.Sphere(2)
    bump = "exp((cos(x - {}) - 1)/0.3)"  # in words that checkouts of any age read
    bumps = mf.Start(*(mf.games.density(bump.format(center)) for center in (1.1, 0.2)))
    flat = mf.games.trigonometric(
        [((1, 0), (-1, 0), 1, 0), ((0, 1), (0, -1), 0.7, 0), ((2, 1), (1, 0), 0, -0.25)]
    )

    def loss(x: Any, y: Any) -> Any:
        return np.cos(x[..., 0] - y[..., 0]) + 0.2 * np.sin(x[..., 0])

    def gradient_x(x: Any, y: Any) -> Any:
        return -np.sin(x - y) + 0.2 * np.cos(x)

    def gradient_y(x: Any, y: Any) -> Any:
        return np.sin(x - y)

    many = mf.games.trigonometric([((k,), (-k,), 1 / k, 0.1 * k) for k in range(1, 13)])
    smooth = "exp(sin(x)*cos(y)) + 0.3*cos(2*x - y)"
    return {
        "circle": (mf.games.oscillator(), bumps),
        "benchmark": (mf.games.benchmark("circle"), bumps),
        "many modes": (many, bumps),
        "torus": (flat, mf.Start()),
        "l_a": (mf.games.polynomial("a"), mf.Start()),
        "l_b": (mf.games.polynomial("b"), mf.Start()),
        "bilinear": (mf.games.bilinear(), mf.Start()),
        "formula": (mf.games.expression(smooth, one, one), bumps),
        "torus formula": (
            mf.games.expression("exp(cos(x1 - y1)) + sin(x2)*cos(y2)", two, two), mf.Start()
        ),
        "sphere formula": (
            mf.games.expression("exp(0.5*(x1*y1 + x2*y2 + x3*y3)) + x1*y2", ball, ball), mf.Start()
        ),
        "function": (mf.games.function(loss, one, one, gradient_x, gradient_y), bumps),
    }  # fmt: skip


def flows(mf: Any) -> dict[str, Any]:
    log, poly = mf.Schedule("log"), mf.Schedule("poly", scale=1.0, power=0.5)
    return {
        "Langevin": mf.Langevin((8.0, 5.0), (1.0, 0.5)),
        "WFR": mf.WassersteinFisherRao(1.0, (1.0, 0.7)),
        "mirror": mf.MirrorDescent(1.3),
        "plain": mf.Wasserstein(),
        "averaged": mf.AveragedLangevin(8.0, 1.0),
        "discounted": mf.DiscountedLangevin(8.0, 2.0),
        "annealed": mf.Annealed(mf.Langevin(8.0), log, poly),
        "response": mf.EntropicBestResponse(8.0, 2.0),
        "two scales": mf.TwoTimeScale(8.0, 3.0),
    }


def of_measure(mu: Any) -> dict[str, Any]:
    return {"points": mu.points, "masses": mu.masses}


def of_run(run: Any, states: bool = True) -> dict[str, Any]:
    """Times, last measures, what was recorded and the state that a resumed run starts from."""
    out = {"times": run.times}
    for name, mu in zip("xy", run[-1], strict=True):
        out |= {f"{name}.{key}": value for key, value in of_measure(mu).items()}
    out |= {f"recorded.{key}": value for key, value in run.diagnostics.items()}
    if states:
        out |= dict(leaves("state", run.state))
    return out


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The arrays and numbers of a tree of dicts and lists, by path."""
    if isinstance(value, dict):
        for key in value:
            yield from leaves(f"{name}.{key}", value[key])
    elif isinstance(value, (list, tuple)):
        for k, item in enumerate(value):
            yield from leaves(f"{name}.{k}", item)
    elif isinstance(value, (np.ndarray, float, int, bool, np.generic)):
        yield name, value


SIZE = {"step": 1e-2, "particles": (130, 70), "seed": 3, "save_every": 0.05}


def simulated_runs(mf: Any) -> Iterator[tuple[str, Run]]:
    """Games x flows x schemes through `simulate`."""
    made, moves = games(mf), flows(mf)

    def run(g: str, f: str, scheme: str = "euler", **more: Any) -> Run:
        game, start = made[g]
        options = {**SIZE, "scheme": scheme, "time": 0.1, **more}
        return lambda: of_run(mf.simulate(game, moves[f], start, **options))

    for g in made:
        for f in ("Langevin", "WFR"):
            for scheme in ("euler", "strang"):
                yield f"simulate {g}, {f}, {scheme}", run(g, f, scheme)
    for g in ("circle", "formula"):
        for f in ("mirror", "plain", "annealed", "two scales"):
            yield f"simulate {g}, {f}", run(g, f)
    for f in ("averaged", "discounted"):
        yield f"simulate circle, {f}", run("circle", f)
        yield f"simulate l_b, {f}", run("l_b", f)
    for g in ("circle", "l_b", "formula"):
        yield f"simulate {g}, response", run(g, "response")
        yield f"simulate {g}, WFR, mirror-prox", run(g, "WFR", "mirror-prox")
    for g in ("many modes", "formula"):
        yield f"simulate {g}, Langevin, float32", run(g, "Langevin", precision="float32")
    yield "simulate circle, refined noise", run("circle", "Langevin", refine=2)
    yield "simulate circle, quantiles", run("circle", "Langevin", placement="quantile")
    yield "simulate formula, large", run("formula", "Langevin", particles=(1500, 1200))
    yield "simulate circle, large", run("circle", "WFR", particles=(30000, 2000))


def resumed_runs(mf: Any) -> Iterator[tuple[str, Run]]:
    """Particles that stop halfway and go on."""
    made, moves = games(mf), flows(mf)

    def resumed(g: str, f: str) -> Run:
        game, start = made[g]

        def go() -> dict[str, Any]:
            half = mf.simulate(game, moves[f], start, time=0.05, **SIZE)
            return of_run(mf.simulate(game, moves[f], None, time=0.1, resume=half))

        return go

    for g, f in (
        ("circle", "Langevin"),
        ("l_b", "WFR"),
        ("formula", "WFR"),
        ("circle", "averaged"),
    ):
        yield f"resume particles {g}, {f}", resumed(g, f)


def copied_runs(mf: Any) -> Iterator[tuple[str, Run]]:
    """Copies in a mean field, and an ensemble."""
    from meanfield.particles.ensemble import ensemble

    made, moves = games(mf), flows(mf)

    def driven(g: str, f: str, scheme: str) -> Run:
        game, start = made[g]

        def go() -> dict[str, Any]:
            every = 1e-2 if scheme == "euler" else 5e-3
            cells = {"cells": 48} if g == "circle" else {}
            field = mf.solve(game, moves[f], start, 0.1, save_every=every, **cells)
            return of_run(mf.copies(game, moves[f], start, field, 0.1, scheme=scheme, **SIZE))

        return go

    for scheme in ("euler", "strang"):
        yield f"copies circle, Langevin, {scheme}", driven("circle", "Langevin", scheme)
        yield f"copies circle, WFR, {scheme}", driven("circle", "WFR", scheme)
    yield "copies l_b, Langevin, euler", driven("l_b", "Langevin", "euler")

    def several() -> dict[str, Any]:
        game, start = made["circle"]
        runs = ensemble(game, moves["WFR"], start, 0.1, replicas=3, progress=False, **SIZE)
        return {f"{k}.{key}": v for k, r in enumerate(runs) for key, v in of_run(r).items()}

    yield "ensemble circle, WFR", several


def field_runs(mf: Any) -> Iterator[tuple[str, Run]]:
    """Engines x {fixed, controlled, resumed}."""
    made, moves = games(mf), flows(mf)
    asked = [
        ("galerkin", "circle", "Langevin", {"cells": 48}),
        ("galerkin", "torus", "Langevin", {"cells": 16}),
        ("harmonics", "l_b", "Langevin", {"cells": 6}),
        ("harmonics", "l_a", "Langevin", {"cells": 6}),
        ("staggered", "circle", "Langevin", {"cells": 48}),
        ("finite-volume", "circle", "Langevin", {"cells": 48}),
        ("finite-volume", "l_b", "Langevin", {}),
        ("finite-volume", "formula", "Langevin", {"cells": 32}),
        ("characteristics", "circle", "WFR", {"cells": 64}),
        ("characteristics", "circle", "plain", {}),
        ("characteristics", "l_b", "WFR", {}),
        ("muscl", "circle", "WFR", {"cells": 64}),
        ("splitting", "circle", "averaged", {"cells": 32}),
        ("splitting", "circle", "annealed", {"cells": 32}),
        ("splitting", "circle", "response", {"cells": 32}),
    ]

    def go(engine: str, g: str, f: str, more: dict[str, Any], how: str) -> Run:
        game, start = made[g]
        step = {} if how != "fixed" else {"step": 5e-3}

        def call(time: float, **extra: Any) -> Any:
            return mf.solve(
                game, moves[f], start, time, engine=engine, save_every=0.05, **more, **step, **extra
            )

        if how == "resumed":
            return lambda: of_run(call(0.15, resume=call(0.05)))
        return lambda: of_run(call(0.15))

    for engine, g, f, more in asked:
        for how in ("fixed", "controlled", "resumed"):
            yield f"solve {engine}, {g}, {f}, {how}", go(engine, g, f, more, how)
    game, start = made["circle"]
    yield (
        "solve best-response, circle",
        lambda: of_run(mf.solve(game, mf.BestResponse(), start, 0.2, cells=48)),
    )


def of_result(result: Any) -> dict[str, Any]:
    """Numbers and arrays of a result by attribute."""
    out = {}
    for key, value in vars(result).items():
        if hasattr(value, "masses"):
            out |= {f"{key}.{k}": v for k, v in of_measure(value).items()}
        else:
            out |= dict(leaves(key, value))
    return out


def other_runs(mf: Any) -> Iterator[tuple[str, Run]]:
    """W2, NI, Gibbs and Nash points, stability."""
    made = games(mf)
    rng = np.random.default_rng(5)

    def atoms(manifold: Any, n: int, weighted: bool = True) -> Any:
        x = manifold.retract(manifold.sample(n, rng), np.zeros((n, manifold.ambient)))
        w = rng.random(n) if weighted else np.ones(n)
        return mf.Measure(x, w / w.sum(), manifold)

    spaces = {"T1": mf.Torus(1), "T2": mf.Torus(2), "S2": mf.Sphere(2)}
    for name, manifold in spaces.items():
        a, b, c, d = (atoms(manifold, n, w) for n, w in ((40, 1), (30, 1), (50, 0), (50, 0)))
        yield f"w2 {name}, atoms", lambda a=a, b=b: {"w2": mf.w2(a, b)}
        yield f"w2 {name}, equal atoms", lambda c=c, d=d: {"w2": mf.w2(c, d)}
        cells = mf.mesh(manifold, 162 if name == "S2" else 24)
        tilted = cells.volumes * (1 + 0.5 * np.cos(cells.nodes[:, 0]))
        smooth = mf.Density(tilted / tilted.sum(), cells)
        yield f"w2 {name}, atoms and density", lambda a=a, s=smooth: {"w2": mf.w2(a, s)}
    for name, (game, _) in made.items():
        a, b = atoms(game.X, 20), atoms(game.Y, 25)
        yield (
            f"loss {name}",
            lambda game=game, a=a, b=b: {
                "loss": game.loss(a.points, b.points), "value": game.value(a, b),
                "U": game.cost(0, a.points, b), "V": game.cost(1, b.points, a),
                "dU": game.gradient(0, a.points, b), "dV": game.gradient(1, b.points, a),
                "lap": game.laplacian(0, a.points, b), "hess": game.hessian(1, b.points, a),
            },
        )  # fmt: skip
        yield f"ni {name}", lambda game=game, a=a, b=b: of_result(mf.nikaido_isoda(game, a, b))
    for name in ("circle", "torus", "l_b", "formula"):
        game = made[name][0]
        yield f"gibbs {name}", lambda game=game: of_result(mf.gibbs(game, 5.0))
    for name in ("circle", "benchmark", "bilinear"):
        game = made[name][0]
        yield f"nash {name}", lambda game=game: of_result(mf.nash(game))
    yield (
        "stability circle",
        lambda: of_result(mf.stability(made["circle"][0], mf.Langevin(5.0))),
    )


def every(mf: Any) -> Iterator[tuple[str, Run]]:
    for runs in (simulated_runs, resumed_runs, copied_runs, field_runs, other_runs):
        yield from runs(mf)


def child(out: Path, only: str) -> None:
    """Run everything of the `meanfield` on the path; arrays to `out`, by "run: array"."""
    import warnings

    import meanfield as mf

    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    for name, run in every(mf):
        if not re.search(only, name):
            continue
        try:
            arrays = run()
        except Exception as error:  # a run that fails in one checkout alone is a difference, too
            arrays = {"failed": np.array(f"{type(error).__name__}: {error}")}
            if os.environ.get("SAME_BYTES_TRACE"):
                traceback.print_exc()
        found |= {f"{name}: {key}": np.asarray(value) for key, value in arrays.items()}
        print(".", end="", flush=True)
    print(f" {mf.__file__}")
    np.savez(out, **{key.replace("/", "|"): value for key, value in found.items()})


def gap(a: Any, b: Any) -> str:
    """How two arrays differ, or nothing."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"{a.dtype}{a.shape} is {b.dtype}{b.shape}"
    if a.tobytes() == b.tobytes():
        return ""
    if a.dtype.kind not in "fciub":
        return f"{a} is {b}"
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore"):
        return f"differs by {np.nanmax(np.abs(a.astype(wide) - b.astype(wide))):.3g}"


def report(old: Any, new: Any) -> int:
    """Print what differs and the number of runs; how many runs differ."""
    differing, renamed = set(), 0
    for key in sorted({*old, *new}):
        alone = key not in old or key not in new
        if alone and ": state." in key:  # names of what an engine keeps are its own business
            renamed += 1
            continue
        where = "old" if key in old else "new"
        what = f"only in the {where} checkout" if alone else gap(old[key], new[key])
        if what:
            differing.add(key.split(": ")[0])
            print(f"  {key}: {what}")
    runs = {key.split(": ")[0] for key in old} | {key.split(": ")[0] for key in new}
    failed = sorted(key for key in new if key.endswith(": failed"))
    print(f"{len(runs)} runs, {len(new)} arrays, {len(differing)} runs differ")
    if renamed:
        print(f"{renamed} arrays of states have names that the other checkout has not")
    for key in failed:
        print(f"  {key}: {new[key]}")
    return len(differing)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--only", default="", metavar="PATTERN")
    parser.add_argument("--out", type=Path, help="where the arrays of both are kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name, checkout in (("old", given.old), ("new", given.new)):
            if not (checkout / "meanfield" / "__init__.py").is_file():
                parser.error(f"{checkout} holds no meanfield/")
            env = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
            how = [sys.executable, str(Path(__file__).resolve()), "--child", str(folder / name)]
            subprocess.run([*how, given.only], env=env, cwd=folder, check=True)
        old, new = (np.load(folder / f"{name}.npz") for name in ("old", "new"))
        return 1 if report(old, new) else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(main())
