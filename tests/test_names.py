"""Names and arguments mean what people think, and what is mistyped is told with what was meant."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf

GAME, FLOW = mf.games.oscillator(), mf.Langevin(25.0)


@pytest.mark.parametrize("call", [mf.solve, mf.simulate])
@pytest.mark.parametrize(
    ("mistyped", "meant"), [("T", "time"), ("dt", "step"), ("save_evry", "save_every")]
)
def test_mistyped_keywords_are_told_by_the_call_itself(call, mistyped, meant):
    name = call.__name__
    with pytest.raises(TypeError, match=rf"^{name}\(\) has no argument '{mistyped}'; .*'{meant}'"):
        call(GAME, FLOW, **{mistyped: 1.0})


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
