"""Problems and short runs of (7) shared by the tests of its conservative engines."""

import numpy as np

from meanfield.flows import Langevin
from meanfield.games import benchmark
from meanfield.games.lowrank import trigonometric
from meanfield.start import Start

# l = cos(x - y) + 0.5 sin 2x cos y + 0.3 cos 3y
CIRCLE = benchmark("circle")
# l = cos(x1 - y1) + 0.7 cos(x2 - y2) + 0.5 sin(2 x1 + x2) cos y1
TORUS = trigonometric([((1, 0), (-1, 0), 1, 0), ((0, 1), (0, -1), 0.7, 0), ((2, 1), (1, 0), 0, -0.25),
                       ((2, 1), (-1, 0), 0, -0.25)])  # fmt: skip


def wavy(points):
    return np.prod(1 + 0.5 * np.cos(points), axis=1)


def started(kind, game=CIRCLE, beta=10.0, cells=64, start=None, gamma=1.0, **options):
    """An engine of the class `kind` at time zero."""
    laws = (start or Start(x=wavy, y=wavy)).laws(game.X, game.Y)
    return kind(game, Langevin(beta, gamma), laws, (cells, cells), **options)


def moved_on(kind, *args, until, **options):
    made = started(kind, *args, **options)
    made.advance(until)
    return made


def distance(a, b):
    """The larger player's L1 distance."""
    return max(float(np.abs(m - n).sum()) for m, n in zip(a.masses, b.masses, strict=True))
