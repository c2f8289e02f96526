"""Points as rows (n, a) to blocks of lanes (blocks, a, lanes) and back; the starting state of a
run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.aligned import copied, zeros
from meanfield.checks import Array, known_name
from meanfield.games.base import Game
from meanfield.games.bases import QuadraticBasis, TrigBasis
from meanfield.laws import Law
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.measures import Density, Measure
from meanfield.meshes import mesh
from meanfield.particles.eigenbasis import spherical
from meanfield.particles.kernel_density import reaction
from meanfield.particles.noise import initial_generator
from meanfield.particles.players import LANES, Player, State
from meanfield.particles.primitives import exponentials
from meanfield.particles.simd.product import TILE
from meanfield.particles.team import new_gate
from meanfield.start import Start

PLACEMENTS = ("iid", "quantile", "atoms")


def shape(n: int) -> tuple[int, int]:
    """(blocks, lanes) for n particles: as few blocks as LANES allows, of equal size, whole
    tiles.
    """
    blocks = -(-n // LANES)
    return blocks, -(-n // (blocks * TILE)) * TILE


def blocked(points: Array) -> Array:
    """(n, a) -> (blocks, a, lanes); the last point pads the last block."""
    n, a = points.shape
    blocks, lanes = shape(n)
    index = np.minimum(np.arange(blocks * lanes), n - 1)
    return copied(points[index].reshape(blocks, lanes, a).transpose(0, 2, 1))


def flat(x: Array, n: int) -> Array:
    """(blocks, a, lanes) -> (n, a), a copy."""
    return np.ascontiguousarray(x.transpose(0, 2, 1).reshape(-1, x.shape[1])[:n])


def state(points: Array, log_weights: Array, sums: Array) -> State:
    """The state with these rows; padding has weight zero."""
    n = len(points)
    blocks, lanes = shape(n)
    rows = np.full((2, blocks * lanes), -np.inf)
    rows[0, :n] = log_weights
    rows[1] = 0.0
    rows[1, :n] = sums
    logw, total = (copied(r.reshape(blocks, lanes)) for r in rows)
    w = zeros(logw.shape)
    exponentials(logw, 0.0, w)
    return State(blocked(points), logw, w, total, np.zeros((2, blocks)))


def compiled(game: Game) -> bool:
    """Whether the whole trajectory of this game runs in one compiled function."""
    return game.bases is not None and all(
        type(b) in (TrigBasis, QuadraticBasis) and known_to_kernels(b.manifold) for b in game.bases
    )


def known_to_kernels(manifold: Any) -> bool:
    """Whether the compiled primitives know how to move on a manifold."""
    return type(manifold) in (Torus, Sphere)


def player(
    game: Game, p: int, rates: Any, step: float, seed: int, replica: int, refine: int
) -> Player:
    """The compiled kernels' view of player p; a game that is not low-rank leaves its features
    empty.
    """
    manifold: Any = game.manifolds[p]
    sphere = type(manifold) is Sphere
    matrix = coefficients = np.zeros((0, 0))
    modes: Any
    modes, top, squares = np.zeros((0, 1), dtype=np.int64), np.full(1, -1), False
    if compiled(game):
        basis: Any = game.bases[p]  # type: ignore[index]
        matrix = form(basis.S) if sphere else basis.waves
        size = game.bases[1 - p].size  # type: ignore[index]
        coefficients = game.coefficients(p, np.eye(size))  # type: ignore[attr-defined]
        if sphere:
            d = manifold.ambient
            answer = game.coefficients(1 - p, np.eye(basis.size))  # type: ignore[attr-defined]
            squares = bool(answer[:, 1 + d : 1 + 2 * d].any())
        else:
            modes, top = tabulated(basis.modes)
    return Player(
        p,
        (True,) if sphere else (),
        float(getattr(manifold, "period", 0.0)),
        np.ascontiguousarray(matrix, dtype=np.float64),
        modes,
        top,
        squares,
        np.ascontiguousarray(coefficients, dtype=np.float64),
        rates.gamma * step,
        reaction(rates, step),
        2.0 * rates.gamma * rates.temperature * step,
        np.uint64(seed),
        replica,
        refine,
        (True,) if spherical(game) else (),
        0,
        1,
        new_gate(),
    )


def form(S: Array) -> Array:
    """S (d, d), or its diagonal (1, d) where the rest is zero."""
    diagonal = np.diag(S)
    return S if (S - np.diag(diagonal)).any() else diagonal[None]


def tabulated(modes: Array) -> tuple[Any, Any]:
    """Modes (J, d) as whole numbers, and the highest power of each angle to be tabulated; -1 where
    that is no gain.
    """
    rounded = np.ascontiguousarray(np.rint(modes), dtype=np.int64)
    top = np.abs(rounded).max(axis=0, initial=0)
    gain = np.array_equal(rounded, modes) and top.sum() <= 4 * len(modes) + 8
    return rounded, top if gain else np.full(modes.shape[1], -1)


def place(
    game: Game, start: Start, counts: tuple[int, int], placement: str, seed: int, replica: int
) -> list[State]:
    """Both players' starting states; raises ValueError for a placement that the start does not
    allow.
    """
    known_name("placement", placement, PLACEMENTS)
    laws, given = start.laws(game.X, game.Y), (start.x, start.y)
    states = []
    for p, (law, n, name) in enumerate(zip(laws, counts, ("start.x", "start.y"), strict=True)):
        masses = np.full(n, 1 / n)
        if placement == "iid":
            points = law.draw(n, initial_generator(seed, replica, p))
        elif placement == "quantile":
            points = quantiles(law, game.manifolds[p], n, given[p], name)
        else:
            points, masses = atoms(given[p], n, name)
        with np.errstate(divide="ignore"):
            logs = np.log(masses)
        states.append(state(game.manifolds[p].check(name, points), logs, np.zeros(n)))
    return states


def quantiles(law: Law, manifold: Manifold, n: int, given: Any, name: str) -> Array:
    """The points of a circle law's quantile function at (i + 1/2)/n, from cells of constant
    density.
    """
    if not (isinstance(manifold, Torus) and manifold.d == 1):
        raise ValueError(
            f'placement "quantile" is defined on circles, but {name} lives on {manifold}; use "iid"'
        )
    if isinstance(given, Measure) and not isinstance(given, Density):
        raise ValueError(
            f"{name} is made of atoms, which have no quantile density; use placement "
            '"atoms" or "iid"'
        )
    density = given if isinstance(given, Density) else law.on(mesh(manifold, max(8192, 4 * n)))
    h = manifold.period / len(density)
    edges = density.points[0, 0] - h / 2 + h * np.arange(len(density) + 1)
    levels = np.concatenate([[0.0], np.cumsum(density.masses)])
    return np.interp((np.arange(n) + 0.5) / n * levels[-1], levels, edges)[:, None]


def atoms(given: Any, n: int, name: str) -> tuple[Array, Array]:
    """The points and masses of a measure as they stand."""
    if not isinstance(given, Measure):
        raise ValueError(
            f'placement "atoms" needs {name} to be a measure of atoms, got {type(given).__name__}'
        )
    if len(given) != n:
        raise ValueError(
            f'placement "atoms": {name} has {len(given)} atoms; ask for '
            f"particles={len(given)}, not {n}"
        )
    return given.points, given.masses / given.masses.sum()
