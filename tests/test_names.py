"""Names and arguments mean what people think, and what is mistyped is told with what was meant."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import textwrap
import traceback
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ive

import meanfield as mf
from meanfield.start import law

ROOT = Path(__file__).resolve().parent.parent
CIRCLE = mf.Torus(1)

GAME, FLOW = mf.games.oscillator(), mf.Langevin(25.0)


@pytest.mark.parametrize("call", [mf.solve, mf.simulate, mf.compare])
@pytest.mark.parametrize(
    ("mistyped", "meant"), [("T", "time"), ("dt", "step"), ("save_evry", "save_every")]
)
def test_mistyped_keywords_are_told_by_the_call_itself(call, mistyped, meant):
    name = call.__name__
    with pytest.raises(TypeError, match=rf"^{name}\(\) has no argument '{mistyped}'; .*'{meant}'"):
        call(GAME, FLOW, **{mistyped: 1.0})


@pytest.mark.parametrize(
    ("call", "over", "options", "told"),
    [
        ("simulate", {"replicas": [1, 2]}, {}, r"simulate\(\) .*'replicas'; give over=.*replica"),
        ("simulate", {"seed": [1]}, {"replicas": 3}, r"'replicas'; give over=.*replica"),
        ("compare", {"seed": [1]}, {"replcas": 3}, r"compare\(\) .*; did you mean 'replicas'"),
        ("solve", {"tol": [1e-5]}, {"T": 1.0}, r"solve\(\) has .*'T'; did you mean 'time'"),
        ("gibbs", {"bta": [1.0]}, {}, r"gibbs\(\) has no argument 'bta'; did you mean 'beta'"),
        ("solve", {"flow.bta": [1.0]}, {}, r"Langevin\(\) has .*'bta'; did you mean 'beta'"),
        ("solve", {"game.couplng": [1.0]}, {}, r"oscillator\(\) .*; did you mean 'coupling'"),
    ],
)  # fmt: skip
def test_mistyped_names_in_sweeps_are_told_at_once(call, over, options, told, monkeypatch):
    monkeypatch.setattr("meanfield.studies.sweep.study.compute", None)
    flow = mf.Langevin if "flow.bta" in over else mf.Langevin(4.0)
    given = {} if call == "gibbs" else {"flow": flow}
    with pytest.raises(TypeError, match=told):
        mf.sweep(call, mf.games.oscillator(), **given, over=over, **options)


def test_what_is_like_no_keyword_gets_the_list_of_them():
    with pytest.raises(TypeError, match=r"has no argument 'zzz'; it takes game, flow, start, time"):
        mf.solve(GAME, FLOW, zzz=5)


def test_options_of_another_engine_are_refused_by_name():
    with pytest.raises(TypeError, match="engine 'galerkin' has no option 'order'"):
        mf.solve(GAME, FLOW, order=4)


def test_without_a_start_both_levels_begin_from_uniform_laws():
    how = {"time": 0.02, "step": 0.01, "particles": 20}
    bare, given = (mf.simulate(GAME, FLOW, s, **how) for s in (None, mf.Start()))
    assert np.array_equal(bare.x[-1].points, given.x[-1].points)
    field = mf.solve(GAME, FLOW, time=0.02, cells=32)
    assert np.allclose(field.x[0].values, 1 / (2 * np.pi), atol=1e-12, rtol=0)


def test_resumed_mean_fields_keep_their_settings():
    how = {"cells": 256, "engine": "finite-volume", "tol": 1e-5, "weights": "sg"}
    half = mf.solve(GAME, FLOW, mf.Start(), 0.1, save_every=0.05, **how)
    whole = mf.solve(GAME, FLOW, mf.Start(), 0.2, save_every=0.05, **how)
    went_on = mf.solve(GAME, FLOW, time=0.2, resume=half)
    assert {key: went_on.provenance[key] for key in how} == how
    assert np.array_equal(went_on.x[-1].masses, whole.x[-1].masses)
    with pytest.raises(ValueError, match="resume was made with cells=256, not 300"):
        mf.solve(GAME, FLOW, time=0.2, resume=half, cells=300)


def test_resumed_particles_keep_their_settings():
    how = {"particles": 20, "step": 0.02, "scheme": "strang", "seed": 3}
    half = mf.simulate(GAME, FLOW, mf.Start(), 0.1, save_every=0.02, **how)
    went_on = mf.simulate(GAME, FLOW, time=0.2, resume=half)
    whole = mf.simulate(GAME, FLOW, mf.Start(), 0.2, save_every=0.02, **how)
    assert np.array_equal(went_on.x[-1].points, whole.x[-1].points)


def test_a_name_that_stands_for_nothing_may_be_a_constant():
    with pytest.raises(ValueError, match=r"'a' is not known; give a=\.\.\.") as caught:
        mf.games.expression("a*cos(x-y)")
    assert "did you mean" not in str(caught.value)
    with pytest.raises(ValueError, match=r"give omega=\.\.\."):
        mf.games.density("1 + cos(x)*omega")
    with pytest.raises(ValueError, match="did you mean sin"):
        mf.games.expression("sinn(x)*cos(y)")


def test_the_space_of_one_player_is_never_guessed_from_the_other():
    sphere, wide = mf.Sphere(2), mf.Torus(1, period=1.0)
    for make in (
        lambda **spaces: mf.games.expression("cos(x - y)", **spaces),
        lambda **spaces: mf.games.trigonometric([((1,), (1,), 1.0, 0.0)], **spaces),
    ):
        with pytest.raises(ValueError, match="Y is missing: X is given, so give Y"):
            make(X=wide)
        with pytest.raises(ValueError, match="X is missing: Y is given, so give X"):
            make(Y=wide)
        assert make().manifolds == (mf.Torus(1), mf.Torus(1))
    with pytest.raises(ValueError, match="the formula has no y, so that Y is not known"):
        mf.games.expression("cos(x)")
    assert sphere == mf.games.expression("x1*x2", X=sphere, Y=sphere).Y


def test_unknown_attributes_are_told_with_the_nearest_name():
    for module, name, meant in (
        (mf, "nikaido_isodar", "nikaido_isoda"), (mf, "Langevine", "Langevin"),
        (mf, "metric", "metrics"), (mf.games, "oscilator", "oscillator"),
    ):  # fmt: skip
        with pytest.raises(AttributeError, match=f"no attribute '{name}'; did you mean '{meant}'"):
            getattr(module, name)
    with pytest.raises(AttributeError, match="dir.meanfield. lists what there is"):
        _ = mf.qqq


@pytest.mark.parametrize("use", ["metrics.w2_details", "plotting.plot_measure", "games.free"])
def test_rooms_are_there_in_a_fresh_session(use):
    subprocess.run([sys.executable, "-c", f"import meanfield as mf; mf.{use}"], check=True)


@pytest.mark.parametrize("module", [mf, mf.games])
def test_type_checkers_see_the_names_that_there_are(module):
    tree = ast.parse(Path(module.__file__).read_text())
    block = next(n for n in tree.body if isinstance(n, ast.If))
    seen = {alias.asname for line in block.body for alias in line.names}
    assert seen == set(module.__all__)
    for line in block.body:
        home = sys.modules[module.__name__] if line.module == "meanfield" else None
        for alias in line.names:
            held = home or __import__(line.module, fromlist=[alias.name])
            assert getattr(held, alias.name) is getattr(module, alias.name)


TYPED = """
import meanfield as mf

