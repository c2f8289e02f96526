"""`compare` and its error bars, against closed laws and known coverage."""

import re
from inspect import signature

import numpy as np
import pytest

import meanfield as mf
from meanfield.studies.comparison import judge, step_bias
from meanfield.studies.controls import controls_of
from meanfield.studies.plan import plan
from meanfield.studies.reference import seed_of
from meanfield.studies.statistics import band, exponent, sup_of_means

CIRCLE = mf.Torus(1)


def free(**options):
    """Free motion from the uniform law: i.i.d. uniform particles at every time."""
    how = {
        "particles": (20, 80, 320),
        "replicas": (300, 200, 150),
        "step": 0.05,
        "save_every": 0.1,
        "cells": 32,
    }
    return mf.compare(
        mf.games.free(CIRCLE, CIRCLE), mf.Langevin(2.0), mf.Start(), 0.3, **{**how, **options}
    )


@pytest.fixture(scope="module")
def compared():
    return free(seed=1)


def test_free_particles_have_the_closed_constant_at_every_time(compared):
    """E (W2^2_x + W2^2_y) = 2 L^2/(12 n) for every n and t."""
    for n, samples in zip(compared.particles, compared.samples["w2_squared"], strict=True):
        totals = samples.sum(axis=2)
        z = (totals.mean(axis=0) - CIRCLE.period**2 / (6 * n)) / (
            totals.std(axis=0, ddof=1) / np.sqrt(len(totals))
        )
        assert np.abs(z).max() < 4


def test_free_particles_have_exponent_minus_one_and_no_step_bias(compared):
    assert compared.exponent.low < -1 < compared.exponent.high
    assert compared.exponent.high - compared.exponent.low < 0.3
    # Euler's Gaussian increments are exact: halving the step moves nothing but rounding.
    assert compared.relative_bias < 1e-9
    assert compared.field_ni == pytest.approx(0, abs=1e-12)
    assert compared.ni_exponent is None  # without a loss there is no error to fit
    assert np.all(compared.w2_squared_low < compared.w2_squared)
    assert np.all(compared.w2_squared < compared.w2_squared_high)


def test_controls_cut_the_variance_and_intervals_still_cover(compared):
    """Batches of ten replicas: their intervals hold L^2/(6 n) as often as they say, and are a tenth
    as wide.
    """
    assert compared.provenance["control"] == "energies of copies"
    assert compared.energy.low < 1 < compared.energy.high
    hits, widths, rows = (
        [],
        [],
        zip(
            *(compared.samples[k] for k in ("w2_squared", "energies", "energy_means")), strict=True
        ),
    )
    for n, (squared, energies, exact) in zip(compared.particles, rows, strict=True):
        for i in range(0, len(squared), 10):
            totals, off = squared[i : i + 10].sum(axis=2), energies[i : i + 10] - exact
            _, low, high = band(totals, controls=off)
            plain = band(totals)
            hits.append(
                np.mean((low < CIRCLE.period**2 / (6 * n)) & (CIRCLE.period**2 / (6 * n) < high))
            )
            widths.append(np.median((high - low) / (plain[2] - plain[1])))
    assert 0.88 < np.mean(hits) < 0.995
    assert np.median(widths) < 0.1


def test_controls_agree_with_means_of_interacting_particles():
    game = mf.games.benchmark("circle")
    found = mf.compare(
        game,
        mf.Langevin(10.0),
        game.answers["start"],
        0.4,
        particles=(100, 400),
        replicas=(160, 80),
        step=0.02,
        cells=64,
    )
    bare = {k: v for k, v in found.samples.items() if "energ" not in k}
    plain = judge(found.particles, found.field, found.field_ni, bare, found.provenance)
    assert plain.provenance["control"] == "none"
    half = (plain.w2_squared_high - plain.w2_squared_low) / 2
    assert np.all(np.abs(plain.w2_squared - found.w2_squared) < 2.5 * half)
    assert np.median((found.w2_squared_high - found.w2_squared_low) / (2 * half)) < 0.25
    assert len(found.field) == len(found.times) == 21


