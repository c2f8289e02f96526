"""Runs of the Galerkin engine, and the distance between two of them."""

import numpy as np

from meanfield.density.fourier import Galerkin
from meanfield.games import oscillator

OSCILLATOR = oscillator()
BUMPS = OSCILLATOR.answers["start"]


def engine(game, flow, start, cells=(96, 96), **how):
    return Galerkin(game, flow, start.laws(game.X, game.Y), cells, **how)


def run(game, flow, start, time, cells=(96, 96), **how):
    e = engine(game, flow, start, cells, **how)
    e.advance(time)
    return e


def nodal_error(run, reference):
    """The larger player's L1 distance of nodal densities to a reference's, at the first one's
    nodes.
    """
    errors = []
    for p, mu in enumerate(run.measures()):
        turn = 2 * np.pi / mu.manifold.period
        phase = np.exp(1j * turn * mu.points @ reference.wave_numbers(p).T)
        exact = (2 * (phase @ reference.modes(p)).real - 1) / mu.manifold.volume
        errors.append(np.abs(mu.values - exact) @ mu.mesh.volumes)
    return max(errors)
