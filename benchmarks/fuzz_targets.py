"""What `benchmarks.fuzz` does with a case: each target reads what a stranger has written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.hostile_cases import known


def grammar(data: bytes, folder: Path) -> None:
    """The graph of a loss, which is bounded by its text."""
    from meanfield.games.formulas.grammar import ExpressionError, parse

    text = data.decode("utf-8", "surrogateescape")
    try:
        parsed = parse(text, {"a": 2.0} if "a" in text else {})
    except ExpressionError as error:
        assert len(str(error)) < 2000
        return
    assert len(parsed.graph.entries) <= 200 * len(text) + 10


def formula(data: bytes, folder: Path) -> None:
    """The game of a loss, its values, its derivatives, and the game again from plain data."""
    import numpy as np

    import meanfield as mf
    from meanfield.describe import describe, rebuild

    spaces = [(), (mf.Torus(1), mf.Torus(1)), (mf.Sphere(2), mf.Sphere(2)),
              (mf.Torus(2), mf.Sphere(1)), (mf.Torus(1, 1.0), mf.Torus(1, 1.0))]  # fmt: skip
    text = data[1:].decode("utf-8", "surrogateescape")
    how: Any = spaces[data[0] % len(spaces)] if data else ()
    try:
        game = mf.games.expression(text, *how)
    except mf.games.ExpressionError as error:
        assert len(str(error)) < 2000
        return
    rng = np.random.default_rng(0)
    x, y = game.X.sample(3, rng), game.Y.sample(2, rng)
    loss = game.loss(x, y)
    assert loss.shape == (3, 2) and np.isfinite(loss).all(), loss
    with np.errstate(all="ignore"):
        game.gradient(0, x, mf.Measure(y, None, game.Y))
    assert np.array_equal(rebuild(describe(game)).loss(x, y), loss)


def toml(data: bytes, folder: Path) -> None:
    """All that the commands do before they compute."""
    from types import SimpleNamespace

    from meanfield.cli import build, grid, jobs, sweeps
    from meanfield.cli.schema import BadInput
    from meanfield.cli.spec import read
    from meanfield.studies.sweep.folder import Folder

    path = folder / "case.toml"
    path.write_bytes(data)
    try:
        spec = read(str(path), [])
    except BadInput:
        return
    if "sweep" in spec.content:
        settings, axes = grid.settings_of(spec), grid.axes_of(spec)
        if all(len(axis.values) < 20 for axis in axes):
            list(sweeps._tasks(spec, settings["command"], axes, Folder(folder / "sweep")))
    for command in ("run", "compare", "gibbs", "nash"):
        out = str(folder / "out.h5")
        options = SimpleNamespace(
            file=str(path), set=[], command=command, out=out, quiet=True, threads=None
        )
        p = jobs.problem(options, needs_flow=command in ("run", "compare"))
        if command == "gibbs":
            jobs.gibbs_options(p)
        if command == "run" and "run" in spec.content:
            given = jobs.run_options(p)
            if given.pop("level") == "particles":
                given.pop("record", None)
                with build.placed(spec, "run"):
                    jobs.particles_need(p, given)
    spec.section("check"), spec.section("figure")


def _loaded(path: Path) -> None:
    """What `meanfield show` makes of a file: loaded, told as text, and its arrays."""
    import meanfield as mf
    from meanfield.cli.show import summary
    from meanfield.storage import read_header
    from meanfield.storage.export import arrays

    header = read_header(path)
    result = mf.load(path)
    summary(path, result, header)
    with suppress(TypeError):
        arrays(result)
    assert isinstance(header.finished, bool)


def changed_bytes(data: bytes, folder: Path) -> None:
    from meanfield.storage.seal import seal

    path = folder / "case.h5"
    with path.open("w+b") as file:
        file.write(data)
        seal(file)
    _loaded(path)


class Choices:
    """Bytes as a source of choices; at their end every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def one(self, n: int) -> int:
        self.at += 1
        return self.data[self.at - 1] % n if self.at <= len(self.data) and n else 0

    def of(self, many: Any) -> Any:
        return many[self.one(len(many))]

    @property
    def left(self) -> bool:
        return self.at < len(self.data)


def structure(data: bytes, folder: Path) -> None:
    """Up to eight changes of what stands in a file, in turn."""
    import h5py

    from meanfield.storage.seal import seal

    path, source = folder / "case.h5", Choices(data)
    path.write_bytes(source.of(list(known("structure"))))
    with h5py.File(path, "a") as file:
        for _ in range(8):
            if source.left:
                with suppress(KeyError, ValueError, TypeError, OSError, RuntimeError):
                    _change(file, source)
    with path.open("r+b") as held:
        seal(held)
    _loaded(path)


def _values() -> list[Any]:
    import h5py
    import numpy as np

    return [
        0, -1, 1, 2**63 - 1, 1e308, float("nan"), float("inf"), 1e-320, True, "", "uniform", "dict",
        "list", "tuple", "tuple of arrays", "list of int", "list of tuples", "Torus", "Sphere",
        "Mesh", "Measure", "Density", "Densities", "Atoms", "Recipe", "LowRank", "Start", "Flow",
        "Function", "MissingGame", "Trajectory", "Sweep", "TextDensity", "cos(x - y)", "\x1b[2J",
        "/etc/passwd", "x" * 20_000, 1j, np.zeros(0), np.zeros((0, 3)), np.ones(3), np.ones((2, 2)),
        np.full(4, np.nan), np.arange(5), np.array([2**62, 2**62]), np.array(b"a"), np.bool_(True),
        np.zeros((1, 1, 1, 1)), np.array([1e308, 1e308]), np.array([-1.0]), h5py.Empty("f8"),
        np.array(["a", "b"], dtype=object), np.zeros(2, dtype=[("a", "f8"), ("b", "i4")]),
    ]  # fmt: skip


def _change(file: Any, source: Choices) -> None:
    import h5py
    import numpy as np

    places: list[Any] = [file]
    file.visititems(lambda _, item: places.append(item))
    place, kind = source.of(places), source.one(9)
    value = source.of(VALUES or VALUES.extend(_values()) or VALUES)
    if kind <= 2 and place.attrs:  # an attribute takes another value
        place.attrs[source.of(list(place.attrs))] = value
    elif kind == 3 and place.attrs:
        del place.attrs[source.of(list(place.attrs))]
    elif kind == 4 and isinstance(place, h5py.Group) and len(place):
        del place[source.of(list(place))]
    elif kind == 5 and isinstance(place, h5py.Dataset):
        name, parent = place.name, place.parent
        del parent[name]
        parent[name] = value
    elif kind == 6 and isinstance(place, h5py.Group):  # the same thing in two places, or in itself
        place[source.of(["twice", "0", "x", "state", "game"])] = source.of(places)
    elif kind == 7 and isinstance(place, h5py.Group) and len(place):
        name = source.of(list(place))
        place.move(name, source.of(["times", "x", "y", "0", "1", "stack", "numbers", "masses"]))
    elif isinstance(place, h5py.Dataset) and place.size:
        flat = np.asarray(place[()])
        if flat.dtype.kind in "iuf":
            flat.reshape(-1)[source.one(256) % flat.size] = source.of([0, -1, 2, 3, 10**9])
            place[...] = flat


VALUES: list[Any] = []
TARGETS: dict[str, Callable[[bytes, Path], None]] = {
    "grammar": grammar, "formula": formula, "toml": toml, "bytes": changed_bytes,
    "structure": structure,
}  # fmt: skip
