"""What meshes do not see of a loss is said."""

import warnings

import numpy as np
import pytest

import meanfield as mf
from meanfield.checks import UnderResolved
from meanfield.density.between_nodes import MISSED, missed
from meanfield.games.formulas.expressions import expression

START = mf.Start(x=mf.concentrated(1.0, 0.3), y=mf.concentrated(2.0, 0.3))
WAVES = "cos(x - y) + 0.8*exp(sin({}*x))*cos(y)"


@pytest.mark.parametrize("k", [60, 64, 128, 255, 256, 257, 512])
def test_waves_shorter_than_cells_are_said(k):
    game = expression(WAVES.format(k))
    with pytest.warns(UnderResolved, match="player x: the loss changes faster than"):
        mf.solve(game, mf.Langevin(4.0), START, time=1e-3, cells=256)
    with pytest.warns(UnderResolved, match="raise `cells`"):
        mf.gibbs(game, 4.0, cells=256)


def test_what_nodes_follow_is_not_spoken_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mf.solve(expression(WAVES.format(8)), mf.Langevin(4.0), START, time=1e-3, cells=256)
    for name in ("circle", "torus", "sphere"):
        game = mf.games.benchmark(name)
        for p, space in enumerate(game.manifolds):
            assert missed(game, p, mf.mesh(space)) < 0.01


@pytest.mark.parametrize("player", [0, 1])
def test_of_a_single_wave_the_curvature_is_missed(player):
    """cos(k z) beside a node at a distance d is off by at most (k d)^2/2, of a range of 2."""
    k, n = 9, 64
    game = expression("cos(9*x)*cos(9*y)")
    share = missed(game, player, mf.mesh(game.X, n))
    assert 0.6 * (0.6 * k * np.pi / n) ** 2 / 4 < share < (k * np.pi / n) ** 2 / 4 * 1.1


def test_five_cells_a_period_are_the_limit():
    few, many = (missed(expression("cos(x - y)"), 0, mf.mesh(mf.Torus(1), n)) for n in (3, 8))
    assert many < MISSED < few


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("cos(x - y) + sin(256*x)*exp(400*(cos(y - 2) - 1))", 256),
        ("cos(x - y) - 10*exp(20000*(cos(x - 2.03) - 1))", 128),
    ],
)
def test_waves_against_those_who_play_and_peaks_between_nodes_are_said(text, cells):
    start = mf.Start(x=mf.concentrated(1.0, 0.5), y=mf.concentrated(2.0, 0.1))
    with pytest.warns(UnderResolved, match="player x: the loss changes faster than"):
        mf.solve(expression(text), mf.Langevin(2.0), start, time=1e-3, cells=cells)


def test_rounding_is_no_wave():
    game = expression("cos(x)**2 + sin(x)**2 + exp(sin(y))*cos(y)")
    assert missed(game, 0, mf.mesh(game.X, 64)) == 0.0


def test_losses_without_a_slope_miss_nothing():
    game = expression("0*x*cos(y) + cos(y)*exp(cos(y))", mf.Torus(1), mf.Torus(1))
    assert missed(game, 0, mf.mesh(game.X, 16)) == 0.0
