"""The examples hold what their titles claim."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import meanfield as mf
from meanfield.cli import build, main
from meanfield.cli.examples import shipped
from meanfield.cli.gan import described
from meanfield.cli.grid import axes_of
from meanfield.cli.spec import Spec


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


# What titles say of the files themselves; the tests below hold what they say of runs.
TITLES: dict[str, Any] = {
    "annealing": lambda game, flow, spec: all(
        flow.at(t)[0].temperature == pytest.approx(0.2 / np.log(t), rel=1e-3) for t in (1e3, 1e6)
    ) and flow.memory.rate > 0,
    "averaged_gradients": lambda game, flow, spec: (
        game.name.startswith("oscillator") and flow.memory == mf.Memory(power=0.0)
    ),
    **dict.fromkeys(("benchmark_circle", "benchmark_sphere", "benchmark_torus"), lambda g, f, s: (
        s["game"]["which"] == {CIRCLE: "circle", mf.Sphere(2): "sphere", mf.Torus(2): "torus"}[g.X]
        and f.temperature == (0.1, 0.1) and s["run"]["time"] == 5
    )),
    "bilinear": lambda game, flow, spec: (
        game.manifolds == (mf.Sphere(2), mf.Sphere(2)) and spec["run"]["level"] == "particles"
        and "nash" in spec
    ),
    "check": lambda game, flow, spec: game.name == spec["game"]["expression"] and "check" in spec,
    "discounted_gradients": lambda game, flow, spec: (
        game.name.startswith("oscillator") and flow.memory.rate > 0
    ),
    "expression": lambda game, flow, spec: game.manifolds == (CIRCLE, mf.Sphere(2)),
    "oscillator_particles": lambda game, flow, spec: (
        game.name.startswith("oscillator") and flow.diffuses and spec["run"]["particles"] == 10_000
    ),
    **{f"paper_{kind}_{which}": lambda game, flow, spec, diffuses=diffuses, which=which: (
        game.recipe[1]["kind"] == which and flow.diffuses == diffuses == (not flow.reacts)
        and spec["run"]["record"] == ["ni"] and spec["run"]["level"] == "particles"
    ) for kind, diffuses in (("langevin", True), ("wfr", False)) for which in "ab"},
    "sweep": lambda game, flow, spec: [len(a.values) for a in axes_of(spec_of("sweep"))] == [
        5, 4, 10
    ],
    "gan_mnist": lambda game, flow, spec: (
        spec["train"]["generators"] == spec["train"]["critics"] == 2
        and spec["gan"]["penalty"] > 0 and spec["data"]["kind"] == "mnist"
    ),
    "gan_ring": lambda game, flow, spec: game.data.modes == 8,
}  # fmt: skip
CIRCLE = mf.Torus(1)
RUN = {
    "best_response", "double_well", "entropic_best_response", "entropic_wfr", "free_motion",
    "mirror_descent", "mirror_prox", "oscillator", "primal_dual", "quasistatic", "random_game",
    "separable", "two_time_scales", "uniform_equilibrium", "wang_chizat",
}  # fmt: skip


def spec_of(name: str) -> Spec:
    return Spec(f"{name}.toml", tomllib.loads(shipped()[f"{name}.toml"]))


def test_the_title_of_every_example_is_looked_at() -> None:
    assert {f"{name}.toml" for name in RUN | TITLES.keys()} == shipped().keys()


@pytest.mark.parametrize("name", TITLES)
def test_files_are_what_their_titles_say(name: str) -> None:
    spec = spec_of(name)
    game: Any = None
    if name == "gan_ring":
        game, _, _ = described(spec)
    elif name != "gan_mnist":  # whose images are not here
        game = build.game(spec)
    assert TITLES[name](game, build.flow(spec), spec.content)


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
                                  "primal_dual", "quasistatic", "random_game",
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
