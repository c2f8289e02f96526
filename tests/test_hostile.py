"""What strangers write: cases at random, few of those that `benchmarks/fuzz.py` counts, and every
kind of case that was found by it.
"""

from __future__ import annotations

import errno
import struct
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import meanfield as mf
from benchmarks import fuzz
from meanfield.cli import main
from meanfield.games.formulas.grammar import ExpressionError, parse
from meanfield.storage import lock, read_header
from meanfield.storage.lock import Lock
from meanfield.storage.seal import NAMES, TEXTS, seal
from tests.stored_runs import edited, saved, swarm


@pytest.mark.filterwarnings("ignore::meanfield.UnderResolved")
@pytest.mark.parametrize(
    ("target", "cases"), [("grammar", 1500), ("formula", 40), ("toml", 30), ("structure", 15)]
)
def test_cases_at_random_are_accepted_or_refused(target, cases):
    fuzz.known(target)  # before the watch begins
    trial = fuzz.Trial(target)
    for k in range(cases):
        trial(fuzz.case(target, 100, k))
    assert trial.count == cases and not trial.found


def test_what_no_case_may_do_is_found(monkeypatch, tmp_path):
    def opens(data, folder):
        (tmp_path / "elsewhere").write_text("")

    def breaks(data, folder):
        return [][1]

    def slips(data, folder):
        int("no number")

    for act, why in ((opens, "Escape"), (breaks, "IndexError"), (slips, "ValueError")):
        monkeypatch.setitem(fuzz.TARGETS, "grammar", act)
        trial = fuzz.Trial("grammar")
        trial(b"")
        assert [name.split(" ")[0] for name in trial.found] == [why]


ATOMS = st.sampled_from(["x", "y", "2", "0.5", "pi", "x1", "1e3"])
FORMULAS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map("".join),
        inner.map(lambda f: f"cos({f})"),
        inner.map(lambda f: f"({f})"),
        inner.map(lambda f: f"-({f})**2"),
    ),
    max_leaves=12,
)


@given(text=FORMULAS)
@settings(max_examples=150, deadline=None)
def test_formulas_mean_what_python_makes_of_them(text):
    """The graph's value is that of Python's own arithmetic."""
    try:
        parsed = parse(text)
    except ExpressionError:
        return  # divided by a constant zero, or too large
    x, y = 0.7, 1.9
    names = {"x": x, "x1": x, "y": y, "pi": np.pi, "cos": np.cos}
    with np.errstate(all="ignore"):
        (value,) = parsed.graph.evaluate([parsed.root], {(0, 0): x, (1, 0): y})
        try:
            wanted = eval(text, {"__builtins__": {}}, names)
        except (ZeroDivisionError, OverflowError):
            return
    assert np.isclose(value, wanted, rtol=1e-6, equal_nan=True) or abs(wanted) > 1e12