game = mf.games.oscillator(coupling=3.0)
start = mf.Start(x=mf.concentrated(1.1, std=0.2))
run = mf.solve(game, mf.Langevin(25.0), start, time=1.0, cells=64, order=4)
swarm: mf.Trajectory = mf.simulate(game, mf.Langevin(25.0), None, 1.0, particles=(10, 20))
far: float = mf.w2(run.x[-1], swarm.x[-1])
mf.solve(3, 4, nonsense=5)  # wrong: arg-type arg-type call-arg
mf.simulate(game, mf.Langevin(25.0), T=1.0)  # wrong: call-arg
mf.w2(run.x[-1], swarm.x[-1]).plot()  # wrong: attr-defined
mf.concentrated(1.0, width=0.1)  # wrong: call-arg
mf.games.oscillator(cupling=3.0)  # wrong: call-arg
mf.solve(game, mf.Langevin(25.0), order="4")  # wrong: arg-type
mf.nikaido_isodar  # wrong: attr-defined
"""


def test_type_checkers_refuse_what_is_wrong(tmp_path):
    api = pytest.importorskip("mypy.api")
    file = tmp_path / "used.py"
    file.write_text(TYPED)
    said, trouble, _ = api.run([str(file), "--config-file", str(ROOT / "setup.cfg")])
    assert not trouble
    for number, line in enumerate(TYPED.splitlines(), 1):
        wrong = line.partition("# wrong: ")[2].split()
        found = [m for m in said.splitlines() if f"{file.name}:{number}: error" in m]
        assert bool(found) == bool(wrong), (line, found)
        for kind in wrong[:1]:
            assert any(f"[{kind}]" in m for m in found), (line, found)


def test_the_types_are_shipped():
    assert (ROOT / "meanfield" / "py.typed").is_file()
    assert "meanfield = py.typed" in (ROOT / "setup.cfg").read_text()


def test_errors_in_formulas_do_not_show_the_parser():
    for make in (
        lambda: mf.games.expression("cos(x - y)) + 1"),
        lambda: mf.games.expression("1/cos(x - y)"),
        lambda: mf.games.density("1 + (cos(x)"),
    ):
        with pytest.raises(mf.games.ExpressionError) as caught:
            make()
        frames = traceback.extract_tb(caught.value.__traceback__)
        assert len(frames) <= 3 and caught.value.__suppress_context__
        assert {Path(f.filename).name for f in frames} == {"test_names.py", "grammar.py"}


def test_files_that_are_not_there_are_not_found(tmp_path):
    for read in (mf.load, mf.resume):
        with pytest.raises(FileNotFoundError, match="there is no file .*absent.h5"):
            read(tmp_path / "absent.h5")


@pytest.mark.parametrize("period", [2 * np.pi, 1.0])
@pytest.mark.parametrize("std", [0.02, 0.05])
def test_a_bump_has_the_standard_deviation_it_is_given(period, std):
    space, std = mf.Torus(1, period=period), std * period / (2 * np.pi)
    held = law(mf.concentrated(0.5 * period, std=std), space).on(mf.mesh(space, 1024))
    found = held.integrate(lambda x: (x[:, 0] - 0.5 * period) ** 2) ** 0.5
    kappa = (period / (2 * np.pi * std)) ** 2
    assert abs(found / std - 1) < 1 / kappa
    mean = held.integrate(lambda x: np.cos(2 * np.pi * x[:, 0] / period - np.pi))
    assert mean == pytest.approx(ive(1, kappa) / ive(0, kappa), abs=1e-12)


def test_a_width_is_refused_with_what_to_give():
    with pytest.raises(TypeError, match="'width'; it was a variance; give its root as std"):
        mf.concentrated(1.0, width=0.3)
    with pytest.raises(TypeError, match=r"concentrated\(\) has no argument 'sigma'.*'std'"):
        mf.concentrated(1.0, sigma=0.3)


def narrow(std):
    """A bump as a function of the user's, so that nothing knows how narrow it is."""
    return lambda x: np.exp((np.cos(x[:, 0] - 1.1) - 1) / std**2)


