"""Equation (7) in spherical harmonics, for quadratic games on S^2 x S^2.

With U the player's cost (V_x for x, -V_y for y) and c the coefficients of its measure,

    d c / dt = gamma T lam c + gamma sum_k U_k D_k c,      D_k c = (Lap(mu Y_k) + mu Lap Y_k - Y_k Lap mu)/2,

k over the eight harmonics of degrees 1 and 2 that a quadratic cost has, lam = -l(l + 1). Multiplication by
coordinates is sparse, products are formed exactly and cut at the degree kept. Convergence is
exponential in the degree; mass is exact; positivity holds as far as the density is resolved, which is
watched and said.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from meanfield.checks import Array, real, warn, whole
from meanfield.density import etd, sphere_etd, spherical
from meanfield.density.inputs import given_measure, later
from meanfield.flows import Flow, Rates
from meanfield.games.base import Game
from meanfield.games.bases import QuadraticBasis
from meanfield.games.lowrank import LowRank
from meanfield.manifolds import Sphere
from meanfield.measures import Density, density_on
from meanfield.meshes import Mesh, mesh
from meanfield.start import Law

LADDER = (6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192)
USUAL = 64  # degree up to which a start is looked at when degrees are free


class Harmonics:
    """A state of (7) in real spherical harmonics of degree up to L; an `Engine`.

    game: low-rank with quadratic bases on S^2, both sides (`polynomial`, `polynomial_from`). flow:
    alpha = 0, temperature and gamma above 0. laws: densities enter by Gauss-Legendre quadrature,
    atoms by their exact coefficients, densities on a mesh as atoms at its nodes up to degree sqrt(N)/2.
    cells: for each player the degree L (2 or more); None adapts it to the solution. step: a fixed step, or None for
    steps controlled to a local error below tol (in L1, by the third-order companion of ETDRK4).

    Raises ValueError for other games and flows (use the finite-volume engine) and for an unstable
    step. Warns UnderResolved, once, when the outer third of degrees holds more than
    max(1e-6, 100 tol)^(2/3) of the l1 norm.
    """

    name = "harmonics"

    def __init__(
        self,
        game: Game,
        flow: Flow,
        laws: tuple[Law, Law],
        cells: tuple[int | None, int | None] = (None, None),
        step: float | None = None,
        tol: float = 1e-8,
    ) -> None:
        self._game, self._rates = _suited(game, flow), flow.players
        self.tol = real("tol", tol, 1e-14)
        self.step = None if step is None else real("step", step, 0.0, strict=True)
        self.time = 0.0
        self._laws, self._warned = laws, False
        self._told: set[str] = set()
        self._free = tuple(c is None for c in cells)
        self._limit = max(1e-6, 100 * self.tol) ** (2 / 3)
        self._rung: int | None = None
        self._counts, self._worst = np.zeros(2, dtype=np.int64), np.zeros(2)
        self._arrange([self._begin(p, cells[p]) for p in (0, 1)])

    # -- the protocol -------------------------------------------------------------------------

    def advance(self, until: float) -> None:
        """Move to `until` exactly. Raises ValueError when it lies before now or a given step is unstable."""
        until = later(until, self.time)
        if until > self.time:
            if self.step is None:
                self._controlled(until)
            else:
                self._fixed(until, self.step)
            self._say()

    def measures(self) -> tuple[Density, Density]:
        """Both densities at the nodes of an icosahedral mesh."""
        return self._density(0), self._density(1)

    def coefficients(self, p: int) -> Array:
        """int Y_lm dmu of player p, shape ((L + 1)^2,), number l^2 + l + m (see `spherical`)."""
        c = np.empty(len(self._players[p][0]))
        c[spherical.drifts(self._degree(p)).order] = self._works[p][etd.STATE + self._side, 0]
        return c

    def density(self, p: int, points: Array) -> Array:
        """The density of player p at points (n, 3), shape (n,)."""
        return spherical.evaluate(self.coefficients(p), points)

    def diagnostics(self) -> dict[str, float]:
        """Steps, steps refused, the present step, tails, degrees, the smallest mass of a cell of `measures`."""
        h = self.step if self.step is not None else 2.0 ** ((self._rung or 0) / etd.RUNGS)
        found = {
            "steps": float(self._counts[0]),
            "refused": float(self._counts[1]),
            "step": float(h),
        }
        for p, player in enumerate("xy"):
            found[f"tail_{player}"] = _tail(self.coefficients(p))
            found[f"worst_tail_{player}"] = float(self._worst[p])
            found[f"degree_{player}"] = float(self._degree(p))
            found[f"smallest_{player}"] = float(self._nodal(p).min())
        return found

    def state(self) -> dict[str, Any]:
        """Coefficients, time, rung of the step and counters."""
        c = {f"coefficients_{player}": self.coefficients(p) for p, player in enumerate("xy")}
        counters = {
            "counts": self._counts.copy(),
            "worst": self._worst.copy(),
            "warned": self._warned,
        }
        return {"time": self.time, "rung": self._rung, **c, **counters}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state of an engine of the same game."""
        held = [np.array(state[f"coefficients_{player}"], dtype=np.float64) for player in "xy"]
        for c in held:
            if c.ndim != 1 or round(len(c) ** 0.5) ** 2 != len(c) or len(c) < 9:
                raise ValueError(
                    f"the state holds coefficients of shape {c.shape}; they are (L + 1)^2 of a degree L >= 2"
                )
        self._arrange(held)
        self.time, self._warned = float(state["time"]), bool(state["warned"])
        self._rung = None if state["rung"] is None else int(state["rung"])
        self._counts[:], self._worst[:] = state["counts"], state["worst"]

    # -- coefficients -------------------------------------------------------------------------

    def _begin(self, p: int, cells: Any) -> Array:
        """Coefficients of the start of player p, at the degree given or the least that holds them."""
        if cells is not None:
            return _unit(
                _projected(self._laws[p], whole("cells (the degree of harmonics)", cells, 2))
            )
        c = _projected(self._laws[p], USUAL)
        for L in LADDER:
            if L >= USUAL or _tail(c[: (L + 1) ** 2]) < self._ceiling:
                break
        return _unit(c[: (L + 1) ** 2])

    @property
    def _ceiling(self) -> float:
        """Tail at which a free degree is raised: where coefficients fall geometrically it means tol at the last."""
        return self.tol ** (2 / 3)

    def _arrange(self, held: list[Array]) -> None:
        """Fresh work arrays that hold these coefficients."""
        self._side = 0  # the state is in row STATE + side of the work arrays; steps change it
        self._players = tuple(_player(self._game, p, held[p], self._rates[p]) for p in (0, 1))
        self._works = tuple(np.zeros((etd.ROWS, 1, len(c))) for c in held)
        self._caches = tuple(np.empty((etd.CACHE, 6, len(c))) for c in held)
        self._keys = np.append(np.full(etd.CACHE, np.nan), 0.0)
        self._tails = np.zeros(2)
        for work, c in zip(self._works, held, strict=True):
            work[etd.STATE, 0] = c[spherical.drifts(_degree(c)).order]
        self._speed = sphere_etd.speed(*self._players, *self._works, 0)

    def _degree(self, p: int) -> int:
        return _degree(self._players[p][0])

    def _heavy(self, p: int) -> bool:
        """Whether player p's degree is free, can be raised and must be; that of atoms ends at USUAL."""
        most = LADDER[-1] if given_measure(self._laws[p]) is None else USUAL
        return self._free[p] and self._tails[p] > self._ceiling and self._degree(p) < most

    def _refine(self) -> None:
        """The next degree for each free player whose tail is too heavy."""
        held = []
        for p in (0, 1):
            c, L = self.coefficients(p), self._degree(p)
            if self._heavy(p):
                bigger = next(d for d in LADDER if d > L)
                c = np.concatenate([c, np.zeros((bigger + 1) ** 2 - len(c))])
            held.append(c)
        self._arrange(held)

    # -- time ---------------------------------------------------------------------------------

    def _attempt(self, h: float) -> float:
        return float(
            sphere_etd.attempt(
                *self._players, *self._works, *self._caches, self._keys, h, self._side, self._tails
            )
        )

    def _accept(self, h: float) -> None:
        self._side = etd.NEXT - self._side
        self._worst = np.maximum(self._worst, self._tails)
        self._counts[0] += 1
        self.time += h

    def _fixed(self, until: float, step: float) -> None:
        start, count = self.time, max(1, int(np.ceil((until - self.time) / step - 1e-9)))
        for _ in range(count):
            self._attempt((until - start) / count)
            while np.isfinite(self._tails).all() and (self._heavy(0) or self._heavy(1)):
                self._refine()
                self._attempt((until - start) / count)
            if not np.isfinite(self._tails).all():
                raise ValueError(
                    f"the run left the probability measures at t = {self.time:g} with step {step:g}: "
                    "use a smaller step, or step=None for a controlled one"
                )
            self._accept((until - start) / count)
        self.time = until

    def _controlled(self, until: float) -> None:
        """Steps are rungs 2^(r / RUNGS), so that coefficients are met again; the last are fitted to end at `until`."""
        if self._rung is None:
            rate = max(1 / (until - self.time), self._speed)
            self._rung = int(np.floor(etd.RUNGS * np.log2(self.tol**0.25 / rate)))
        while self.time < until:
            h, left = 2.0 ** (self._rung / etd.RUNGS), until - self.time
            fitted = left < 2 * h
            if fitted:
                h = left if left <= h * (1 + 1e-12) else 0.5 * left
            if self.time + h == self.time:
                raise ValueError(
                    f"no step is small enough for tol = {self.tol:g} at t = {self.time:g}; raise `cells`, or tol"
                )
            error = self._attempt(h)
            if not (error <= self.tol and np.isfinite(self._tails).all()):
                self._counts[1] += 1
                self._rung = min(
                    etd._rung(h, error if np.isfinite(error) else np.inf, self.tol), self._rung - 1
                )
            elif self._heavy(0) or self._heavy(1):
                self._refine()
            else:
                self._accept(h)
                if fitted and h == left:
                    self.time = until
                elif not fitted:
                    self._rung = int(etd._rung(h, error, self.tol))

    def _say(self) -> None:
        """Warn, once, of tails that were too heavy at any step; for atoms, whose tails must be, now."""
        now = [
            _tail(self.coefficients(p)) if given_measure(self._laws[p]) else self._worst[p]
            for p in (0, 1)
        ]
        p = int(np.argmax(now))
        if not self._warned and now[p] > self._limit:
            self._warned = True
            warn(
                f"player {'xy'[p]}: the outer third of degrees reached a share of {now[p]:.1e} at degree "
                f"{self._degree(p)}; raise `cells`, or leave it out to have the degree adapted"
            )

    # -- measures -----------------------------------------------------------------------------

    def _nodal(self, p: int) -> Array:
        """Density at the mesh's nodes times cell area, summing to one up to the mesh's quadrature."""
        grid = _mesh(self._degree(p))
        return _nodes(self._degree(p)) @ self.coefficients(p) * grid.volumes

    def _density(self, p: int) -> Density:
        held, grid = given_measure(self._laws[p]), _mesh(self._degree(p))
        if self.time == 0.0 and held is not None:
            return self._laws[p].on(
                grid
            )  # coefficients of atoms do not decay: nodal values mean nothing yet
        # A degree that adapts itself leaves an error of about tol, and cells cannot be raised.
        return density_on(
            self._nodal(p),
            grid,
            f"the masses of {'xy'[p]}",
            max(1e-10, self._free[p] * self.tol),
            told=self._told,
        )


