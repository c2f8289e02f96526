"""Equation (7) in Fourier modes, for trigonometric games on tori.

With U the player's cost (V_x for x, -V_y for y) and w = 2 pi / period,

    d mu_k / dt = -gamma w^2 |k|^2 T mu_k - gamma w^2 sum_m (k.m) U_m mu_(k-m),

which is exact in the modes kept: U has the game's few modes, so the drift is a short sum of shifted
coefficients, with no transform and no aliasing. Convergence is exponential in the number of modes.
Mass is exact; positivity holds as far as the density is resolved, which is watched and said.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from meanfield.checks import Array, real, warn, whole
from meanfield.density import etd
from meanfield.density.inputs import later
from meanfield.density.modes import Complex, Index, Modes
from meanfield.density.modes import modes as modes_of
from meanfield.flows import Flow, Rates
from meanfield.games.base import Game
from meanfield.games.bases import TrigBasis
from meanfield.games.lowrank import LowRank
from meanfield.manifolds import Torus
from meanfield.measures import Density, Measure, density_on
from meanfield.meshes import Mesh, mesh
from meanfield.start import Law

Cells = int | tuple[int, ...] | Mesh | None

_LADDER = tuple(
    s * 2**e for e in range(3, 12) for s in (2, 3)
)  # 16, 24, 32, 48, ... nodes per axis
_MOST = {1: 16384, 2: 1024, 3: 128}  # nodes per axis that free modes may grow to
_NODES = {1: 256, 2: 64, 3: 24}  # measures() is on these at least when the number of modes is free


class Galerkin:
    """A state of (7) in Fourier modes; an `Engine`.

    game: low-rank with trigonometric bases on both sides, tori of dimension 1 to 3, not
    necessarily alike. flow: alpha = 0, temperature and gamma above 0. laws: `start.laws(X, Y)`;
    atoms enter by their exact coefficients.
    cells: for each player the nodes per axis N (a number, one an axis, or a grid's Mesh), which keep
    the modes |k| <= (N - 1) // 2 along each axis; None adapts them to the solution. step: a fixed
    step, or None for steps controlled to a local error below tol (in L1, by the third-order
    companion of ETDRK4).

    Raises ValueError for other games and flows (use the finite-volume engine), for cells too few
    for the game's modes, and for an unstable step. Warns UnderResolved, once, when the outer third
    of modes holds more than max(1e-6, 100 tol)^(2/3) of the l1 norm: a share s means an L1 error of
    about s^(3/2) where modes fall geometrically.
    """

    name = "galerkin"

    def __init__(
        self,
        game: Game,
        flow: Flow,
        laws: tuple[Law, Law],
        cells: tuple[Cells, Cells] = (None, None),
        step: float | None = None,
        tol: float = 1e-8,
    ) -> None:
        self._game, self._rates = _suited(game, flow)
        self.tol = real("tol", tol, 1e-14)
        self.step = None if step is None else real("step", step, 0.0, strict=True)
        self.time = 0.0
        self._laws = laws
        self._free = tuple(c is None for c in cells)
        self._limit = max(1e-6, 100 * self.tol) ** (2 / 3)
        self._warned = False
        self._told: set[str] = set()
        self._rung: int | None = None
        self._counts = np.zeros(2, dtype=np.int64)
        self._worst = np.zeros(2)
        self._shown: dict[int, tuple[Complex, Array]] = {}
        players = [self._begin(p, cells[p]) for p in (0, 1)]
        self._arrange([m for m, _ in players], [z for _, z in players])

    # -- the protocol -------------------------------------------------------------------------

    def advance(self, until: float) -> None:
        """Move to `until` exactly.

        Raises ValueError when `until` lies before now or a given step is unstable.
        """
        until = later(until, self.time)
        if until > self.time:
            if self.step is None:
                self._controlled(until)
            else:
                self._fixed(until, self.step)
            self._say()

    def measures(self) -> tuple[Density, Density]:
        """Both densities at the nodes of the mesh of `cells`."""
        return self._density(0), self._density(1)

    def diagnostics(self) -> dict[str, float]:
        """Steps, steps refused, the present step, tails and nodes per axis, smallest nodal mass."""
        h = self.step if self.step is not None else 2.0 ** ((self._rung or 0) / etd.RUNGS)
        found = {
            "steps": float(self._counts[0]),
            "refused": float(self._counts[1]),
            "step": float(h),
        }
        for p, player in enumerate("xy"):
            modes, z = self._modes[p], self.modes(p)
            found[f"tail_{player}"] = _tail(modes, z)
            found[f"worst_tail_{player}"] = float(self._worst[p])
            found[f"cells_{player}"] = float(max(modes.nodes))
            found[f"smallest_{player}"] = float(self._nodal(p).min())
        return found

    def state(self) -> dict[str, Any]:
        """Coefficients, nodes, time and rung of the step."""
        return {
            "time": self.time,
            "rung": self._rung,
            "nodes": tuple(m.nodes for m in self._modes),
            "modes": tuple(self.modes(p) for p in (0, 1)),
            "counts": self._counts.copy(),
            "worst": self._worst.copy(),
            "warned": self._warned,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state of an engine of the same game."""
        nodes = [tuple(int(n) for n in np.atleast_1d(row)) for row in state["nodes"]]
        modes = [
            modes_of(b.manifold, n, _margin(b)) for b, n in zip(self._bases, nodes, strict=True)
        ]
        held = [np.array(z, dtype=complex) for z in state["modes"]]
        for m, z in zip(modes, held, strict=True):
            if z.shape != (len(m.k),):
                raise ValueError(
                    f"the state holds {z.shape} modes where {len(m.k)} are wanted: it is of another game"
                )
        self._arrange(modes, held)
        self.time = float(state["time"])
        self._rung = None if state["rung"] is None else int(state["rung"])
        self._counts[:] = state["counts"]
        self._worst[:] = state["worst"]
        self._warned = bool(state.get("warned", False))

    # -- modes --------------------------------------------------------------------------------

    def modes(self, p: int) -> Complex:
        """Coefficients int exp(-i w k.x) dmu of player p at the modes `wave_numbers(p)`, shape (J,)."""
        m = self._modes[p]
        re, im = self._works[p][etd.STATE][:, m.centre + m.offsets]
        return re + 1j * im

    def wave_numbers(self, p: int) -> Index:
        """The modes kept for player p, one of each pair +-k, shape (J, d)."""
        return self._modes[p].k.copy()

    @property
    def _bases(self) -> tuple[TrigBasis, TrigBasis]:
        return self._game.bases  # type: ignore[return-value]

    def _begin(self, p: int, cells: Cells) -> tuple[Modes, Complex]:
        """Modes and coefficients of the start of player p."""
        basis, law = self._bases[p], self._laws[p]
        margin, d = _margin(basis), basis.manifold.d
        if cells is None:
            return self._adapted(basis.manifold, law, margin)
        if isinstance(cells, Mesh):
            cells = _torus_shape(cells, basis.manifold)
        nodes = tuple(cells) if isinstance(cells, (tuple, list)) else (cells,) * d
        nodes = tuple(whole("cells", n, 3) for n in nodes)
        if len(nodes) != d:
            raise ValueError(
                f"cells must be one number or {d} of them for {basis.manifold}, got {cells!r}"
            )
        if any(n < 2 * m + 1 for n, m in zip(nodes, margin, strict=True)):
            raise ValueError(
                f"cells {nodes} are too few for the game's modes; use at least {2 * max(margin) + 1} per axis"
            )
        modes = modes_of(basis.manifold, nodes, margin)
        return modes, _unit(modes.of(_source(law, _mesh(basis.manifold, nodes))), modes)

    def _adapted(self, torus: Torus, law: Law, margin: tuple[int, ...]) -> tuple[Modes, Complex]:
        """The fewest nodes of the ladder that hold the start, up to the usual mesh's."""
        source = _source(law, _mesh(torus, (_NODES[torus.d],) * torus.d))
        for n in _LADDER:
            modes = modes_of(torus, (n,) * torus.d, margin)
            if n < 4 * max(margin) + 3:
                continue
            z = modes.of(source)
            if n >= _NODES[torus.d] or _tail(modes, z) < self._ceiling:
                return modes, _unit(z, modes)
        raise ValueError(
            f"the game's modes up to {max(margin)} are too many to adapt cells to; give cells"
        )

    @property
    def _ceiling(self) -> float:
        """Tail at which free modes are refined.

        Where modes fall geometrically, a share tol^(2/3) in the outer third means tol at the last.
        """
        return self.tol ** (2 / 3)

    def _arrange(self, modes: list[Modes], held: list[Complex]) -> None:
        """Fresh work arrays for these modes, holding these coefficients."""
        self._modes = modes
        self._players = tuple(_player(self._game, p, modes, self._rates[p]) for p in (0, 1))
        self._works = tuple(np.zeros((etd.ROWS, 2, 2 * m.centre + m.span)) for m in modes)
        self._caches = tuple(np.empty((etd.CACHE, 6, m.span)) for m in modes)
        self._keys = np.append(np.full(etd.CACHE, np.nan), 0.0)
        for m, work, z in zip(modes, self._works, held, strict=True):
            work[etd.STATE][:, m.centre + m.offsets] = z.real, z.imag

    def _refine(self) -> None:
        """The next rung of nodes for each free player whose tail is too heavy."""
        modes, held = list(self._modes), [self.modes(p) for p in (0, 1)]
        for p in (0, 1):
            if self._free[p] and self._tails[p] > self._ceiling:
                old, n = modes[p], modes[p].nodes[0]
                bigger = next((c for c in _LADDER if c > n), 2 * n)
                if bigger > _MOST[old.torus.d]:
                    raise ValueError(
                        f"player {'xy'[p]}: the density at t = {self.time:g} needs more than {n} nodes per axis for "
                        f'tol = {self.tol:g}; give cells or a larger tol, or use engine="finite-volume"'
                    )
                modes[p] = modes_of(old.torus, (bigger,) * old.torus.d, old.margin)
                held[p] = old.onto(modes[p], held[p])
        self._arrange(modes, held)

    # -- time ---------------------------------------------------------------------------------

    def _fixed(self, until: float, step: float) -> None:
        count = max(1, int(np.ceil((until - self.time) / step - 1e-9)))
        tails = np.zeros(2)
        status, reached = etd.fixed(
            *self._players,
            *self._works,
            *self._caches,
            self._keys,
            self.time,
            until,
            count,
            tails,
            self._worst,
        )
        if status == etd.DIVERGED:
            raise ValueError(
                f"the run left the probability measures at t = {reached:g} with step {step:g}: "
                "use a smaller step, or step=None for a controlled one"
            )
        self._counts[0] += count
        self.time = until

    def _controlled(self, until: float) -> None:
        tails = self._tails = np.zeros(2)
        if self._rung is None:
            self._rung = etd.first_rung(*self._players, *self._works, self.tol, until - self.time)
        while True:
            limits = np.where(self._free, self._ceiling, np.inf)
            status, self.time, self._rung = etd.controlled(
                *self._players, *self._works, *self._caches, self._keys, self.time, until, self._rung,
                self.tol, limits, tails, self._worst, self._counts,
            )  # fmt: skip
            if status == etd.DONE:
                return
            if status == etd.STUCK:
                raise ValueError(
                    f"no step is small enough for tol = {self.tol:g} at t = {self.time:g}; raise `cells`, or tol"
                )
            self._refine()

    def _say(self) -> None:
        """Warn, once, of tails that were too heavy at any step; for atoms, whose tails must be, now."""
        now = [
            _tail(m, self.modes(p)) if _atoms(self._laws[p]) else self._worst[p]
            for p, m in enumerate(self._modes)
        ]
        p = int(np.argmax(now))
        if self._warned or now[p] <= self._limit:
            return
        self._warned = True
        warn(
            f"player {'xy'[p]}: the outer third of modes reached a share of {now[p]:.1e} at cells = "
            f"{self._modes[p].nodes}; raise `cells`, or leave it out to have the modes adapted"
        )

    # -- measures -----------------------------------------------------------------------------

    def _grid(self, p: int) -> Mesh:
        nodes, torus = self._modes[p].nodes, self._modes[p].torus
        return _mesh(torus, (max(nodes[0], _NODES[torus.d]),) * torus.d if self._free[p] else nodes)

    def _density(self, p: int) -> Density:
        grid = self._grid(p)
        if self.time == 0.0 and _atoms(self._laws[p]) is not None:
            return self._laws[p].on(
                grid
            )  # the modes of atoms do not decay: nodal values mean nothing yet
        # Modes that adapt themselves leave an error of about tol, and cells cannot be raised.
        return density_on(
            self._nodal(p),
            grid,
            f"the masses of {'xy'[p]}",
            max(1e-10, self._free[p] * self.tol),
            told=self._told,
        )

    def _nodal(self, p: int) -> Array:
        """Nodal value times cell volume; kept, for `measures` and `diagnostics` ask for them in turn."""
        z = self.modes(p)
        held = self._shown.get(p)
        if held is None or not np.array_equal(held[0], z):
            self._shown[p] = held = z, self._modes[p].masses(z, self._grid(p).shape or ())
        return held[1]


@lru_cache(maxsize=16)
def _mesh(torus: Torus, nodes: tuple[int, ...]) -> Mesh:
    return mesh(torus, nodes)


def _suited(game: Game, flow: Flow) -> tuple[LowRank, tuple[Rates, Rates]]:
    """Game and rates, if the modes can carry them."""
    other = 'use engine="finite-volume"'
    if not isinstance(game, LowRank) or not all(isinstance(b, TrigBasis) for b in game.bases):
        raise ValueError(
            f"the Galerkin engine needs a trigonometric game on tori, got {game!r}; {other}"
        )
    if max(m.dim for m in game.manifolds) > 3:
        raise ValueError(
            f"the Galerkin engine serves tori of dimension 1 to 3, got {game.X} and {game.Y}"
        )
    if flow.responds:
        raise ValueError(
            f'the Galerkin engine does not run the flow {flow.name!r}; use engine="best-response"'
        )
    for rates in flow.players:
        if rates.alpha > 0:
            raise ValueError(
                f"the Galerkin engine has no reaction, but alpha is {rates.alpha:g}; {other}"
            )
        if rates.temperature == 0 or rates.gamma == 0:
            raise ValueError(
                f"the Galerkin engine needs gamma and temperature above 0 for both players, got gamma = "
                f"{rates.gamma:g} and temperature = {rates.temperature:g}; {other}"
            )
    return game, flow.players


def _torus_shape(cells: Mesh, torus: Torus) -> tuple[int, ...]:
    if cells.shape is None or cells.manifold != torus:
        raise ValueError(
            f"cells is {cells}, but the Galerkin engine needs nodes on a grid of {torus}"
        )
    return cells.shape


def _atoms(law: Law) -> Measure | None:
    """The measure of atoms that a law is, if it is one."""
    measure = getattr(law, "measure", None)
    return measure if isinstance(measure, Measure) and not isinstance(measure, Density) else None


def _source(law: Law, onto: Mesh) -> Measure:
    """What to take coefficients of: a measure given as such, or the law's nodal masses."""
    measure = getattr(law, "measure", None)
    return measure if isinstance(measure, Measure) else law.on(onto)


def _margin(basis: TrigBasis) -> tuple[int, ...]:
    return tuple(int(m) for m in np.abs(basis.modes).max(axis=0, initial=1))


def _tail(modes: Modes, z: Complex) -> float:
    size = np.abs(z.real) + np.abs(z.imag)
    return float(size[modes.outer[modes.offsets] > 0].sum() / size.sum())


def _unit(z: Complex, modes: Modes) -> Complex:
    """Mass exactly one."""
    z[modes.offsets == 0] = 1.0
    return z


def _player(game: LowRank, p: int, modes: list[Modes], rates: Rates) -> tuple[Any, ...]:
    """The constant arrays of player p that the kernels of `etd` read."""
    own, basis = modes[p], game.bases[p]
    assert isinstance(basis, TrigBasis)
    A = np.asarray(game.coefficients(p, np.eye(game.bases[1 - p].size)))
    m = np.rint(basis.modes).astype(np.int64)
    acts = (m != 0).any(axis=1) & (A[: len(m)].any(axis=1) | A[len(m) :].any(axis=1))
    scale = -rates.gamma * (2 * np.pi / own.torus.period) ** 2
    lam, k = np.zeros(own.span), np.zeros((int(acts.sum()), own.span))
    lam[own.offsets] = scale * rates.temperature * np.sum(own.k**2, axis=1)
    k[:, own.offsets] = scale * (m[acts] @ own.k.T)
    sizes = np.array([own.span, own.centre])
    rows = np.concatenate([A[: len(m)][acts], A[len(m) :][acts]])
    return (
        lam,
        k,
        m[acts] @ own.strides,
        np.ascontiguousarray(rows),
        m @ own.strides,
        own.outer,
        sizes,
    )
