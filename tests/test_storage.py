"""Files: every object comes back equal, damage and strangers are refused, a stopped run goes on to
the same bits.
"""

from __future__ import annotations

import csv
import os
import sys
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import meanfield as mf
from meanfield.describe import Described, describe, rebuild, same
from meanfield.meshes import quadrature_mesh
from meanfield.storage import atomic, files, tree
from meanfield.trajectory import Trajectory
from tests.stored_runs import (
    CIRCLE,
    MAKERS,
    Killed,
    edited,
    field,
    finite_volumes,
    study,
    swarm,
)

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
NUMBERS = (
    st.floats()
    | st.integers(-(2**63), 2**64 - 1)
    | st.complex_numbers(allow_nan=False)
    | st.booleans()
)
ARRAYS = hnp.arrays(
    st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_, np.complex128]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
PLAIN = st.recursive(
    st.none() | NUMBERS | TEXT | ARRAYS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(TEXT, inner, max_size=4),
        st.dictionaries(TEXT, inner, max_size=3).map(lambda held: Described("Torus", held)),
    ),
    max_leaves=12,
)
FEW = settings(max_examples=60, deadline=None)
MANIFOLDS = st.one_of(
    st.builds(mf.Torus, st.integers(1, 3), st.floats(0.1, 10.0)),
    st.builds(mf.Sphere, st.integers(1, 4)),
)


def through_a_file(plain, path):
    with h5py.File(path, "w") as file:
        tree.write(file.create_group("result"), {"it": plain})
    with h5py.File(path) as file:
        return tree.read(file["result"])["it"]