def test_copies_of_another_law_are_no_control(compared):
    changed = {**compared.samples, "energies": [1.5 * e for e in compared.samples["energies"]]}
    again = judge(
        compared.particles, compared.field, compared.field_ni, changed, compared.provenance
    )
    assert "left out" in again.provenance["control"]
    assert again.sup[0] == sup_of_means(compared.samples["w2_squared"][0].sum(axis=2))


def test_controls_are_refused_where_there_are_none():
    with pytest.raises(ValueError, match="weights"):
        mf.compare(mf.games.benchmark("circle"), mf.WassersteinFisherRao(), None, 0.1, control=True)
    for control in ("perhaps", 1, 0, None):
        with pytest.raises(ValueError, match="control must be"):
            free(control=control)
    assert "energies" not in free(replicas=3, control=False).samples


def test_copies_of_smaller_energies_are_no_control_where_replicas_are_many(compared):
    """Two dozen skewed energies may well fall short by chance."""
    changed = {**compared.samples, "energies": [0.8 * e for e in compared.samples["energies"]]}
    again = judge(
        compared.particles, compared.field, compared.field_ni, changed, compared.provenance
    )
    assert "left out" in again.provenance["control"]
    few = {
        key: [rows if key == "energy_means" else rows[:24] for rows in s]
        for key, s in changed.items()
    }
    again = judge(compared.particles, compared.field, compared.field_ni, few, compared.provenance)
    assert again.provenance["control"] == "energies of copies"


def test_few_replicas_take_no_control():
    found = free(replicas=7)
    assert found.provenance["control"] == "none: fewer than 8 replicas"
    assert "energies" not in found.samples and len(found.field) == len(found.times) == 4
    with pytest.raises(ValueError, match="control=True: fewer than 8 replicas"):
        free(replicas=7, control=True)
    some = free(replicas=(8, 7, 7))
    assert some.provenance["control"] == "energies of copies"


def cosine(x, y):
    return np.cos(x - y)[..., 0]


def test_copies_that_look_at_all_cells_are_asked_for():
    game = mf.games.function(cosine, CIRCLE, CIRCLE)
    how = {"particles": (10,), "replicas": 8, "step": 0.05, "cells": 32}
    assert (
        "not low-rank" in mf.compare(game, mf.Langevin(2.0), None, 0.1, **how).provenance["control"]
    )
    assert "energies" in mf.compare(game, mf.Langevin(2.0), None, 0.1, **how, control=True).samples


@pytest.mark.parametrize(
    ("change", "how_long"),
    [
        ({"time": 6000.0, "step": 0.01}, "1,200,000 states: more than are kept"),
        ({"time": 40.0, "step": 1e-3, "cells": 1024}, "80,000 states of 1,3.. MB: more than"),
    ],
)
def test_mean_fields_too_long_to_keep_take_no_control(change, how_long):
    """6000 / 0.005 states, more than any run saves; 80,000 states of 2 x 1024 numbers, 1.3 GB."""
    asked = signature(mf.compare).bind(
        mf.games.free(CIRCLE, CIRCLE), mf.Langevin(2.0), **change, save_every=20.0
    )
    asked.apply_defaults()
    found = plan(**asked.arguments)
    assert re.search(how_long, found.without) and found.gap == 20.0
    assert plan(**{**asked.arguments, "time": 1.0}).gap == change["step"] / 2
    with pytest.raises(ValueError, match="control=True: copies need the mean field at every"):
        plan(**{**asked.arguments, "control": True})


def test_threads_and_repeats_do_not_change_bits():
    runs = [free(replicas=6, threads=threads) for threads in (1, 2, 2)]
    for other in runs[1:]:
        for key, kept in runs[0].samples.items():
            assert all(np.array_equal(a, b) for a, b in zip(kept, other.samples[key], strict=True))
    assert not np.array_equal(
        free(replicas=6, seed=7).samples["w2_squared"][0], runs[0].samples["w2_squared"][0]
    )