@pytest.mark.filterwarnings("ignore::meanfield.UnderResolved")
@pytest.mark.parametrize("engine", ["galerkin", "finite-volume", "muscl"])
def test_starts_narrower_than_their_cells_are_refused(engine):
    flow = mf.WassersteinFisherRao() if engine == "muscl" else FLOW
    how = {"time": 0.01, "cells": 64, "engine": engine}  # cells 0.098 apart
    with pytest.raises(ValueError, match=r"start.x has std = 0.05, narrower than the cells"):
        mf.solve(GAME, flow, mf.Start(x=mf.concentrated(1.1, std=0.05)), **how)
    with pytest.raises(ValueError, match=r"start.y is narrower than the cells"):
        mf.solve(GAME, flow, mf.Start(y=narrow(0.02)), **how)
    mf.solve(GAME, flow, mf.Start(narrow(0.15), mf.concentrated(1.1, std=0.15)), **how)


def test_densities_narrower_than_the_modes_or_cells_that_take_them_are_refused():
    fine = law(mf.concentrated(1.1, std=0.02), CIRCLE).on(mf.mesh(CIRCLE, 2048))
    with pytest.raises(ValueError, match="start.x is narrower than cells = .* negative mass"):
        mf.solve(GAME, FLOW, mf.Start(x=fine), 0.01, cells=64)
    with pytest.raises(ValueError, match="narrower than the cells of .*on which its mass is"):
        fine.on(mf.mesh(CIRCLE, 50))


def test_narrow_functions_on_the_sphere_are_refused():
    sphere = mf.Sphere(2)
    with pytest.raises(ValueError, match="narrower than the cells"):
        law(lambda x: np.exp((x[:, 2] - 1) / 0.01**2), sphere).on(mf.mesh(sphere, 642))
    law(lambda x: np.exp((x[:, 2] - 1) / 0.3**2), sphere).on(mf.mesh(sphere, 642))


def public():
    for room in (mf, mf.games, mf.metrics, mf.plotting):
        for name in room.__all__:
            thing = getattr(room, name)
            warns = isinstance(thing, type) and issubclass(thing, Warning | RuntimeError)
            if callable(thing) and not warns:
                yield pytest.param(thing, id=f"{room.__name__.removeprefix('meanfield')}.{name}")


@pytest.mark.parametrize("thing", list(public()))
def test_docstrings_have_the_sections_that_apply(thing):
    """A summary, what is taken (fields, for results), what is returned and what is raised."""
    text = inspect.getdoc(thing)
    assert text and text.split("\n")[0].endswith((".", ":"))
    held = set(re.findall(r"^(\w+)\n-{3,}$", text, re.MULTILINE))
    parameters = [p for p in inspect.signature(thing).parameters if p not in ("args", "kwargs")]
    if parameters:
        assert held & {"Parameters", "Attributes"}
    if isinstance(thing, type):
        return
    assert "Returns" in held or inspect.signature(thing).return_annotation in (None, "None")
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(thing))))
    raises = any(isinstance(node, ast.Raise) for node in ast.walk(tree))
    assert "Raises" in held or not raises
    # What a Parameters section names is taken by the call.
    section = re.search(
        r"^Parameters\n-+\n(.*?)(?=^\w+\n-{3,}$|\Z)", text, re.MULTILINE | re.DOTALL
    )
    for line in section[1].splitlines() if section else ():
        if line and not line.startswith(" "):
            named = [n.strip().lstrip("*") for n in line.split(" : ")[0].split(",")]
            assert set(named) <= {*parameters, *KEYWORDS.get(thing.__name__, ())}, line


KEYWORDS = {"solve": {"options"}}