@given(plain=PLAIN)
@FEW
def test_plain_data_come_back_equal(plain, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "plain.h5"
    assert same(through_a_file(plain, path), plain)


def test_equality_sees_every_difference():
    assert not same([1], (1,)) and not same(1, 1.0) and not same(np.zeros(2), np.zeros(2, int))
    assert not same({"a": 1}, {"b": 1}) and not same(Described("A", {}), Described("B", {}))
    assert not same(np.array([0.0]), np.array([-0.0])) and same(float("nan"), float("nan"))


@st.composite
def measures(draw, manifold=None, n=None):
    manifold = draw(MANIFOLDS) if manifold is None else manifold
    n = draw(st.integers(1, 5)) if n is None else n
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    masses = rng.random(n) + 1e-3
    return mf.Measure(
        manifold.sample(n, rng), masses / masses.sum() if draw(st.booleans()) else None, manifold
    )


@st.composite
def densities(draw):
    torus = mf.Torus(draw(st.integers(1, 2)), draw(st.floats(0.5, 7.0)))
    grid = st.builds(mf.mesh, st.just(torus), st.integers(3, 6))
    on = draw(grid | st.builds(quadrature_mesh, st.integers(2, 4)))
    masses = np.random.default_rng(draw(st.integers(0, 1000))).random(len(on))
    return mf.Density(masses / masses.sum(), on)


POSITIVE = st.floats(1e-3, 1e3)
FLOWS = st.one_of(
    st.builds(mf.Langevin, POSITIVE, POSITIVE | st.tuples(POSITIVE, POSITIVE)),
    st.builds(mf.WassersteinFisherRao, POSITIVE, POSITIVE),
    st.builds(mf.MirrorDescent, POSITIVE),
    st.builds(mf.Wasserstein, POSITIVE),
    st.builds(mf.BestResponse, POSITIVE),
)
MATRIX = hnp.arrays(np.float64, (3, 3), elements=st.floats(-2, 2))
TERM = st.tuples(
    st.tuples(st.integers(-3, 3)), st.tuples(st.integers(-3, 3)), st.floats(-2, 2), st.floats(-2, 2)
)
GAMES = st.one_of(
    st.builds(mf.games.oscillator, st.floats(-4, 4)),
    st.builds(mf.games.uniform_equilibrium, st.floats(0.1, 4), st.integers(1, 3)),
    st.builds(mf.games.free, MANIFOLDS, MANIFOLDS),
    st.builds(mf.games.double_well, st.floats(0.1, 3)),
    st.builds(mf.games.wang_chizat),
    st.builds(mf.games.bilinear, MATRIX),
    st.builds(mf.games.benchmark, st.sampled_from(["circle", "torus", "sphere"])),
    st.builds(mf.games.polynomial, st.sampled_from("ab"), st.integers(2, 5), st.integers(0, 9)),
    st.builds(mf.games.polynomial_from, MATRIX, MATRIX, MATRIX, MATRIX, st.just(0), st.just(0)),
    st.builds(mf.games.trigonometric, st.lists(TERM, min_size=1, max_size=4)),
    st.builds(lambda a: mf.games.expression("exp(a*cos(x - y)) + sin(2*x)", a=a), st.floats(-1, 1)),
)
STARTS = st.one_of(
    st.just("uniform"),
    st.builds(mf.concentrated, st.floats(0, 6), POSITIVE),
    st.builds(lambda a: mf.games.density("1 + a*cos(x)", a=a), st.floats(-0.9, 0.9)),
    measures(),
    densities(),
)


@given(
    original=st.one_of(
        MANIFOLDS, FLOWS, GAMES, measures(), densities(), st.builds(mf.Start, STARTS, STARTS)
    )
)
@settings(max_examples=120, deadline=None)
def test_objects_come_back_equal(original, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "object.h5"
    made = rebuild(through_a_file(describe(original), path))
    assert type(made) is type(original) and same(describe(made), describe(original))


@given(game=GAMES)
@FEW
def test_rebuilt_games_have_the_same_losses_and_answers(game):
    made = rebuild(describe(game))
    rng = np.random.default_rng(0)
    x, y = game.X.sample(4, rng), game.Y.sample(3, rng)
    assert np.array_equal(made.loss(x, y), game.loss(x, y)) and repr(made) == repr(game)
    assert made.answers.keys() == game.answers.keys() and made.statement == game.statement


@pytest.mark.parametrize("text", ["a*cos(x - y)", "exp(a*cos(x - y))"])
def test_files_that_name_a_game_without_its_constants_load(text):
    game = mf.games.expression(text, a=2)
    older = describe(game)
    older.content["name"] = text
    for plain in (describe(game), older):
        back = rebuild(plain)
        assert type(back) is type(game) and same_game(back, game)
        assert back.name in (game.name, plain.content["name"])


def same_game(a, b):
    x = np.linspace(0, 6, 7)[:, None]
    return np.array_equal(a.loss(x, x), b.loss(x, x))


def test_a_changed_game_is_rebuilt_by_its_arrays_not_by_its_recipe():
    game = mf.games.oscillator()
    game.C[0, 0] += 1.0
    assert np.array_equal(rebuild(describe(game)).C, game.C)


@st.composite
def trajectories(draw):
    S = draw(st.integers(1, 4))
    game = draw(GAMES)
    kinds = st.sampled_from(["stacked", "ragged", "density"])

    def player(manifold):
        kind = draw(kinds)
        if kind == "density" and isinstance(manifold, mf.Torus) and manifold.d < 3:
            on = mf.mesh(manifold, 3)
            return [
                mf.Density(m / m.sum(), on) for m in np.random.default_rng(S).random((S, len(on)))
            ]
        n = None if kind == "ragged" else 3
        return [draw(measures(manifold=manifold, n=n)) for _ in range(S)]

    state = {
        "step": draw(st.integers(0, 99)),
        "pair": [(np.ones(2), np.zeros(3))] * S,
        "rung": None,
    }
    about = {
        "flow": draw(FLOWS),
        "start": mf.Start(draw(STARTS)),
        "cells": (3, None),
        "text": draw(TEXT),
    }
    recorded = {"value": np.arange(S) * 0.1, "a/b": np.zeros((S, 2))}
    times = np.linspace(0, 1, S)
    return Trajectory(
        times, player(game.X), player(game.Y), game, draw(FLOWS), recorded, about, state
    )


@given(run=trajectories())
@FEW
def test_trajectories_come_back_equal(run, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "run.h5"
    run.save(path, overwrite=True)
    assert same(describe(mf.load(path)), describe(run))


pytestmark = pytest.mark.filterwarnings("ignore::meanfield.UnderResolved")


@pytest.mark.parametrize("make", MAKERS)
def test_results_come_back_equal(make, tmp_path):
    result = make()
    result.save(tmp_path / "run.h5")
    held = mf.load(tmp_path / "run.h5")
    assert same(describe(held), describe(result)) and repr(held) == repr(result)


def test_equilibria_and_gibbs_points_come_back_equal(tmp_path):
    for name, result in (
        ("g", mf.gibbs(CIRCLE, 5.0, cells=48)),
        ("s", mf.gibbs(mf.games.benchmark("sphere"), 5.0, cells=200)),
        ("n", mf.nash(mf.games.polynomial("a", 3))),
    ):
        result.save(tmp_path / f"{name}.h5")
        assert same(describe(mf.load(tmp_path / f"{name}.h5")), describe(result))


def saved(tmp_path):
    path = tmp_path / "run.h5"
    swarm().save(path)
    return path


@pytest.mark.parametrize("keep", [0, 7, 100, 0.5, -1])
def test_truncated_files_are_refused(keep, tmp_path):
    path = saved(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match="cannot be read as HDF5|it was cut short"):
        mf.load(path)


def test_foreign_and_future_files_are_refused(tmp_path):
    path = saved(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        mf.load(tmp_path / "other.h5")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["data"] = np.arange(3)
    with pytest.raises(ValueError, match="not one of meanfield's"):
        mf.load(tmp_path / "foreign.h5")
    (tmp_path / "text.h5").write_text("not a result")
    with pytest.raises(ValueError, match="a file of another kind"):
        mf.load(tmp_path / "text.h5")
    with edited(path) as file:
        file.attrs["format_version"] = 2
    with pytest.raises(ValueError, match="version 2, this meanfield reads version 1"):
        mf.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda file: file["result/game"].attrs.modify("@kind", "os.system"),
            "'os.system', which this version",
        ),
        (lambda file: file["result"].pop("times"), "is damaged"),
        (
            lambda file: (
                file["result/flow"].attrs.modify("gamma", -1.0) or file["result/flow"].pop("gamma")
            ),
            "must be",
        ),
        (lambda file: file["result/game"].attrs.pop("@kind"), "does not say what it is"),
        (lambda file: file["result/x/masses"].__setitem__(..., -1.0), "must not be negative"),
        (lambda file: file["result/game/recipe"].attrs.modify("name", "eval"), "made by 'eval'"),
        (lambda file: file.pop("result"), "is damaged"),
    ],
)
def test_damage_is_refused(change, message, tmp_path):
    path = saved(tmp_path)
    with edited(path) as file:
        change(file)
    with pytest.raises(ValueError, match=message):
        mf.load(path)


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = saved(tmp_path)
    before = path.read_bytes()

    def fill(partial):
        partial.write_bytes(b"half")
        raise Killed

    with pytest.raises(Killed):
        atomic.replace(path, fill)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["run.h5"]


def test_what_killed_writers_leave_is_swept(tmp_path):
    here = atomic._here()
    dead, alive = (
        tmp_path / f".run.h5.{here}.4194305.partial",
        tmp_path / f".run.h5.{here}.{os.getpid()}.partial",
    )
    dead.touch(), alive.touch()
    atomic.sweep(tmp_path)
    assert not dead.exists() and alive.exists()


def test_unstorable_values_are_refused():
    for value in (object(), {"a": {1: 2}}, np.array([object()])):
        with pytest.raises(TypeError, match=r"stored|text as keys"):
            describe(value)
    with pytest.raises(TypeError, match="only results"):
        files.write_file(None, {"a": 1})


def test_coordinates_stand_beside_the_data(tmp_path):
    """A reader with nothing but h5py finds times, nodes and masses, and the axis says that it is
    time.
    """
    field().save(tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5") as file:
        masses = file["result/x/masses"]
        assert masses.shape == (6, len(file["result/x/mesh/nodes"]))
        assert np.array_equal(masses.dims[0]["time"], file["result/times"])


def test_exports(tmp_path):
    run, comparison = swarm(), study()
    with np.load(run.to_npz(tmp_path / "run.npz"), allow_pickle=False) as held:
        assert np.array_equal(held["x/points"], [m.points for m in run.x])
        assert np.array_equal(held["diagnostics/value"], run.diagnostics["value"])
    rows = list(csv.DictReader(run.to_csv(tmp_path / "run.csv").open()))
    assert [float(r["value"]) for r in rows] == run.diagnostics[
        "value"
    ].tolist() and "displacement[1]" in rows[0]
    rows = list(csv.DictReader(run.to_csv(tmp_path / "atoms.csv", "measures").open()))
    assert len(rows) == len(run) * 70 and float(rows[41]["point[0]"]) == run.y[0].points[1, 0]
    rows = list(csv.DictReader(comparison.to_csv(tmp_path / "compare.csv").open()))
    assert float(rows[-1]["w2_squared_high"]) == comparison.w2_squared_high[-1, -1]
    with pytest.raises(ValueError, match=r"must end in \.csv"):
        run.to_csv(tmp_path / "run.txt")


def test_paths_and_spectra_are_tables(tmp_path):
    path = mf.gibbs_path(CIRCLE, [1.0, 5.0], cells=48, spectrum=True)
    rows = list(csv.DictReader(path.to_csv(tmp_path / "path.csv").open()))
    for name in ("beta", "value", "free_energy", "ni", "ni_upper", "residual", "rate", "frequency"):
        assert [float(r[name]) for r in rows] == getattr(path, name).tolist()
    assert [float(r["entropy_y"]) for r in rows] == path.entropy[:, 1].tolist()
    plain = mf.gibbs_path(CIRCLE, [1.0], cells=48).to_csv(tmp_path / "path.csv").read_text()
    assert "rate" not in plain and len(plain.splitlines()) == 2, "the file was replaced"
    found = mf.stability(CIRCLE, path.points[1])
    rows = list(csv.DictReader(found.to_csv(tmp_path / "modes.csv").open()))
    assert [complex(float(r["real"]), float(r["imag"])) for r in rows] == found.eigenvalues.tolist()
    for result in (path, found):
        with pytest.raises(TypeError, match="no pair of measures"):
            result.to_csv(tmp_path / "measures.csv", "measures")


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda p: mf.load(p, start="zz"), "start must be a meanfield.Start"),
        (lambda p: mf.load(p, game=5), "game must be a meanfield game"),
        (lambda p: mf.load(5), "path must be the name of a file, got 5"),
        (lambda p: mf.save(mf.load(p), 5), "path must be the name of a file, got 5"),
        (lambda p: mf.load(p).to_csv(5), "path must be the name of a file, got 5"),
    ],
)
def test_what_names_no_file_no_game_and_no_start_is_refused(call, match, tmp_path):
    with pytest.raises(TypeError, match=match):
        call(mf.gibbs(CIRCLE, 1.0, cells=32).save(tmp_path / "point.h5"))


