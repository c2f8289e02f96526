"""W2^2 with arcs and with chords: particles against mean fields, uniform samples against one
another.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.metrics import w2_squared

METRICS = ("geodesic", "extrinsic")
SPACES = {
    "T^2": mf.Torus(2, 1.0),
    "T^3": mf.Torus(3, 1.0),
    "S^2": mf.Sphere(2),
    "S^3": mf.Sphere(3),
}
GAMES = {"S^1": "circle", "S^2": "sphere"}  # benchmark problems
TIME = 2.0


def both(a: mf.Measure, b: mf.Measure) -> list[float]:
    """W2^2 with arcs and with chords."""
    return [w2_squared(a, b, method="discrete", metric=metric) for metric in METRICS]


def curve(space: str, atoms: int, n: int, replicas: tuple[int, ...]) -> dict[str, Any]:
    """W2^2 of player x's particles to the mean field, (R, T, 2)."""
    game = mf.games.benchmark(GAMES[space])
    flow, start = mf.Langevin(game.answers["beta"]), game.answers["start"]
    field = mf.solve(game, flow, start, TIME, save_every=TIME / 2, tol=1e-9)
    laws, found = [resampled(mu, mf.mesh(game.X, atoms)) for mu in field.x[1:]], []
    for r in replicas:
        run = mf.simulate(
            game, flow, start, TIME, step=0.05, scheme="strang", particles=n, replica=r,
            save_every=TIME / 2,
            progress=False,
        )  # fmt: skip
        found.append([both(mu, law) for mu, law in zip(run.x[1:], laws, strict=True)])
    return {"squares": np.array(found)}


def resampled(mu: mf.Density, mesh: Any) -> mf.Measure:
    """A density as atoms on another mesh."""
    values = (
        np.interp(mesh.nodes[:, 0], mu.points[:, 0], mu.values, period=2 * np.pi)
        if mu.manifold.d == 1
        else None
    )
    masses = mesh.volumes * (mu(mesh.nodes) if values is None else values)
    return mf.Measure(mesh.nodes, masses / masses.sum(), mu.manifold)


def circle(n: int, replicas: int) -> dict[str, Any]:
    """W2^2 of two uniform samples with arcs, and with chords of the unit circle by the best cyclic
    shift, (R, 2).
    """
    rng, found = np.random.default_rng(n), []
    for _ in range(replicas):
        x, y = np.sort(rng.random((2, n))) * 2 * np.pi
        a, b = (mf.Measure(z[:, None], None, mf.Torus(1)) for z in (x, y))
        found.append([w2_squared(a, b), by_shift(x, y)])
    return {"squares": np.array(found)}


def by_shift(x: Array, y: Array) -> float:
    """The least mean of |e^{ix} - e^{iy}|^2 over cyclic matchings of sorted angles: one correlation
    by FFT.
    """
    along = np.fft.ifft(np.fft.fft(np.exp(1j * x)) * np.fft.fft(np.exp(1j * y)).conj()).real
    return float(2 - 2 * along.max() / len(x))


def programs(n: int, replicas: int) -> dict[str, Any]:
    """The package's chord costs of two samples on the circle beside the best shift's, (R, 2)."""
    rng, found = np.random.default_rng(n), []
    for _ in range(replicas):
        x, y = np.sort(rng.random((2, n))) * 2 * np.pi
        a, b = (mf.Measure(z[:, None], None, mf.Torus(1)) for z in (x, y))
        found.append([w2_squared(a, b, metric="extrinsic"), by_shift(x, y)])
    return {"squares": np.array(found)}


def samples(space: str, n: int, replicas: int, seed: int, flat: bool) -> dict[str, Any]:
    """W2^2 of two uniform samples with arcs and chords, (R, 2)."""
    manifold, rng, found = SPACES[space], np.random.default_rng([n, seed]), []
    for _ in range(replicas):
        pair = [manifold.sample(n, rng) for _ in range(2)]
        if flat:
            for z in pair:
                z[:, -1] = 0.0
            pair = [manifold.retract(z, 0 * z) for z in pair]
        found.append(both(*(mf.Measure(z, None, manifold) for z in pair)))
    return {"squares": np.array(found)}
