"""The page of what a TOML file may say, from the tables that check it (`meanfield.cli.schema`).

The keys and what they take come from the program; the sentence that says what a key is for stands
here. A key without one is listed all the same, by what it takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from meanfield import flows, games
from meanfield.cli import SWEEP_HELP, build, grid, schema
from meanfield.games.catalogue import CONSTRUCTORS

TITLE = """# TOML files

A run is described by a TOML file: a game, a flow, where it starts, and what to do.
`meanfield run FILE.toml` follows the flow, `compare` measures the distance between particles and
mean field, `gibbs` and `nash` look for equilibria. Every key is checked before anything runs, and
an error names the file, the line, the key and what to do. `--set section.key=value` changes one
value from the command line. A top-level `title` is free text. Mixtures of GANs
(`meanfield gan train`) have sections of their own, from [data] on, beside [flow] and [output].

The tables below are made from the program itself.
"""

WAVES = "list of waves `[k, re, im]`: the sum of re cos kx - im sin kx"
NETWORK = {
    "kind": "`mlp` for a ring, `dcgan` for images of 28 x 28, `resnet` for those of 32 x 32",
    "width": "units, or channels, of a layer",
    "depth": "hidden layers of an mlp; 0 is linear",
    "norm": "BatchNorm in an mlp",
    "bound": "outputs of an mlp are bound tanh(...)",
}
MEANINGS: dict[str, dict[str, str]] = {
    "game": {
        "coupling": "a, the strength of the term that both players share",
        "amplitude": "A",
        "k": "the frequency, one number an axis",
        "f": WAVES,
        "g": f"{WAVES}; like f when left out",
        "tilt": "how unequal the wells are",
        "A": "a matrix by rows",
        "dim": "the dimension d of the space around the sphere",
        "which": "where it is played",
        "kind": "which of the paper's two games",
        "seed": "of the random matrices",
        "A0": "matrix by rows, 0 for none",
        "A1": "matrix by rows, 0 for none",
        "A2": "matrix by rows, 0 for none",
        "A3": "matrix by rows, 0 for none",
        "a0": "vector, 0 for none",
        "a1": "vector, 0 for none",
        "terms": "each term `[[k, ...], [l, ...], re, im]`",
        "expression": "the loss as a formula in x, y or x1, x2, ..., y1, y2, ...",
        "constants": "named numbers of the formula",
        "X": "the space of the minimiser",
        "Y": "the space of the maximiser",
        "truncate": "replace the loss by a trigonometric polynomial within this fraction of its "
        "largest value",
    },
    "changes": {
        "memory": "costs are averaged over the past",
        "cooling": "the temperature falls with time",
        "speed": "all rates fall with time",
    },
    "run": {
        "level": "solve the mean-field equation, or follow particles",
        "time": "how long to follow the flow",
        "save_every": "time between saved states",
        "record": "what is recorded at every saved time: `ni` is the Nikaido-Isoda error",
        "step": "the time step; engines control theirs to `tol` when it is left out",
        "particles": "number of particles of each player",
        "seed": "names the noise and the random starts",
        "scheme": "how particles step",
        "replica": "numbers independent runs of one seed",
        "refine": "particles: so many normals of the noise are summed into one; "
        "characteristics: how near labels are kept, as a tolerance",
        "placement": "independent draws, equal-mass quantiles, or the start's own atoms",
        "device": "where pairs are summed",
        "precision": "precision in which pairs or modes are looked at",
        "cells": "nodes an axis, or what the engine counts instead",
        "engine": "the scheme of the mean field",
        "tol": "tolerance of the engine's time step",
        "weights": "flux of the finite-volume engine",
        "order": "order in space of the staggered engine: 4, 6 or 8",
        "limiter": "slope limiter of the muscl engine",
        "extrapolation": "theta of primal-dual steps",
    },
    "compare": {
        "time": "length of the runs",
        "particles": "the numbers n",
        "replicas": "how many runs of each n",
        "step": "the particles' time step, whose bias is measured",
        "scheme": "how particles step",
        "save_every": "time between comparisons",
        "cells": "nodes of the mean field",
        "engine": "the scheme of the mean field",
        "tol": "tolerance of the mean field's time step",
        "seed": "names the noise and the random starts",
        "threads": "replicas at a time; all cores by default",
        "confidence": "of the bands and intervals",
        "control": "use coupled copies as control variates",
        "first_replica": "number of the first replica; comparisons whose replicas follow merge",
        "average": "record the error of time averages too",
    },
    "check": {
        "theorems": "which of 1, 2 and 3; all that apply by default",
        "time": "of Theorem 3's comparison",
        "particles": "the numbers n",
        "replicas": "how many runs of each n",
        "step": "the particles' time step",
        "cells": "of the mean field and the Gibbs pair",
        "seed": "names the noise and the random starts",
        "threads": "replicas at a time; all cores by default",
    },
    "gibbs": {
        "beta": "the inverse temperature; the flow's own by default",
        "cells": "nodes an axis",
        "tol": "bound of the residual",
    },
    "nash": {
        "tol": "gain of a best response at which to stop, relative to the losses",
        "rounds": "most rounds of the double oracle",
        "seed": "where the supports begin",
    },
    "sweep": {
        "command": "what is computed at every point; needed where the file has several sections",
        "keep": "numbers alone, or whole results",
        "folder": "where finished tasks are kept",
        "replicas": "of runs of particles",
    },
    "start": {"x": "the law of the minimiser", "y": "the law of the maximiser"},
    "output": {
        "file": "where the result goes",
        "checkpoint_every": "seconds between checkpoints",
    },
    "data": {
        "kind": "Gaussians on a circle (the default), or images; `mnist` reads Fashion-MNIST too",
        "modes": "of a ring",
        "std": "of each Gaussian",
        "radius": "of the circle of their means",
        "folder": "where the files of the images are",
        "part": "of the images",
        "name": "of the images, as results tell it",
    },
    "generator": NETWORK,
    "critic": NETWORK,
    "gan": {
        "noise": "the dimension of what generators take",
        "clip": "bound of the critics' parameters",
        "penalty": "lambda of the critics' gradient penalty",
    },
    "train": {
        "steps": "how many",
        "step": "learning rates are gamma, and eta' is alpha, times this",
        "generators": "how many",
        "critics": "how many",
        "batch": "data in a batch",
        "fakes": "noise for each generator; as many as data by default",
        "rule": "how networks move: with a trial step or without, by Adam or along the gradient",
        "order": "whether generators see the critics before or after they moved",
        "betas": "of Adam",
        "warm_up": "steps during which weights stay",
        "average": "decay of running averages of parameters and buffers; 0 keeps none",
        "seed": "names starts, batches and noise",
        "save_every": "steps between what is recorded",
        "scores": "what is recorded beside losses and weights, on a ring",
        "compile": "whether PyTorch compiles the loss",
        "device": "where networks are, `cpu` or `cuda`",
        "threads": "of PyTorch; a resumed run needs the same",
    },
}
STARTS = """
`x` and `y` each take one of