def test_xarray_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match="pip install xarray"):
        swarm().to_xarray()


def test_xarray_datasets():
    pytest.importorskip("xarray")
    run = field()
    data = run.to_xarray()
    assert np.array_equal(data["masses_x"], [m.masses for m in run.x]) and np.array_equal(
        data["time"], run.times
    )
    path = mf.gibbs_path(CIRCLE, [1.0, 5.0], cells=48)
    assert np.array_equal(path.to_xarray()["ni"], path.ni) and path.to_xarray().ni.dims == ("beta",)


def test_citations_follow_the_methods():
    assert "finite-volume" not in swarm().cite() and "Salmon" in swarm().cite()
    assert "Scharfetter" in finite_volumes().cite() and "Scharfetter" not in field().cite()
    for nothing in (None, 3, "run.h5", [swarm()]):
        with pytest.raises(TypeError, match="cite takes a result"):
            mf.cite(nothing)
    assert "McMahan" in mf.nash(mf.games.bilinear()).cite()
    for result in (swarm(), field(), study()):
        assert result.cite().startswith("C. Domingo-Enrich")


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    path = saved(tmp_path)
    before = path.read_bytes()
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="MB are free"):
        mf.save(mf.load(path), path, overwrite=True)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["run.h5"]


def test_links_stay_links(tmp_path):
    (tmp_path / "big").mkdir()
    link = tmp_path / "run.h5"
    link.symlink_to(tmp_path / "big" / "real.h5")
    mf.save(field(), link)
    assert link.is_symlink() and len(mf.load(tmp_path / "big" / "real.h5")) == 6


def test_names_with_brackets_are_swept(tmp_path):
    left = tmp_path / f".run[1].h5.{atomic._here()}.4194305.7.partial"
    left.touch()
    atomic.sweep(tmp_path)
    assert not left.exists()


def test_what_cannot_be_read_within_a_file_is_damage():
    class Attributes(dict):
        def get_id(self, key):
            return SimpleNamespace(shape=(), get_type=lambda: h5py.h5t.C_S1)

    class Broken(dict):
        name, attrs = "/result", Attributes({"@kind": "dict"})

        def get(self, key, getlink):
            return h5py.HardLink()

        def __getitem__(self, key):
            raise KeyError("unable to open object")

    with pytest.raises(KeyError):
        tree.read(Broken(times=None))