@lru_cache(maxsize=4)
def _mesh(L: int) -> Mesh:
    return mesh(Sphere(2), max(2562, 2 * (L + 1) ** 2))


@lru_cache(maxsize=2)
def _nodes(L: int) -> Array:
    """Y_lm at the mesh's nodes, (N, (L + 1)^2)."""
    return spherical.values(_mesh(L).nodes, L)


def _suited(game: Game, flow: Flow) -> LowRank:
    """The game, if harmonics can carry it and the flow."""
    other = 'use engine="finite-volume"'
    fits = isinstance(game, LowRank) and all(
        isinstance(b, QuadraticBasis) and b.manifold.d == 2 for b in game.bases
    )
    if not isinstance(game, LowRank) or not fits:
        raise ValueError(
            f"the harmonics engine needs a quadratic game on S^2 and S^2, got {game!r}; {other}"
        )
    if flow.responds or flow.reacts:
        raise ValueError(
            f"the harmonics engine solves (7), without reaction or response, not {flow.name}; {other}"
        )
    for rates in flow.players:
        if rates.temperature == 0 or rates.gamma == 0:
            raise ValueError(
                "the harmonics engine needs gamma and temperature above 0 for both players, got gamma = "
                f"{rates.gamma:g} and temperature = {rates.temperature:g}; {other}"
            )
    return game