def test_stored_samples_are_judged_alike(compared):
    again = judge(
        compared.particles, compared.field, compared.field_ni, compared.samples, compared.provenance
    )
    assert again.exponent == compared.exponent and again.sup == compared.sup
    assert np.array_equal(again.w2_squared, compared.w2_squared)


def test_a_coarse_step_is_said():
    game = mf.games.oscillator()
    with pytest.warns(mf.UnderResolved, match="halve it"):
        mf.compare(
            game, mf.Langevin(25.0), game.answers["start"], 1.0, particles=(100, 4000), replicas=4,
            step=0.1, scheme="euler", save_every=0.5, cells=128,
        )  # fmt: skip


def test_a_mean_field_of_atoms_lies_below_the_particles_own_distance():
    game = mf.games.benchmark("circle")
    n = 2000
    found = mf.compare(
        game,
        mf.WassersteinFisherRao(),
        game.answers["start"],
        0.02,
        particles=(n,),
        replicas=40,
        step=0.02,
    )
    N = len(found.field.x[0])
    assert (CIRCLE.period / N) ** 2 / 12 < 0.011 * CIRCLE.period**2 / (12 * n)
    assert found.exponent is None


def test_step_bias_adds_what_halving_leaves():
    rng = np.random.default_rng(0)
    half = rng.exponential(1.0, (30, 4))
    shift = np.array([0.0, 0.1, -0.3, 0.2])
    for scheme, left in (("euler", 0.5), ("strang", 0.25)):
        found = step_bias(half + shift, half, scheme)
        assert found.value == pytest.approx(-0.3 / (1 - left), rel=1e-12)


