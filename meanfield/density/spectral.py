"""Equation (7) in eigenfunctions of the Laplacian: Fourier modes or spherical harmonics.

In either basis diffusion multiplies each coefficient by a number and the drift is a short exact
sum, so that convergence is exponential in the number of coefficients. Mass is exact. Positivity
holds as far as the density is resolved, which is watched and warned of. The bases are in `fourier`
and `harmonics`, the time steps (ETDRK4) in `etd`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from meanfield.aligned import zeros
from meanfield.checks import Array
from meanfield.density import etd, slow_decay
from meanfield.density.coupling import both
from meanfield.density.engine import parts
from meanfield.density.free_bases import FreeBases
from meanfield.density.inputs import fits, given_measure, only_langevin
from meanfield.density.snapshots import Snapshots, coefficients
from meanfield.density.stages import FACTORS, FLUX, LANES, STATE
from meanfield.measures import Density, Measure, densities_on
from meanfield.run import Saved

EXACT = 1e-10  # negative mass that is not spoken of
CLIMB = 4  # finer bases that are tried for a law: of four times as many cells an axis
OF_TOL = 30.0  # times tol: what runs up to beta = 1e4 showed where coefficients fell to tol
ROOM = 1 << 17  # numbers in the states that are kept at a time: they stay in the caches
NARROW = 0.02  # negative mass of a start that the coefficients do not resolve


class Spectral(FreeBases):
    """A state of (7) in coefficients of both players, in the basis of `Galerkin` or `Harmonics`.

    game: low-rank, its features in the span of the basis. flow: alpha = 0, temperature and gamma
    above 0. cells: how many coefficients each player has; None adapts them to the solution. step: a
    fixed step, or None for steps controlled to a local error below tol (in L1, by the third-order
    companion of ETDRK4).

    Raises ValueError for other games and flows, for cells too few for the game, and for an unstable
    step. Warns UnderResolved, once, when the outer third of modes or degrees holds more than
    max(1e-6, 100 tol)^(2/3) of the l1 norm: a share s means an L1 error of about s^(3/2) where
    coefficients fall geometrically.
    """

    serves = ""  # the games that it serves, in words
    usual_tol, smallest_tol = 1e-8, 1e-14
    saved = ("worst",)
    cure = "raise `cells`, or tol"

    def begin(self) -> None:
        """The coefficients of both laws, in a basis that the game and the resolution ask for."""
        if not fits(self.game, self.kind.fits):
            raise ValueError(
                f"the {self.name} engine needs {self.serves}, got {self.game!r}; use "
                'engine="finite-volume"'
            )
        only_langevin(self.flow, self.name)
        self.features: Any = self.game.bases
        self._free = both(lambda p: self.cells[p] is None)
        self._rough = [p for p in (0, 1) if self.kind.rough(self.laws[p])]
        self._unresolved = []
        # Where coefficients fall geometrically, a share tol^(2/3) in the outer third means that the
        # last is tol.
        self._ceiling, self._limit = self.tol ** (2 / 3), max(1e-6, 100 * self.tol) ** (2 / 3)
        self._warned_negative: set[str] = set()
        self.rung = None  # the step is 2^(rung / etd.RUNGS)
        self.worst = np.zeros(2)  # the largest tails of any step
        held = {p: self._start(p) for p in (0, 1)}
        for p, (basis, z) in held.items():
            if self._free[p] and (p in self._rough or basis.tail(z) >= self._ceiling):
                self._unresolved.append(p)
        self._arrange(held)
        self._begun = {p: self._present()[p] for p in {*self._rough, *self._unresolved}}

    def _start(self, p: int) -> tuple[Any, Array]:
        """Player p's basis and coefficients at the start: the basis asked for, the smallest that
        resolves its law, or the usual one where none does.
        """
        features, law, cells = self.features[p], self.laws[p], self.cells[p]
        if cells is not None:
            basis = self.kind.given(features, cells)
            return basis, basis.project(law, False)
        ladder = list(self.kind.ladder(features))
        rungs = 0 if p in self._rough else CLIMB
        first, z = slow_decay.resolved(ladder[-1], law, self._ceiling, rungs)
        if first is ladder[-1]:
            for basis in ladder:
                few = first.restricted(z, basis)
                if basis.tail(few) < self._ceiling:
                    return basis, few.copy()
        return first, z

    def _arrange(self, held: Mapping[int, slow_decay.Held]) -> None:
        """Fresh work arrays for these bases, holding these coefficients."""
        self.bases = both(lambda p: held[p][0])
        players = [b.player(self.game, p, self.players[p]) for p, b in enumerate(self.bases)]
        widths = [
            max(2 * b.centre + b.span, -(len(one.shifts) // -LANES) * LANES)
            for b, one in zip(self.bases, players, strict=True)
        ]
        rows = FLUX + 3 if players[0].harmonics else FLUX
        self._works = [zeros((rows, 2, width)) for width in widths]
        caches = [zeros((etd.CACHE, FACTORS, b.span)) for b in self.bases]
        x, y = players
        alike = np.array_equal(x.levels, y.levels) and np.array_equal(x.level, y.level)
        if alike:
            caches[1] = caches[0]
        keys = np.append(np.full(etd.CACHE, np.nan), [0.0, float(alike)])
        levels = np.empty((FACTORS, max(len(x.levels), len(y.levels))))
        self._held = (x, y, *self._works, *caches, levels, keys)
        self.place(held[0][1], held[1][1])

    def place(self, *coefficients: Array) -> None:
        """Make these coefficients of both players in `bases` the present state."""
        for basis, c, work in zip(self.bases, coefficients, self._works, strict=True):
            z = basis.packed(c)
            work[STATE][:, basis.places] = z.real, z.imag

    def coefficients(self, p: int) -> Array:
        """The coefficients of player p in `bases[p]`."""
        return coefficients(self.bases[p], self._works[p][STATE])

    def move(self, until: float) -> float:
        """Steps up to `until`, or to where a player needs a finer basis, which it then has."""
        self._step_through(np.array([until]), self._room_for(1))
        return self.time

    def through(self, times: Array) -> list[Saved]:
        """As in `Engine`, and as many times at once as the state comes through in a moment."""
        if self._wide() or (self._unresolved and self.time == 0.0):
            return super().through(times)
        times = times[: max(1, ROOM // sum(work[STATE].size for work in self._works))]
        before, seen = self._now(), self._room_for(len(times))
        reached = self._step_through(times, seen)
        if reached == 0:
            return super().through(times)
        found = replace(before, times=times[:reached], seen=etd.Seen(*(a[:reached] for a in seen)))
        self._watch(found)
        pairs = zip(*both(lambda p: self._shown(found, p)), strict=True)
        return list(map(Saved, found.times.tolist(), pairs, found.diagnostics()))

    def _step_through(self, times: Array, seen: etd.Seen) -> int:
        """Steps on through these times, as far as `etd.run` goes at once: how many were reached."""
        tails, counts = np.zeros(2), np.zeros(2, dtype=np.int64)
        finer = both(lambda p: self.bases[p].finer() if self._free[p] else None)
        limits = np.array([self._heaviest(p, finer[p]) for p in (0, 1)])
        count = np.zeros(len(times), dtype=np.int64)
        if self.step is not None:
            gaps = np.diff(times, prepend=self.time).tolist()
            count[:] = [parts(gap, self.step) for gap in gaps]
        status, time, self.rung, reached = etd.run(
            self._held, self.time, times, count,
            etd.NO_RUNG if self.rung is None else self.rung,
            (self.tol, limits, tails, self.worst, counts), seen,
        )  # fmt: skip
        self.time = float(time)
        self.counts["steps"] += int(counts[0])
        self.counts["rejected"] += int(counts[1])
        if status == etd.TAIL:
            self._refine(time, tails > limits, finer)
        elif reached == 0 and status == etd.DIVERGED:
            raise ValueError(
                f"the run left the probability measures at t = {time:g} with step {self.step:g}: "
                "use a smaller step, or step=None for a controlled one"
            )
        elif reached == 0 and status == etd.STUCK:
            raise self.collapsed(self.time, times[0])
        return reached

    def _room_for(self, number: int) -> etd.Seen:
        """Arrays for so many states."""
        x, y = (np.empty((number, *work[STATE].shape)) for work in self._works)
        return etd.Seen(x, y, np.empty((number, 5)))

    def _now(self) -> Snapshots:
        """The present state."""
        x, y = (work[STATE][None] for work in self._works)
        seen = etd.Seen(x, y, np.array([[self.rung or 0, 0, 0, *self.worst]]))
        counts, times = (self.counts["steps"], self.counts["rejected"]), np.array([self.time])
        return Snapshots(self.bases, self._free, times, seen, counts, self.step)

    def _heaviest(self, p: int, finer: Any) -> float:
        """The tail beyond which player p takes a finer basis; infinite where it does not."""
        grows = self._free[p] and (finer is not None or p not in self._rough)
        early = self._early and p in self._unresolved
        return self._ceiling if grows and not early else np.inf

    def _refine(self, time: float, heavy: Any, finer: tuple[Any, Any]) -> None:
        players = self._present()
        for p in map(int, np.flatnonzero(heavy)):
            basis, z = players[p]
            if finer[p] is None:
                raise ValueError(
                    f"player {'xy'[p]}: the density at t = {time:g} needs more than {basis} for "
                    f"tol = {self.tol:g}; give cells, a larger tol or a smaller step, or use "
                    'engine="finite-volume"'
                )
            players[p] = finer[p], basis.extended(z, finer[p])
        self._arrange(players)

    def watch(self) -> None:
        """Warns, once, of tails that are too heavy; for smooth starts, at any step so far."""
        if self._rough or self._unresolved or self.worst.max() > self._limit:
            self._watch(self._now())

    def _watch(self, states: Snapshots) -> None:
        now = {*self._rough, *self._unresolved}  # of these tails are heavy at first
        seen = both(lambda p: states.tails[p] if p in now else states.worst[:, p])
        most = np.maximum(*seen)
        if most.max() > self._limit:
            k = int(np.argmax(most > self._limit))
            p = int(seen[1][k] > seen[0][k])
            self.warn_once(
                f"player {'xy'[p]}: the outer third of {self.kind.plural} reached a share of "
                f"{seen[p][k]:.1e} at {states.bases[p]}; raise `cells`, or leave it out to have "
                f"the {self.kind.plural} adapted"
            )

    def measures(self) -> tuple[Measure, Measure]:
        """Both densities at the nodes of a mesh; atoms as they stand where a run starts from them,
        as coefficients that do not decay have nodal values that mean nothing yet.

        The features of the game have the means that the coefficients say, to rounding.
        """
        now = self._now()

        def measure(p: int) -> Measure:
            law, begun = self.laws[p], self._as_begun(p)
            given = given_measure(law) if begun else None
            if begun and given is None:
                with suppress(ValueError):  # narrower than the cells
                    given = law.on(self.bases[p].grid(self._free[p]))
            return given or self._shown(now, p)[0]

        return both(measure)

    def on_nodes(self, p: int) -> Density:
        """The density of player p's coefficients at the nodes of a mesh."""
        return self._shown(self._now(), p)[0]

    def _shown(self, states: Snapshots, p: int) -> list[Density]:
        """The densities of player p at these states."""
        masses, what = states.masses[p], f"the masses of {'xy'[p]}"
        first = masses[0]
        if states.times[0] == 0.0 and (lost := -first[first < 0].sum()) > NARROW:
            raise ValueError(
                f"start.{'xy'[p]} is narrower than {self.bases[p]} resolve: these see a negative "
                f"mass of {lost:.2g}; raise `cells`"
            )

        def allowed(k: int) -> tuple[float, str]:
            """The negative mass that nodes may show, and what helps against more.

            Where coefficients fall to `tol` this is what `tol` leaves, and more cells change
            little.
            """
            if states.tails[p][k] > self._ceiling:
                early = f"at early times atoms need more than {states.bases[p]}: give `cells`"
                return EXACT, early if p in self._rough else "raise `cells`"
            if self.step is not None:
                return EXACT, "take a shorter `step`"
            return max(EXACT, OF_TOL * self.tol), f"lower `tol`, now {self.tol:g}"

        return densities_on(masses, states.grids[p], what, allowed, self._warned_negative)

    def diagnostics(self) -> dict[str, float]:
        """See `Snapshots.diagnostics`."""
        return self._now().diagnostics()[0]

    def state(self) -> dict[str, Any]:
        """A copy of all that `restore` needs to go on to the same bits."""
        own = {"rung": self.rung, "coefficients": both(self.coefficients)}
        return {**super().state(), **own, "cells": both(lambda p: self.bases[p].cells)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a saved state of an engine of the same game."""
        players = {}
        for p, features in enumerate(self.features):
            basis = self.kind.given(features, state["cells"][p])
            z = np.array(state["coefficients"][p], dtype=basis.dtype)
            if z.shape != (basis.number,):
                raise ValueError(
                    f"the state holds coefficients of shape {z.shape} where {len(basis.places)} "
                    "are wanted: it is of another game"
                )
            players[p] = basis, z
        if (players[0][0], players[1][0]) == self.bases:
            self.place(players[0][1], players[1][1])
        else:
            self._arrange(players)
        super().restore(state)
        self.rung = None if state["rung"] is None else int(state["rung"])
