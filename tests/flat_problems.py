"""Games, and closed solutions without diffusion, that several tests share."""

from dataclasses import replace

import numpy as np

import meanfield as mf
from meanfield import meshes
from meanfield.games.lowrank import polynomial_from, trigonometric
from meanfield.games.pairwise import Pairwise

# l = cos(x - y) + 0.5 sin 2x cos y + 0.3 cos 3y
CIRCLE = mf.games.benchmark("circle")
# l = cos x - cos y: both players' costs are cosines, of x and of y.
COSINES = trigonometric([((1,), (0,), 1, 0), ((0,), (1,), -1, 0)], name="cosines")


def tilted(points):
    """(1 + 0.5 cos)/(2 pi) on the circle; on S^2 (1 + 0.5 x_3)/(4 pi)."""
    if points.shape[1] == 3:
        return (1 + 0.5 * points[:, 2]) / (4 * np.pi)
    return (1 + 0.5 * np.cos(points[:, 0])) / (2 * np.pi)


TILTED = mf.Start(x=tilted, y=tilted)


def engine(kind, game, flow, start=TILTED, cells=None, **options):
    sizes = cells if isinstance(cells, tuple) else (cells, cells)
    return kind(game, flow, start.laws(game.X, game.Y), cells=sizes, **options)


def run(kind, game, flow, time, start=TILTED, cells=None, **options):
    moving = engine(kind, game, flow, start, cells, **options)
    moving.advance(time)
    return moving


def modes(measures):
    """E exp(ikx) and E exp(iky), k = 1, 2, 3, of measures on circles."""
    return np.array(
        [np.exp(1j * k * m.points[:, 0]) @ m.masses for m in measures for k in (1, 2, 3)]
    )


def cosine_flow(a, t):
    """Where dx/dt = sin x (cost cos x) carries a: tan(x/2) = tan(a/2) e^t. Angles in [0, 2 pi)."""
    return np.mod(2 * np.arctan2(np.sin(a / 2) * np.exp(t), np.cos(a / 2)), 2 * np.pi)


def cosine_shrink(x, t):
    """da/dx of the same flow, as a function of where it ends: 1/(cosh t + sinh t cos x)."""
    return 1 / (np.cosh(t) + np.sinh(t) * np.cos(x))


def cosine_density(x, t, alpha):
    """The density at x of the flow with cost cos x, gamma = 1 and alpha = 0 or 1, started at
    `tilted`.

    Along a path int cos x dt = log(dx/da), so that for alpha = 1 weights fall as da/dx, and their
    sum under `tilted` is cosh t - sinh t / 4.
    """
    shrink = cosine_shrink(x, t)
    first = tilted(cosine_flow(x, -t)[:, None])
    return first * shrink ** (1 + alpha) / (np.cosh(t) - np.sinh(t) / 4 if alpha else 1.0)


class Pairs(Pairwise):
    """A low-rank game seen only through its loss and gradients at pairs."""

    name = "pairs"

    def __init__(self, game):
        self.game, self.X, self.Y, self.answers = game, game.X, game.Y, {}

    def loss(self, x, y):
        return self.game.loss(x, y)

    def pair_gradient(self, p, x, y):
        points, others = (x, y) if p == 0 else (y, x)
        against = [
            self.game.coefficients(p, features)
            for features in self.game.bases[1 - p].values(others)
        ]
        pairs = (1 - 2 * p) * np.stack([self.game.bases[p].gradient(points, c) for c in against], 1)
        return pairs if p == 0 else pairs.swapaxes(0, 1)

    def swapped(self):
        return Pairs(self.game.swapped())


HEIGHT = polynomial_from(
    0, np.zeros((3, 3)), 0, 0, [0.0, 0.0, 1.0], [0.0, 0.0, -1.0], name="height"
)


def sphere_mesh(level):
    """The mesh of S^2 of frequency 2^level, turned so that no mirror symmetry is left to help the
    schemes.
    """
    on = meshes.sphere_mesh(2**level)
    turn, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))
    return replace(on, nodes=on.nodes @ turn, faces=on.faces @ turn)