def _projected(law: Law, L: int) -> Array:
    """Coefficients of a law up to degree L, not yet of mass one."""
    held = given_measure(law)
    if held is None:
        n = max(128, 2 * L)
        return spherical.of_values(law.density(spherical.quadrature(n)[0]), L)
    # Sums over a mesh's nodes mean nothing for harmonics finer than the mesh.
    low = min(L, max(2, int(len(held) ** 0.5 / 2))) if isinstance(held, Density) else L
    c = spherical.of_atoms(held.points, held.masses, low)
    return np.concatenate([c, np.zeros((L + 1) ** 2 - len(c))])


def _unit(c: Array) -> Array:
    """Mass exactly one."""
    mass = c[0] * (4 * np.pi) ** 0.5
    if not mass > 0:
        raise ValueError(f"the start has the mass {mass:g}; a density must be positive somewhere")
    c = c / mass
    c[0] = (4 * np.pi) ** -0.5
    return c


def _degree(c: Array) -> int:
    return round(len(c) ** 0.5) - 1


def _tail(c: Array) -> float:
    """The outer third of degrees' share of the l1 norm."""
    return float(np.abs(c[_outer(_degree(c))]).sum() / np.abs(c).sum())


def _outer(L: int) -> Any:
    return 3 * spherical.degrees(L) > 2 * L


