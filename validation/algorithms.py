"""Algorithms 1 and 2 in plain numpy: the law of the one for n -> infinity, the listing and the
equation of the other.

What `validation.discretisation` holds the package against; the two games are written out here once
more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array

COUPLING = 3.0  # of the oscillator, the game on S^1
A = np.array([[0.8, -0.5, 0.2], [0.3, 0.6, -0.7], [-0.2, 0.4, 0.5]])  # of the game on S^2
B = np.array([[0.5, 0.2, 0.0], [0.2, -0.3, 0.1], [0.0, 0.1, -0.2]])
LINEAR = (np.array([0.3, 0.0, 0.2]), np.array([0.0, -0.3, 0.1]))
SIZES = (12, 7)  # particles of the two players
BETA, CENTRES, STD = 25.0, (1.1, 0.0), 0.2  # the oscillator's temperature and start
MODES, NODES, CELLS = 72, 192, 4096  # of laws on S^1, and of their cells for W2


def slope(p: int, x: Array, other: float) -> Array:
    """dU_p/dx of the oscillator, `other` = E sin of the opponent."""
    return (
        (2 / 3) * np.sin(x) - (5 / 6) * np.sin(2 * x) + (1 - 2 * p) * COUPLING * np.cos(x) * other
    )


def law(scheme: str, step: float, times: tuple[float, ...], noise: float) -> dict[str, Any]:
    """Fourier coefficients E exp(-imx) of a scheme's mean field at `times`, (T, 2, MODES + 1)."""
    m, x = np.arange(MODES + 1), np.arange(NODES) * (2 * np.pi / NODES)
    bumps = [np.exp((np.cos(x - c) - 1) / STD**2) for c in CENTRES]
    now = [np.fft.rfft(bump / bump.sum())[: MODES + 1] for bump in bumps]
    damp = np.exp(-(m**2) * step * noise**2 / BETA / (1 if scheme == "euler" else 2))

    def pushed(to: Array, masses: Array) -> Array:
        powers = np.ones((MODES + 1, NODES), dtype=complex)
        np.cumprod(np.broadcast_to(np.exp(-1j * to), (MODES, NODES)), axis=0, out=powers[1:])
        return np.einsum("mk,k->m", powers, masses) * damp

    found, saves = [], [round(t / step) for t in times]
    for k in range(1, saves[-1] + 1):
        if scheme == "strang":
            now = [c * damp for c in now]
        masses, sines = [np.fft.irfft(c, NODES) for c in now], [-c[1].imag for c in now]
        slopes = [slope(p, x, sines[1 - p]) for p in (0, 1)]
        if scheme == "strang":
            half = [x - step / 2 * s for s in slopes]
            sines = [np.sum(w * np.sin(z)) for w, z in zip(masses, half, strict=True)]
            slopes = [slope(p, half[p], sines[1 - p]) for p in (0, 1)]
        now = [pushed(x - step * s, w) for s, w in zip(slopes, masses, strict=True)]
        if k in saves:
            found.append(np.array(now))
    return {"law": np.array(found)}


def density(coefficients: Array) -> mf.Density:
    """The law with these Fourier coefficients, its cells' masses exactly."""
    spread = np.fft.irfft(coefficients * np.sinc(np.arange(MODES + 1) / CELLS), CELLS)
    masses = np.maximum(spread, 0)
    return mf.Density(masses / masses.sum(), mf.mesh(mf.Torus(1), CELLS))


def moments(law: Array) -> Array:
    """E cos and E sin of modes 1 to 3 of both players from coefficients (2, MODES + 1)."""
    modes = np.asarray(law)[:, 1:4].ravel()
    return np.concatenate([modes.real, -modes.imag])


def costs(space: str, p: int, z: Array, other: Array, weights: Array) -> tuple[Array, Array]:
    """U_p (n,) and its gradient (n, a) at z."""
    if space == "S^1":
        mean = float(weights @ np.sin(other[:, 0]))
        value = -(2 / 3) * np.cos(z[:, 0]) + (5 / 12) * np.cos(2 * z[:, 0])
        return value + (1 - 2 * p) * COUPLING * mean * np.sin(z[:, 0]), slope(p, z, mean)
    if p == 0:
        force = A @ (weights @ other) + LINEAR[0]
        return z @ force + np.einsum("ni,ij,nj->n", z, B, z), force + 2 * z @ B
    force = -(A.T @ (weights @ other) + LINEAR[1])
    return z @ force, np.broadcast_to(force, z.shape)