def test_bad_input_is_refused():
    for options, message in (
        ({"scheme": "milstein"}, "scheme must be one of"),
        ({"replicas": (3, 4)}, "one number or 3"),
        ({"replicas": 1}, "at least 2"),
        ({"particles": (0,)}, "at least 1"),
        ({"step": 0.0}, "above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            free(**options)
    with pytest.raises(ValueError, match="two sizes or more"):
        exponent((10,), [np.ones((3, 1))])


def test_replicas_belong_to_their_numbers_of_particles():
    s = plan(
        mf.games.oscillator(),
        mf.Langevin(25.0),
        None,
        0.1,
        (200, 50),
        (2, 6),
        0.01,
        "strang",
        None,
        64,
        None,
        None,
        False,
    )
    assert (s.sizes, s.counts) == ((50, 200), (6, 2))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"confidence": 95}, "confidence must lie between"),
        ({"particles": ()}, "particles must hold"),
        ({"threads": 0}, "threads must be at least 1"), ({"seed": -1}, "seed must be"),
        ({"save_every": 0.015}, "save_every must be a whole number of steps"),
        ({"time": 0.105}, "time must be a whole number of steps"),
        ({"particles": [20, 10**11]}, "particles must be"),
        ({"flow": mf.BestResponse()}, "scheme"), ({"game": None}, "game must be"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_before_anything_runs(wrong, says, tmp_path):
    asked = {
        "game": mf.games.oscillator(),
        "flow": mf.Langevin(25.0),
        "time": 0.1,
        "particles": 20,
        "replicas": 4,
    } | wrong
    with pytest.raises((TypeError, ValueError), match=says):
        mf.compare(**asked, checkpoint=tmp_path / "run.h5")
    assert not any(tmp_path.iterdir())


AVERAGED = ("ni_average", "ni_average_low", "ni_average_high", "field_ni_average")


def weighted(game=None, **options):
    game = mf.games.benchmark("circle") if game is None else game
    how = {"particles": (50, 200), "replicas": 4, "step": 0.02, "save_every": 0.1, **options}
    start = mf.games.benchmark("circle").answers["start"]
    return mf.compare(game, mf.WassersteinFisherRao(), start,
                      0.4, **how)  # fmt: skip


@pytest.mark.parametrize("low_rank", [True, False])
def test_errors_of_time_averages_are_those_of_the_averaged_measures(low_rank):
    """Of the mean field and of one replica, by `Trajectory.average` and `nikaido_isoda`."""
    game = mf.games.benchmark("circle")
    if not low_rank:
        game = mf.games.expression("exp(cos(x - y)) + 0.5*sin(2*x)*cos(y)")
        assert game.bases is None
    found = weighted(game, cells=40, average="auto" if low_rank else True)
    run = mf.simulate(
        game, found.field.flow, found.provenance["start"], 0.4, 0.02, 200, scheme="strang",
        save_every=0.1, replica=1, seed=seed_of(0, 200), refine=2,
    )  # fmt: skip
    for k in range(5):
        exact = mf.nikaido_isoda(game, *found.field.average(last=k)).value
        assert found.field_ni_average[k] == pytest.approx(exact, abs=1e-8)
        mine = mf.nikaido_isoda(game, *run.average(last=k)).value
        assert found.samples["ni_average"][1][1, k] == pytest.approx(mine, abs=1e-8)
    assert found.field_ni_average[0] == found.field_ni[0]
    assert abs(found.field_ni_average[-1] - found.field_ni[-1]) > 0.04


def test_errors_of_time_averages_have_bands_exponents_and_files(tmp_path):
    found = weighted()
    gaps = [np.abs(s - found.field_ni_average) for s in found.samples["ni_average"]]
    assert found.ni_average_sup[1] == sup_of_means(gaps[1])
    assert found.ni_average_exponent == exponent((50, 200), gaps)
    assert np.all(found.ni_average_low <= found.ni_average_high)
    assert "of time averages: sup E|NI - NI*|" in repr(found)
    assert len(found.plot().axes) == 4
    held = mf.load(found.save(tmp_path / "found.h5"))
    for name in AVERAGED:
        np.testing.assert_array_equal(getattr(held, name), getattr(found, name))
    assert held.ni_average_exponent == found.ni_average_exponent
    head = found.to_csv(tmp_path / "found.csv").read_text().splitlines()[0]
    assert head.endswith("ni_average,ni_average_low,ni_average_high,field_ni,field_ni_average")


def test_errors_of_time_averages_are_left_out_where_nobody_asks(compared):
    assert compared.ni_average is None and "average" not in repr(compared)
    assert weighted(average=False).ni_average is None
    with pytest.raises(ValueError, match='average must be "auto", True or False'):
        weighted(average="yes")


def test_errors_of_time_averages_beside_a_control():
    """Energies stay the control, and not the averages that are measured beside them."""
    game = mf.games.benchmark("circle")
    how = {"particles": (40,), "replicas": 8, "step": 0.02, "save_every": 0.1, "cells": 32}
    with_both, plain = (
        mf.compare(game, mf.Langevin(5.0), None, 0.2, average=average, **how)
        for average in (True, False)
    )
    assert with_both.samples["ni_average"][0].shape == (8, 3)
    np.testing.assert_array_equal(*(c.samples["energies"] for c in (with_both, plain)))
    assert repr(with_both.sup) == repr(plain.sup)


def test_skewed_energies_whose_mean_is_low_by_chance_stay_a_control():
    """Of one mode, squares of normals: the spread of a sample is small where its mean is."""
    draws = np.random.default_rng(0).chisquare(1, (300, 120, 20))
    samples = {"w2_squared": [draws[0]], "energy_means": [np.ones(20)]}
    kept = [controls_of(samples | {"energies": [rows]})[1] for rows in draws]
    assert set(kept) == {"energies of copies"}
    low = [controls_of(samples | {"energies": [0.5 * rows]})[1] for rows in draws]
    assert all("left out" in told for told in low)
