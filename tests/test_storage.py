"""Files: every object comes back equal, damage and strangers are refused, a stopped run goes on to the same bits."""

from __future__ import annotations

import csv
import os
import signal
import sys
import warnings

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import meanfield as mf
from meanfield.describe import Described, describe, rebuild, same
from meanfield.games.missing import MissingGame
from meanfield.storage import files, keeper, tree
from meanfield.trajectory import Trajectory

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
NUMBERS = st.floats() | st.integers(-(2**63), 2**64 - 1) | st.complex_numbers(allow_nan=False) | st.booleans()
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
    st.builds(mf.Torus, st.integers(1, 3), st.floats(0.1, 10.0)), st.builds(mf.Sphere, st.integers(1, 4))
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
    return mf.Measure(manifold.sample(n, rng), masses / masses.sum() if draw(st.booleans()) else None, manifold)


@st.composite
def densities(draw, cells=None):
    on = mf.mesh(mf.Torus(draw(st.integers(1, 2)), draw(st.floats(0.5, 7.0))), draw(st.integers(3, 6)))
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
TERM = st.tuples(st.tuples(st.integers(-3, 3)), st.tuples(st.integers(-3, 3)), st.floats(-2, 2), st.floats(-2, 2))
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


@given(original=st.one_of(MANIFOLDS, FLOWS, GAMES, measures(), densities(), st.builds(mf.Start, STARTS, STARTS)))
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
            return [mf.Density(m / m.sum(), on) for m in np.random.default_rng(S).random((S, len(on)))]
        n = None if kind == "ragged" else 3
        return [draw(measures(manifold=manifold, n=n)) for _ in range(S)]

    state = {"step": draw(st.integers(0, 99)), "pair": [(np.ones(2), np.zeros(3))] * S, "rung": None}
    about = {"flow": draw(FLOWS), "start": mf.Start(draw(STARTS)), "cells": (3, None), "text": draw(TEXT)}
    recorded = {"value": np.arange(S) * 0.1, "a/b": np.zeros((S, 2))}
    times = np.linspace(0, 1, S)
    return Trajectory(times, player(game.X), player(game.Y), game, draw(FLOWS), recorded, about, state)


