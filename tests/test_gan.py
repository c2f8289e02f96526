"""Mixtures of GANs: what needs no PyTorch first, the rest where it is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import meanfield as mf
from meanfield import gan
from meanfield.density.equation import react
from meanfield.gan.needs import MESSAGE, Later
from meanfield.gan.scores import assignment, information_of, modes_of, w2_floor
from tests.test_package import loaded_by

ROOT = Path(__file__).resolve().parent.parent


def test_importing_the_package_imports_no_pytorch() -> None:
    code = "import meanfield as mf\nfrom meanfield import gan\nmf.gan.GanGame, gan.GanRun, mf.load"
    assert "torch" not in loaded_by(code)


def test_without_pytorch_the_message_says_what_to_install() -> None:
    """In a process that finds none, whatever is installed."""
    code = (
        "import sys\nsys.modules['torch'] = None\n"
        "import meanfield as mf\nfrom meanfield import gan\n"
        "game = gan.GanGame(gan.Ring(), gan.mlp(2, 2), gan.mlp(2, 1), 2)\n"
        "gan.train(game, mf.Wasserstein(), 1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and done.stderr.splitlines()[-1] == f"ImportError: {MESSAGE}"
    with pytest.raises(AttributeError):
        Later("torch").__wrapped__  # noqa: B018


def test_without_pytorch_collecting_the_tests_passes_over_what_needs_it() -> None:
    code = "import sys\nsys.modules['torch'] = None\nimport pytest\n"
    code += "sys.exit(pytest.main(['--collect-only', '-p', 'no:cacheprovider', 'meanfield/gan']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED), done.stdout


def test_react_is_the_compiled_reaction_of_particles() -> None:
    """One step of mirror descent, three particles against two, weights in logarithms."""
    game = mf.games.expression("cos(x - y) + sin(2*x)*cos(y)")
    start = mf.Start(
        mf.Measure([[0.1], [2.0], [4.0]], [0.5, 0.3, 0.2], mf.Torus(1)),
        mf.Measure([[1.0], [3.0]], [0.25, 0.75], mf.Torus(1)),
    )
    run = mf.simulate(
        game, mf.MirrorDescent((2.0, 3.0)), start, time=0.1, step=0.1, particles=(3, 2),
        placement="atoms", progress=False,
    )  # fmt: skip
    x, y = run[0]
    losses = game.loss(x.points, y.points)
    for log_weights, mu, costs, rate in zip(
        run.state["log_weights"], (x, y), (losses @ y.masses, -(x.masses @ losses)), (0.2, 0.3),
        strict=True,
    ):  # fmt: skip
        assert np.allclose(react(np.log(mu.masses), costs, rate), log_weights, rtol=0, atol=1e-14)


def test_react_does_not_overflow_and_weights_sum_to_one() -> None:
    after = react(np.log([0.5, 0.5]), np.array([0.0, 5000.0], np.float32), 1.0)
    assert after.tolist() == [0.0, -5000.0] and after.dtype == np.float64
    free = react(np.log(np.full(7, 1 / 7)), np.arange(7.0), 0.3)
    assert abs(np.exp(free).sum() - 1) < 1e-15


def test_the_truth_scores_what_it_must() -> None:
    """Its mean log-density is -0.311 a sample, and one mode alone scores no worse: -0.309."""
    ring, rng = gan.Ring(), np.random.default_rng(0)
    points = ring.sample(100_000, rng)
    alone = ring.centers[0] + ring.std * rng.standard_normal((100_000, 2))
    assert abs(ring.log_density(points).mean() - -0.311) < 0.01
    assert abs(ring.log_density(alone).mean() - -0.309) < 0.01
    assert modes_of(ring, points) == 8 and modes_of(ring, alone) == 1
    area = (4 / 400) ** 2
    axis = (np.arange(400) + 0.5) / 100 - 2
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    assert abs(np.exp(ring.log_density(grid)).sum() * area - 1) < 1e-6


def test_scores_against_what_can_be_said_by_hand() -> None:
    assert abs(information_of(np.eye(4), np.full(4, 0.25)) - 2) < 1e-15
    assert information_of(np.ones((3, 5)), np.array([0.2, 0.3, 0.5])) == pytest.approx(0, abs=1e-15)
    points = np.random.default_rng(0).standard_normal((50, 2))
    floor, deviation = w2_floor(gan.Ring(), pairs=2)
    assert abs(floor - 0.124) < 0.1 and deviation > 0
    assert assignment(points, points[::-1] + np.array([3.0, 4.0])) == pytest.approx(5.0, abs=1e-12)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: gan.GanGame(gan.Ring(), gan.mlp(2, 2), gan.mlp(2, 1), 2, 0.1, 10.0),
            "not by both",
        ),
        (lambda: gan.GanGame(None, gan.mlp(2, 2), gan.mlp(2, 1), 2), "Ring or Images"),
        (lambda: gan.GanGame(gan.Ring(), 3, gan.mlp(2, 1), 2), "generator must be"),
        (
            lambda: gan.GanGame(gan.Ring(), gan.mlp(2, 2), gan.mlp(2, 1), 0),
            "noise must be at least",
        ),
        (lambda: gan.Ring(std=0.0), "std must be above 0"),
        (lambda: gan.mlp(2, 1, depth=-1), "depth must be at least 0"),
        (lambda: gan.Images.of("a", np.zeros((2, 3, 3)), [1, 2]), "bytes"),
        (lambda: gan.Images.of("a", np.zeros((2, 1, 3, 3), np.uint8), [1]), "2 whole numbers"),
        (lambda: gan.Images("a", (1, 1, 2, 2), "").pixels, "are not in the file"),
    ],
)
def test_wrong_games_are_refused(make: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        make()
