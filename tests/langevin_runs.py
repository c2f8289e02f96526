"""Problems and short runs of (7) shared by the tests of its conservative engines."""

import numpy as np
from scipy.integrate import solve_ivp

from meanfield.flows import Langevin
from meanfield.games import benchmark
from meanfield.games.lowrank import trigonometric
from meanfield.start import Start

# l = cos(x - y) + 0.5 sin 2x cos y + 0.3 cos 3y
CIRCLE = benchmark("circle")
# l = cos(x1 - y1) + 0.7 cos(x2 - y2) + 0.5 sin(2 x1 + x2) cos y1
TORUS = trigonometric([((1, 0), (-1, 0), 1, 0), ((0, 1), (0, -1), 0.7, 0),
                       ((2, 1), (1, 0), 0, -0.25),
                       ((2, 1), (-1, 0), 0, -0.25)])  # fmt: skip


def wavy(points):
    return np.prod(1 + 0.5 * np.cos(points), axis=1)


WAVY = Start(x=wavy, y=wavy)


def pseudospectral(loss, grids, starts, beta, gamma, time):
    """Another method: nodal values, V by quadrature of the loss itself, derivatives by FFT, scipy's
    DOP853.
    """
    shapes, periods = [g.shape for g in grids], [g.manifold.period for g in grids]
    kernel = loss(grids[0].nodes[:, None, :], grids[1].nodes[None, :, :])
    waves = []
    for shape, period in zip(shapes, periods, strict=True):
        k = [
            2 * np.pi / period * np.fft.fftfreq(n, 1 / n) * (2 * np.abs(np.fft.fftfreq(n)) < 1)
            for n in shape
        ]
        waves.append(np.meshgrid(*k, indexing="ij"))

    def slope(p, f):
        hat = np.fft.fftn(f.reshape(shapes[p]))
        return [np.fft.ifftn(1j * k * hat).real for k in waves[p]]

    sizes = [int(np.prod(s)) for s in shapes]

    def rhs(_, state):
        mu = np.split(state, [sizes[0]])
        costs = (kernel @ (mu[1] * grids[1].volumes), -kernel.T @ (mu[0] * grids[0].volumes))
        out = []
        for p in range(2):
            flux = [
                mu[p].reshape(shapes[p]) * du + dm / beta
                for du, dm in zip(slope(p, costs[p]), slope(p, mu[p]), strict=True)
            ]
            out.append(gamma[p] * sum(slope(p, f)[a] for a, f in enumerate(flux)).ravel())
        return np.concatenate(out)

    first = [s / (s @ g.volumes) for s, g in zip(starts, grids, strict=True)]
    done = solve_ivp(rhs, (0, time), np.concatenate(first), method="DOP853", rtol=1e-10, atol=1e-12)
    assert done.success
    return np.split(done.y[:, -1], [sizes[0]])


def started(kind, game=CIRCLE, beta=10.0, cells=64, start=None, gamma=1.0, **options):
    """An engine of the class `kind` at time zero."""
    laws = (start or WAVY).laws(game.X, game.Y)
    return kind(game, Langevin(beta, gamma), laws, (cells, cells), **options)


def moved_on(kind, *args, until, **options):
    made = started(kind, *args, **options)
    made.advance(until)
    return made


def distance(a, b):
    """The larger player's L1 distance."""
    return max(float(np.abs(m - n).sum()) for m, n in zip(a.masses, b.masses, strict=True))