@given(run=trajectories())
@FEW
def test_trajectories_come_back_equal(run, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "run.h5"
    run.save(path, overwrite=True)
    assert same(describe(mf.load(path)), describe(run))


pytestmark = pytest.mark.filterwarnings("ignore::meanfield.UnderResolved")
CIRCLE = mf.games.oscillator()
BUMPS = mf.Start(x=mf.concentrated(1.1, 0.04), y=mf.concentrated(0.0, 0.04))
LANGEVIN, WFR = mf.Langevin(25.0), mf.WassersteinFisherRao(1.0, 1.0)


def swarm(**more):
    return mf.simulate(CIRCLE, WFR, BUMPS, time=0.5, step=1e-2, particles=(40, 30), save_every=0.1, **more)


def field(**more):
    return mf.solve(CIRCLE, LANGEVIN, BUMPS, time=0.5, save_every=0.1, **more)


def finite_volumes(**more):
    return field(engine="finite-volume", cells=64, **more)


def carried(**more):
    return mf.solve(CIRCLE, WFR, BUMPS, time=0.5, save_every=0.1, cells=64, **more)


def study(**more):
    return mf.compare(CIRCLE, LANGEVIN, BUMPS, time=0.2, particles=(10, 40), replicas=3, cells=128, **more)


MAKERS = [swarm, field, finite_volumes, carried, study]


def timeless(plain):
    if isinstance(plain, Described):
        return Described(plain.kind, timeless(plain.content))
    if isinstance(plain, dict):
        return {key: timeless(value) for key, value in plain.items() if key != "wall_time"}
    return type(plain)(map(timeless, plain)) if isinstance(plain, (list, tuple)) else plain


def equal(a, b):
    return same(timeless(describe(a)), timeless(describe(b)))


@pytest.mark.parametrize("make", MAKERS)
def test_results_come_back_equal(make, tmp_path):
    result = make()
    result.save(tmp_path / "run.h5")
    assert same(describe(mf.load(tmp_path / "run.h5")), describe(result))


def test_equilibria_and_gibbs_points_come_back_equal(tmp_path):
    for name, result in (("g", mf.gibbs(CIRCLE, 5.0, cells=48)), ("n", mf.nash(mf.games.polynomial("a", 3)))):
        result.save(tmp_path / f"{name}.h5")
        assert same(describe(mf.load(tmp_path / f"{name}.h5")), describe(result))


class Killed(BaseException):
    """Nothing catches it: the run ends where it is."""


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("after", [1, 3])
def test_a_run_broken_off_goes_on_to_the_same_bits(make, after, tmp_path, monkeypatch):
    path, whole, written = tmp_path / "run.h5", make(), []
    write = keeper.Keeper._write

    def breaking(self, result, finished):
        write(self, result, finished)
        written.append(finished)
        if len(written) == after:
            raise Killed

    monkeypatch.setattr(keeper.Keeper, "_write", breaking)
    with pytest.raises(Killed):
        make(checkpoint=path, checkpoint_every=0)
    assert not files.read_header(path).finished
    again = mf.resume(path) if after == 1 else make(checkpoint=path)
    assert equal(again, whole) and equal(mf.load(path), whole) and files.read_header(path).finished
    assert equal(mf.resume(path), whole)
    assert [p.name for p in tmp_path.iterdir()] == ["run.h5"]


def test_a_checkpoint_between_saves_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    path, whole = tmp_path / "run.h5", swarm()
    write = keeper.Keeper._write

    def breaking(self, result, finished):
        write(self, result, finished)
        if result.state["step"] % 10:
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(keeper.Keeper, "_write", breaking)
        swarm(checkpoint=path, checkpoint_every=0)
    assert mf.load(path).state["step"] % 10 and equal(mf.resume(path), whole)


def test_ctrl_c_leaves_a_file_that_goes_on(tmp_path):
    path, calls = tmp_path / "run.h5", []

    def interrupting(mu_x, mu_y):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return 0.0

    with pytest.raises(KeyboardInterrupt):
        swarm(checkpoint=path, diagnostics={"watch": interrupting})
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert len(mf.load(path)) == 3
    with pytest.raises(ValueError, match="give diagnostics"):
        mf.resume(path)
    watched = {"watch": lambda mu_x, mu_y: 0.0}
    assert equal(mf.resume(path, diagnostics=watched), swarm(diagnostics=watched))


def test_only_missing_replicas_are_run_again(tmp_path, monkeypatch):
    import meanfield.particles.ensemble as ensemble

    runs = []
    simulate = ensemble.simulate
    monkeypatch.setattr(ensemble, "simulate", lambda *a, **k: runs.append(k["replica"]) or simulate(*a, **k))
    write = keeper.Keeper._write

    def breaking(self, result, finished):
        write(self, result, finished)
        if hasattr(result, "rows") and sum(map(len, result.rows.values())) == 5:
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(keeper.Keeper, "_write", breaking)
        study(checkpoint=tmp_path / "run.h5", checkpoint_every=0, threads=1)
    runs.clear()
    mf.resume(tmp_path / "run.h5")
    assert len(runs) == 3 + 3 + 3 - 5


def test_solve_resumed_holds_the_earlier_saves():
    part = mf.solve(CIRCLE, LANGEVIN, BUMPS, time=0.375, save_every=0.125)
    rest = mf.solve(CIRCLE, LANGEVIN, BUMPS, time=0.5, save_every=0.125, resume=part)
    whole = mf.solve(CIRCLE, LANGEVIN, BUMPS, time=0.5, save_every=0.125)
    assert np.array_equal(rest.times, whole.times) and equal(rest, whole)
    with pytest.raises(ValueError, match="give the same"):
        mf.solve(CIRCLE, LANGEVIN, BUMPS, 0.5, resume=part, diagnostics={"new": lambda a, b: 0.0})


def test_checkpoints_take_a_small_share_of_the_time(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(keeper, "perf_counter", lambda: clock[0])
    writes = []

    def slow(*_):
        writes.append(clock[0])
        clock[0] += 2.0

    monkeypatch.setattr(files, "write_file", slow)
    monkeypatch.setattr(keeper, "describe", lambda value: value)
    with keeper.Keeper(tmp_path / "run.h5", {}, every=10.0) as kept:
        while clock[0] < 2000:
            kept.offer(dict)
            clock[0] += 1.0
    assert len(writes) >= 5 and 2.0 * len(writes) < 0.02 * clock[0]


def test_another_run_is_refused(tmp_path):
    path = tmp_path / "run.h5"
    swarm(checkpoint=path)
    assert equal(swarm(checkpoint=path), swarm())  # finished: loaded
    for wrong in ({"seed": 3}, {"scheme": "strang"}):
        with pytest.raises(ValueError, match=f"holds another run.*{next(iter(wrong))}"):
            swarm(checkpoint=path, **wrong)
    with pytest.raises(ValueError, match="exists already"):
        swarm().save(path)
    with pytest.raises(ValueError, match=r"must end in \.h5"):
        swarm().save(tmp_path / "run.txt")
    with pytest.raises(ValueError, match="does not exist; make it"):
        swarm().save(tmp_path / "no" / "run.h5")


def loss(x, y):
    return np.cos(x[..., 0] - y[..., 0])


def bump(points):
    return 2 + np.sin(points[:, 0])


def test_functions_are_stored_by_name_and_given_again(tmp_path):
    game = mf.games.function(loss, mf.Torus(1), mf.Torus(1))
    start = mf.Start(x=bump)
    run = mf.solve(game, LANGEVIN, start, time=0.2, cells=32, save_every=0.1, checkpoint=tmp_path / "run.h5")
    with pytest.warns(UserWarning, match="'loss' .* was a function"):
        held = mf.load(tmp_path / "run.h5")
    assert isinstance(held.game, MissingGame) and held.game.name == "loss"
    assert np.array_equal(held.x[-1].masses, run.x[-1].masses)
    with pytest.raises(ValueError, match=r"give it again: meanfield.load\(path, game="):
        held.game.value(*held[-1])
    with pytest.raises(ValueError, match="start again"):
        held.provenance["start"].x(np.zeros((1, 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = mf.load(tmp_path / "run.h5", game=game, start=start)
    assert whole.game is game and whole.provenance["start"] is start
    with pytest.raises(ValueError, match="lives on"):
        mf.load(tmp_path / "run.h5", game=mf.games.wang_chizat())


def test_a_function_game_resumes_when_it_is_given(tmp_path, monkeypatch):
    game, path = mf.games.function(loss, mf.Torus(1), mf.Torus(1)), tmp_path / "run.h5"
    how = dict(time=0.2, step=0.01, particles=20, save_every=0.05)
    whole = mf.simulate(game, LANGEVIN, mf.Start(), **how)
    with pytest.raises(Killed):
        mf.simulate(game, LANGEVIN, mf.Start(), **how, checkpoint=path, checkpoint_every=0, stop=stop_late)
    with pytest.raises(ValueError, match="was given as a function"):
        mf.resume(path)
    assert equal(mf.resume(path, game=game), whole)


def stop_late(t, *_):
    if t > 0.08:
        raise Killed
    return False


def saved(tmp_path):
    path = tmp_path / "run.h5"
    swarm().save(path)
    return path


@pytest.mark.parametrize("keep", [0, 7, 100, 0.5, -1])
def test_truncated_files_are_refused(keep, tmp_path):
    path = saved(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(ValueError, match="cannot be read as HDF5|is damaged"):
        mf.load(path)


def test_foreign_and_future_files_are_refused(tmp_path):
    path = saved(tmp_path)
    with pytest.raises(ValueError, match="there is no file"):
        mf.load(tmp_path / "other.h5")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["data"] = np.arange(3)
    with pytest.raises(ValueError, match="not one of meanfield's"):
        mf.load(tmp_path / "foreign.h5")
    (tmp_path / "text.h5").write_text("not a result")
    with pytest.raises(ValueError, match="a file of another kind"):
        mf.load(tmp_path / "text.h5")
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 2
    with pytest.raises(ValueError, match="version 2, this meanfield reads version 1"):
        mf.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file["result/game"].attrs.modify("@kind", "os.system"), "'os.system', which this version"),
        (lambda file: file["result"].pop("times"), "is damaged"),
        (lambda file: file["result/flow"].attrs.modify("gamma", -1.0) or file["result/flow"].pop("gamma"), "must be"),
        (lambda file: file["result/game"].attrs.pop("@kind"), "does not say what it is"),
        (lambda file: file["result/x/masses"].__setitem__(..., -1.0), "must not be negative"),
        (lambda file: file["result/game/recipe"].attrs.modify("name", "eval"), "made by 'eval'"),
        (lambda file: file.pop("result"), "is damaged"),
    ],
)
def test_damage_is_refused(change, message, tmp_path):
    path = saved(tmp_path)
    with h5py.File(path, "a") as file:
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
        files.replace(path, fill)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["run.h5"]


def test_what_killed_writers_leave_is_swept(tmp_path):
    path = saved(tmp_path)
    dead, alive = tmp_path / ".run.h5.4194305.partial", tmp_path / f".run.h5.{os.getpid()}.partial"
    dead.touch(), alive.touch()
    files.sweep(path)
    assert not dead.exists() and alive.exists()


def test_unstorable_values_are_refused():
    for value in (object(), {"a": {1: 2}}, np.array([object()])):
        with pytest.raises(TypeError, match=r"stored|text as keys"):
            describe(value)
    with pytest.raises(TypeError, match="only results"):
        files.write_file(None, {"a": 1})


def test_coordinates_stand_beside_the_data(tmp_path):
    """A reader with nothing but h5py finds times, nodes and masses, and the axis says that it is time."""
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
    assert [float(r["value"]) for r in rows] == run.diagnostics["value"].tolist() and "displacement[1]" in rows[0]
    rows = list(csv.DictReader(run.to_csv(tmp_path / "atoms.csv", "measures").open()))
    assert len(rows) == len(run) * 70 and float(rows[41]["point[0]"]) == run.y[0].points[1, 0]
    rows = list(csv.DictReader(comparison.to_csv(tmp_path / "compare.csv").open()))
    assert float(rows[-1]["w2_squared_high"]) == comparison.w2_squared_high[-1, -1]
    with pytest.raises(ValueError, match=r"must end in \.csv"):
        run.to_csv(tmp_path / "run.txt")


def test_xarray_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match="pip install xarray"):
        swarm().to_xarray()


def test_xarray_datasets():
    pytest.importorskip("xarray")
    run = field()
    data = run.to_xarray()
    assert np.array_equal(data["masses_x"], [m.masses for m in run.x]) and np.array_equal(data["time"], run.times)


def test_citations_follow_the_methods():
    assert "finite-volume" not in swarm().cite() and "Salmon" in swarm().cite()
    assert "Scharfetter" in finite_volumes().cite() and "Scharfetter" not in field().cite()
    assert "McMahan" in mf.nash(mf.games.bilinear()).cite()
    for result in (swarm(), field(), study()):
        assert result.cite().startswith("C. Domingo-Enrich")