def _player(game: LowRank, p: int, c: Array, rates: Rates) -> tuple[Any, ...]:
    """The constant arrays of player p that the kernels of `sphere_etd` read."""
    L = _degree(c)
    drift, l = spherical.drifts(L), spherical.degrees(L)
    lam = -rates.gamma * rates.temperature * l * (l + 1.0)
    own, other = (_features(game.bases[q]) for q in (p, 1 - p))  # type: ignore[arg-type]
    B = (
        rates.gamma
        * own[1:]
        @ np.asarray(game.coefficients(p, np.eye(game.bases[1 - p].size)))
        @ other.T
    )
    # Harmonics of one degree have squares that sum to (2l + 1)/4 pi, and so have a probability's coefficients at most.
    limits = 1.1 * np.sqrt((2 * l + 1) / (4 * np.pi))
    lam, tail, limits = (part[drift.order] for part in (lam, _outer(L).astype(float), limits))
    return (
        lam,
        drift.runs,
        drift.values,
        np.argsort(drift.order)[:9],
        np.ascontiguousarray(B),
        tail,
        limits,
    )


def _features(basis: QuadraticBasis) -> Array:
    """Features in harmonics of degree 0, 1 and 2, shape (9, K): exact, they are polynomials of degree 2."""
    points, weights = spherical.quadrature(4)
    return (weights[:, None] * spherical.values(points, 2)).T @ basis.values(points)