@given(text=st.text(max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_or_refused(text):
    try:
        parse(text)
    except ExpressionError as error:
        assert len(str(error)) < 1000


def test_heaps_without_an_end_are_refused(tmp_path):
    """HDF5 2.0 goes round in them for ever, and takes memory at every step."""
    path = saved(tmp_path)
    clean = path.read_bytes()
    at = clean.index(NAMES)
    _, free, begin = struct.unpack("<QQQ", clean[at + 8 : at + 32])
    circle = bytearray(clean)
    circle[begin + free : begin + free + 8] = struct.pack("<Q", free)
    still = bytearray(clean)
    at = clean.index(TEXTS) + 16
    still[at : at + 16] = struct.pack("<H6xQ", 0, 8)
    for broken in (circle, still):
        with path.open("w+b") as file:
            file.write(broken)
            seal(file)
        with pytest.raises(ValueError, match=r"run\.h5 is damaged: one of its heaps has no end"):
            mf.load(path)


def test_what_claims_more_than_it_holds_is_refused_at_once(tmp_path):
    """Packed zeros, arrays never written, lists of texts and types that HDF5 dies of."""
    lists = h5py.vlen_dtype(np.float64)
    makers = [
        lambda g: g.create_dataset("spy", (1 << 40,), "f8", chunks=(1 << 20,), compression="gzip"),
        lambda g: g.create_dataset("spy", (1 << 40,), "f8"),
        lambda g: g.create_dataset("spy", (1000,), h5py.string_dtype()),
        lambda g: g.create_dataset("spy", (3,), lists),
        lambda g: g.attrs.create("spy", np.zeros(4)),
        lambda g: h5py.h5a.create(
            g.id, b"spy", h5py.h5t.py_create(lists), h5py.h5s.create(h5py.h5s.SCALAR)
        ),
    ]
    for k, make in enumerate(makers):
        path = tmp_path / f"{k}.h5"
        swarm().save(path)
        with edited(path) as file:
            make(file["result/diagnostics"])
        clock = time.process_time()
        with pytest.raises(ValueError, match=r"\d\.h5 is damaged: .* as meanfield writes"):
            mf.load(path)
        assert time.process_time() - clock < 5


@pytest.mark.parametrize("value", ["uniform", np.inf, -1, h5py.Empty("f8")])
def test_every_error_names_the_file(value, tmp_path):
    path = saved(tmp_path)
    for place, name in ((".", "format_version"), ("result/flow/gamma", "0"), ("result", "@kind")):
        with edited(path) as file:
            before = file[place].attrs[name]
            file[place].attrs[name] = value
        with pytest.raises(ValueError, match=r"run\.h5 (is|has)"):
            read_header(path), mf.load(path)
        with edited(path) as file:
            file[place].attrs[name] = before


def test_groups_nested_without_end_are_refused(tmp_path):
    path = saved(tmp_path)
    with edited(path) as file:
        inner = file["result/diagnostics"]
        for _ in range(1500):
            inner = inner.create_group("a")
            inner.attrs["@kind"] = "dict"
    with pytest.raises(ValueError, match=r"run\.h5 is damaged"):
        mf.load(path)


def test_a_summary_of_parts_that_do_not_go_together_is_told(tmp_path, capsys):
    """Numbers where the provenance has text; a diagnostic without one of its saved times."""
    path = saved(tmp_path)
    with edited(path) as file:
        file["result/provenance/made"].attrs["processor"] = 3
    assert main(["show", str(path), "--no-plot"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "run.h5 is damaged: its parts do not go together" in said


@pytest.mark.parametrize(
    "value", ["1" + "0" * 400, "1979-05-27", "nan", "[[[]]]", "{a = {}}", '"\\u0000"']
)
def test_odd_values_of_any_key_are_told_in_our_words(value):
    """As numbers of files for commands: TOML's numbers may be longer than Python's floats."""
    text = '[game]\nname = "oscillator"\n[flow]\nname = "Langevin"\nbeta = 5.0\n[run]\ntime = 0.1\n'
    assert mf.simulate and mf.solve and mf.compare and mf.gibbs and mf.nash  # are imported
    trial = fuzz.Trial("toml")
    for old in ('"oscillator"', '"Langevin"', "5.0", "0.1"):
        trial(text.replace(old, value).encode())
    assert trial.count == 4 and not trial.found


def test_a_lock_is_one_writers_and_a_killed_one_lets_it_go(tmp_path):
    target = tmp_path / "run.h5"
    hold = (
        "import sys, time\nfrom pathlib import Path\nfrom meanfield.storage.lock import Lock\n"
        "with Lock(Path(sys.argv[1])):\n print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(target)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=f"process {holder.pid} on"), Lock(target):
            pass
        holder.kill()
        holder.wait()
    with Lock(target), pytest.raises(ValueError, match="is being written"), Lock(target):
        pass
    assert list(tmp_path.iterdir()) == []


def test_without_locks_nothing_is_held(tmp_path, monkeypatch):
    def none(handle, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", none)
    with Lock(tmp_path / "run.h5"), Lock(tmp_path / "run.h5"):
        pass


@pytest.mark.parametrize("name", ["scheme", "placement", "method", "limiter"])
@pytest.mark.parametrize("given", [np.zeros(3), ["strang"], 1.0, {}])
def test_what_is_no_name_is_refused_in_words(name, given):
    atom = mf.Measure(np.zeros((1, 1)), [1.0], mf.Torus(1))
    with pytest.raises((TypeError, ValueError), match=f"{name} must be one of .*, got"):
        if name == "method":
            mf.w2(atom, atom, **{name: given})
        elif name == "limiter":
            mf.solve(mf.games.free(), mf.WassersteinFisherRao(), engine="muscl", **{name: given})
        else:
            mf.simulate(mf.games.free(), mf.Langevin(1.0), **{name: given})


def test_what_holds_no_numbers_or_too_many_is_refused_in_words():
    circle = mf.games.benchmark("circle")
    for error, said, call in (
        (TypeError, "terms must be a list of", lambda: mf.games.trigonometric(None)),
        (TypeError, "terms must be a list of", lambda: mf.games.trigonometric(np.array(3.0))),
        (ValueError, "need .* GB, this machine", lambda: mf.games.polynomial("a", 10**6)),
        (TypeError, "order must be", lambda: staggered(circle, np.array([8, 6]))),
        (ValueError, "control must be", lambda: compare(circle, control=np.array(["x", "y"]))),
        (ValueError, "average must be", lambda: compare(circle, average=np.array([1, 2]))),
        (TypeError, "particles must be", lambda: compare(circle, particles=((5, 6), 10))),
        (
            TypeError,
            "it holds text; numbers that",
            lambda: mf.Measure([["1"], ["0"]], None, circle.X),
        ),
        (TypeError, "it holds truth values", lambda: mf.Measure([[True]], None, circle.X)),
        (TypeError, "real part", lambda: mf.Measure(np.array([[1j]]), None, circle.X)),
        (ValueError, "must be a whole number, got inf", lambda: mf.mesh(circle.X, np.inf)),
        (ValueError, "must be a whole number, got inf", lambda: solve(circle, cells=np.inf)),
        (ValueError, "limiter must be one of .* got ' euler'$", lambda: muscl(limiter=" euler")),
        (ValueError, "mean 'van Leer'", lambda: muscl(limiter=" van leer")),
        (TypeError, "figsize must be", lambda: atom().plot(figsize="big")),
        (ValueError, "figsize must have shape", lambda: atom().plot(figsize=(1, 2, 3))),
    ):
        with pytest.raises(error, match=said):
            call()


def atom():
    return mf.Measure(np.zeros((1, 1)), [1.0], mf.Torus(1))


def compare(game, **given):
    mf.compare(game, mf.Langevin(1.0), mf.Start(), 0.1, **{"particles": (10, 20), **given})


def staggered(game, order):
    solve(game, engine="staggered", order=order)


def solve(game, **given):
    return mf.solve(game, mf.Langevin(1.0), **{"time": 0.1, **given})


def muscl(**given):
    mf.solve(mf.games.free(), mf.WassersteinFisherRao(), engine="muscl", **given)


class Hollow:
    """Moves points and says nothing else that a manifold says."""

    def retract(self, x, v):
        return x + v


@pytest.mark.parametrize("given", ["nonsense", None, 3, mf.Torus, Hollow()])
def test_what_is_no_manifold_is_refused_in_words(given):
    mesh, loss = mf.mesh(mf.Torus(1), 8), lambda x, y: x[..., 0] * y[..., 0]
    for call in (
        mf.uniform,
        mf.mesh,
        lambda M: mf.Measure([[0.0]], None, M),
        lambda M: mf.Mesh(M, *(np.zeros(1) for _ in range(5))),
        lambda M: mf.meshes.torus_mesh(M, 8),
        lambda M: mf.meshes.product_mesh(M, mesh, mesh),
        lambda M: mf.games.function(loss, M, mf.Torus(1)),
        lambda M: mf.games.function(loss, mf.Torus(1), M),
    ):
        with pytest.raises(TypeError, match=r"must be a Torus.*(got|has no ambient,)"):
            call(given)


def test_numbers_for_both_players_may_be_an_array(tmp_path):
    """As a tuple means them: the first for x, the second for y, or one an axis in each."""
    game, two = mf.games.oscillator(), np.array([8, 16])
    field = solve(game, cells=two)
    assert (len(field.x[-1]), len(field.y[-1])) == (8, 16)
    assert field.provenance["cells"] == (8, 16)
    held = mf.load(field.save(tmp_path / "field.h5"))
    assert len(solve(game, cells=two, resume=held, time=0.2)) == 101
    point = mf.gibbs(game, beta=np.array([1.0, 2.0]), cells=two)
    assert (len(point.x), len(point.y)) == (8, 16)
    swarm = mf.simulate(game, mf.Langevin(np.array([1.0, 2.0])), time=0.0, particles=two)
    assert (len(swarm.x[-1]), len(swarm.y[-1])) == (8, 16)
    torus = mf.games.free(mf.Torus(2), mf.Torus(2))
    field = solve(torus, cells=[np.array([8, 16]), np.array([16, 8])])
    assert (field.x[-1].mesh.shape, field.y[-1].mesh.shape) == ((8, 16), (16, 8))