| value | law |
|---|---|
| `"uniform"` | the uniform law (the default) |
| `{center = 1.0, std = 0.3}` | a smooth bump, as `meanfield.concentrated` makes it |
| `{density = "1 + 0.5*cos(x)", constants = {a = 1.5}}` | a density, need not be normalised |
| `{points = [[0.0], [1.0]], masses = [0.5, 0.5]}` | atoms; equal masses when left out |
"""


def takes(check: Callable[[Any], Any]) -> str:
    """What a check lets pass, in words, from its docstring and the checks inside it."""
    inner = inspect.getclosurevars(check).nonlocals
    kind = check.__qualname__.split(".")[0]
    if kind == "one_of":
        return " or ".join(f"`{name}`" for name in inner["names"])
    if kind == "pair_or_one":
        return f"{takes(inner['item'])}, or two as `[for x, for y]`"
    if kind == "many":
        return f"list, each item {takes(inner['item'])}"
    if kind == "one_or_many":
        return f"{takes(inner['item'])}, or a list of them"
    if kind == "anything":
        return "a value or an array"
    words = (inspect.getdoc(check) or kind).splitlines()[0].rstrip(".").split(", whole or not")[0]
    return words[0].lower() + words[1:]


def table(keys: Mapping[str, Any], meanings: Mapping[str, str] | None = None) -> str:
    """A section's keys, what each takes and, where known, what for."""
    rows = ["| key | takes | meaning |", "|---|---|---|"]
    for key, check in keys.items():
        meaning = (meanings or {}).get(key, "")
        owner = schema.OPTIONS.get(key, ("",))[0] if meanings is MEANINGS["run"] else ""
        only = f" (engine `{owner}`)" if owner and key != "refine" else ""
        rows.append(f"| `{key}` | {takes(check)} | {meaning}{only} |")
    return "\n".join(rows) + "\n"


def summary(made: Any) -> str:
    """The first line of a docstring, its formulas safe from Markdown."""
    line = (inspect.getdoc(made) or "").splitlines()[0]
    for sign in "\\*_<|[]$":
        line = line.replace(sign, "\\" + sign)
    return line


def game_section() -> str:
    """Every game of the catalogue with its keys."""
    parts = ["## [game]\n", "`name` is one of the following, with that game's own keys.\n"]
    for name in CONSTRUCTORS:
        parts += [f"### {name}\n", summary(getattr(games, name)) + "\n"]
        keys = build.arguments(name)
        parts += [table(keys, MEANINGS["game"]) if keys else "No keys.\n"]
    return "\n".join(parts)


def flow_section() -> str:
    """Every flow with its keys."""
    parts = ["## [flow]\n", "`name` is one of the following, with that flow's own numbers.\n"]
    rows = ["| name | keys | what it is |", "|---|---|---|"]
    for name, keys in build.FLOWS.items():
        listed = ", ".join(f"`{key}`" for key in keys)
        rows.append(f"| `{name}` | {listed} | {summary(getattr(flows, name))} |")
    parts += ["\n".join(rows) + "\n"]
    parts += [
        "Numbers may be `[for x, for y]`. Any flow may have besides\n",
        table(build.CHANGES, MEANINGS["changes"]),
    ]
    return "\n".join(parts)


def page() -> str:
    """The whole page in Markdown."""
    parts = [TITLE, game_section(), flow_section()]
    for name, keys in schema.SECTIONS.items():
        if name in ("game", "flow"):
            continue
        keys = grid.SETTINGS if name == "sweep" else keys
        parts += [f"## [{name}]\n", table(keys, MEANINGS.get(name, {}))]
        parts += [STARTS] if name == "start" else []
        parts += [f"```text\n{SWEEP_HELP.rstrip()}\n```\n"] if name == "sweep" else []
    return "\n".join(parts)


def written(path: Path, text: str) -> None:
    """Write a page unless it stands there already, so that it is not read again."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def setup(app: Any) -> dict[str, Any]:
    target = Path(app.srcdir) / "reference" / "toml.md"
    app.connect("builder-inited", lambda app: written(target, page()), priority=1)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