class Swarm:
    """Particles of both players in one vector u: positions of x and y, log-weights of x and y;
    gamma = alpha = 1.
    """

    def __init__(self, space: str) -> None:
        self.space, rng = space, np.random.default_rng(5)
        self.game = (
            mf.games.oscillator(COUPLING) if space == "S^1" else mf.games.benchmark("sphere")
        )
        self.manifold = self.game.X
        self.points = [self.manifold.sample(n, rng) for n in SIZES]
        self.start = np.concatenate(
            [*(z.ravel() for z in self.points), *(np.full(n, -np.log(n)) for n in SIZES)]
        )
        # Where player y's entries are, and the opponent's number of particles at each entry.
        lengths = [*(z.size for z in self.points), *SIZES]
        self.of_y = np.repeat([False, True, False, True], lengths)
        self.opponents = np.repeat([SIZES[1], SIZES[0]] * 2, lengths)

    def split(self, u: Array) -> tuple[list[Array], list[Array]]:
        """Positions and log-weights of the two players."""
        cuts = np.cumsum([*(z.size for z in self.points), SIZES[0]])
        x, y, a, b = np.split(u, cuts)
        return [x.reshape(self.points[0].shape), y.reshape(self.points[1].shape)], [a, b]

    def settled(self, u: Array) -> Array:
        """u with positions back on the sphere."""
        if self.space == "S^1":
            return u
        z, logs = self.split(u)
        return np.concatenate(
            [*((q / np.linalg.norm(q, axis=1)[:, None]).ravel() for q in z), *logs]
        )

    def field(self, u: Array) -> Array:
        """du/dt of (5); log-weights without their norm, which nothing depends on."""
        z, logs = self.split(self.settled(u))
        masses = [np.exp(v) / np.exp(v).sum() for v in logs]
        (U, dU), (V, dV) = (costs(self.space, p, z[p], z[1 - p], masses[1 - p]) for p in (0, 1))
        moves = [self.manifold.project(q, g).ravel() for q, g in zip(z, (dU, dV), strict=True)]
        return -np.concatenate([*moves, U, V])

    def bent(self, u: Array) -> Array:
        """f'f, tangent: the covariant derivative of f along itself."""
        f, eps = self.field(u), 1e-5
        along = (self.field(u + eps * f) - self.field(u - eps * f)) / (2 * eps)
        (z, _), (turns, logs) = self.split(self.settled(u)), self.split(along)
        return np.concatenate(
            [*(self.manifold.project(q, t).ravel() for q, t in zip(z, turns, strict=True)), *logs]
        )

    def flow(self, time: float, bend: float = 0.0) -> Array:
        """u(time) of du/dt = f + bend f'f, by DOP853 to 1e-12."""
        from scipy.integrate import solve_ivp

        def rhs(_: float, u: Array) -> Array:
            return self.field(u) + bend * self.bent(u) if bend else self.field(u)

        found = solve_ivp(rhs, (0, time), self.start, method="DOP853", rtol=1e-12, atol=1e-13)
        return self.settled(found.y[:, -1])

    def listed(self, step: float, steps: int, reading: str = "") -> Array:
        """Algorithm 2 as a plain loop; `reading`: "weights of one" or "y sees the new x", both
        mistaken.
        """
        u = self.start
        for k in range(steps):
            f = self.field(u)
            if reading == "weights of one" and not k:
                f = f * self.opponents  # sum_j w_j grad l with w_j = 1 is n times the mean
            if reading == "y sees the new x":
                moved = np.where(self.of_y, u, self.settled(u + step * f))
                f = np.where(self.of_y, self.field(moved), f)
            u = self.settled(u + step * f)
        return u

    def simulated(self, step: float, time: float, scheme: str) -> Array:
        """The package's particles."""
        start = mf.Start(*(mf.Measure(z, None, self.manifold) for z in self.points))
        run = mf.simulate(
            self.game, mf.WassersteinFisherRao(1.0, 1.0), start, time, step=step, particles=SIZES,
            scheme=scheme,
            placement="atoms", save_every=time, progress=False,
        )  # fmt: skip
        return np.concatenate(
            [*(m.points.ravel() for m in run[-1]), *(np.log(m.masses) for m in run[-1])]
        )

    def gap(self, u: Array, v: Array) -> float:
        """The largest difference of a position or of a weight."""
        (z, a), (q, b) = self.split(u), self.split(v)
        moved = max(self.manifold.distance(s, t).max() for s, t in zip(z, q, strict=True))
        shares = [[np.exp(w) / np.exp(w).sum() for w in logs] for logs in (a, b)]
        return float(max(moved, *(abs(s - t).max() for s, t in zip(*shares, strict=True))))
