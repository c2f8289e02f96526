"""The examples hold what their titles claim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import meanfield as mf
from meanfield.cli import main


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Copies an example, runs it with changes, and loads what it wrote."""
    monkeypatch.chdir(tmp_path)

    def go(name: str, *changes: str) -> mf.Trajectory:
        assert main(["examples", f"{name}.toml"]) == 0
        words = [f"--set={change}" for change in changes]
        assert main(["run", f"{name}.toml", "--quiet", *words]) == 0
        return mf.load(f"{name}.h5")

    return go


def far(a: Any, b: Any) -> float:
    """Total variation of both players."""
    return max(0.5 * float(np.abs(p.masses - q.masses).sum()) for p, q in zip(a, b, strict=True))


def test_best_response_decays_at_its_rate(run: Any) -> None:
    """To the error of equal steps: a fiftieth at the end."""
    held = run("best_response")
    ni = held.diagnostics["ni"]
    assert ni[0] > 1 and np.abs(ni / (ni[0] * np.exp(-held.times)) - 1).max() < 0.03


def test_the_plain_flow_stays_in_a_well_that_is_not_the_deepest(run: Any) -> None:
    held = run("double_well")
    assert held.diagnostics["ni"][-1] == pytest.approx(4 * 0.3, rel=1e-6)
    assert held.diagnostics["ni"][-1] == pytest.approx(held.game.answers["trapped_ni"], rel=1e-6)


def test_brownian_motion_on_the_sphere_forgets_its_start(run: Any) -> None:
    held = run("free_motion")
    kept = [float(m.masses @ np.sum(m.points * held.x[0].points, axis=1)) for m in held.x]
    # Means of 5000 cosines have an error below 0.015; four of these.
    assert np.abs(kept - np.exp(-2 * held.times / 4.0)).max() < 0.06


def test_mirror_descent_moves_weights_alone(run: Any) -> None:
    held = run("mirror_descent", "run.particles=50")
    assert (held.x[0].points == held.x[-1].points).all()
    assert np.ptp(held.y[0].masses) < 1e-12 and np.ptp(held.y[-1].masses) > 1e-3


def test_weights_spiral_in_with_mirror_prox_and_out_without(run: Any) -> None:
    changes = ("run.time=4.0",)
    ends = {}
    for scheme in ("mirror-prox", "euler"):
        held = run("mirror_prox", *changes, f'run.scheme="{scheme}"')
        Path("mirror_prox.h5").unlink()
        Path("mirror_prox.toml").unlink()
        conserved = held.game.answers["conserved"]
        a, b = ([m.masses[0] - 0.5 for m in side] for side in (held.x, held.y))
        ends[scheme] = conserved(a[-1], b[-1]) - conserved(a[0], b[0])
    assert ends["mirror-prox"] * ends["euler"] < 0


def test_the_oscillator_never_settles_around_a_stable_point(run: Any) -> None:
    held = run("oscillator")
    point = mf.gibbs(held.game, beta=25.0)
    assert mf.stability(held.game, 25.0, cells=128, count=2).rate > 0
    late = held.times > 10
    assert np.ptp(held.diagnostics["value"][late]) > 1.0
    assert min(far(pair, (point.x, point.y)) for pair, t in zip(held, late, strict=True) if t) > 0.1


@pytest.mark.parametrize("name", ["separable", "entropic_wfr", "entropic_best_response",
                                  "two_time_scales"])  # fmt: skip
def test_these_end_at_the_gibbs_point(run: Any, name: str) -> None:
    held = run(name, *(["run.time=60"] if name == "separable" else []))
    point = mf.gibbs(held.game, beta=mf.plotting.words.beta_of(held.flow), cells=len(held.x[0]))
    assert far(held[0], (point.x, point.y)) > 0.2
    assert far(held[-1], (point.x, point.y)) < 1e-3


def test_a_perturbation_of_the_uniform_law_decays_and_turns_as_known(run: Any) -> None:
    held = run("uniform_equilibrium")
    z = np.exp(1j * held.x[0].points[:, 0])
    modes = np.array([m.masses @ z for m in held.x])
    first, second = held.game.answers["eigenvalues"](5.0)
    late = held.times > 1.0  # when what is of second order in the perturbation is gone
    basis = np.exp(np.outer(held.times[late], [first, second, np.conj(first), np.conj(second)]))
    fit, *_ = np.linalg.lstsq(basis, modes[late], rcond=None)
    assert np.abs(basis @ fit - modes[late]).max() < 2e-2 * np.abs(modes[late]).max()


def test_weights_circle_for_ever_and_their_averages_converge(run: Any) -> None:
    held = run("wang_chizat", "run.time=6.0", "run.step=0.005")
    conserved = held.game.answers["conserved"]
    a, b = (np.array([m.masses[0] - 0.5 for m in side]) for side in (held.x, held.y))
    orbit = np.array([conserved(*pair) for pair in zip(a, b, strict=True)])
    assert np.ptp(orbit) < 1e-2 * abs(orbit).max() and abs(a).max() > 0.19
    errors = [mf.nikaido_isoda(held.game, *held.average(last=k)).value for k in (10, len(held) - 1)]
    assert errors[1] < 0.5 * errors[0]
