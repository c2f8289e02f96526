"""Bases that change with the solution: finer ones for laws that none resolves at first, and then
coarser ones, as coefficients die out.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.density import slow_decay
from meanfield.density.engine import Engine

CALM = 0.1  # of the tail that asks for a finer basis: where it is less, a coarser one may do
LOST = 0.01  # times tol: the share of coefficients that a coarser basis leaves out


class FreeBases(Engine):
    """An engine whose state is coefficients in a basis for each player, which may be left free."""

    kind: Any  # the basis, `fourier.FourierModes` or `harmonics.Degrees`
    bases: tuple[Any, Any]
    rung: int | None  # of the controlled step
    _free: tuple[bool, bool]  # whose bases are
    _ceiling: float  # the tail that asks for a finer one
    _begun: dict[int, slow_decay.Held]  # states at time 0 of laws whose coefficients decay slowly
    _unresolved: list[int]  # of those in free bases, the players
    _early = False  # on the way to the first time that is looked at

    @abstractmethod
    def coefficients(self, p: int) -> Array:
        """The coefficients of player p in `bases[p]`."""

    @abstractmethod
    def _arrange(self, held: Mapping[int, slow_decay.Held]) -> None:
        """Work in these bases, from these coefficients on."""

    def reach(self, until: float) -> None:
        """As in `Engine`. Players whose laws no basis resolves, such as atoms, go there in bases
        fine enough for `until`, and on in coarser ones as coefficients die out.
        """
        if self._unresolved and all(map(self._as_begun, self._unresolved)):
            self._begin_in_finer(until)
            return
        if wide := self._wide():
            held, lost, calm = self._present(), LOST * self.tol, CALM * self._ceiling
            fewer = {p: slow_decay.coarsened(held[p], lost, calm) for p in wide}
            if any(basis is not self.bases[p] for p, (basis, _) in fewer.items()):
                self._arrange(held | fewer)
        super().reach(until)

    def _wide(self) -> list[int]:
        """The players whose bases may become coarser.

        None in runs whose first bases resolved both laws: these go through many saved times at
        once, which a change of bases would interrupt.
        """
        begun = bool(self._unresolved)
        return [p for p in (0, 1) if begun and self._free[p] and self.bases[p].coarser()]

    def _as_begun(self, p: int) -> bool:
        """Whether player p's state is that of its law at time 0."""
        if self.time > 0.0 or p not in self._begun:
            return False
        basis, z = self._begun[p]
        return self.bases[p] == basis and np.array_equal(self.coefficients(p), z)

    def _begin_in_finer(self, until: float) -> None:
        """Go to `until` from time 0 in finer and finer bases, until two in a row give the same
        coefficients there. Warns where there is no finer one.
        """
        beginning, held = super().state(), self._present()
        for p in self._unresolved:
            how = self.laws[p], self.players[p], until, self._ceiling
            held[p] = slow_decay.resolved_by_diffusion(held[p], *how)
        before: dict[int, slow_decay.Held] = {}
        while True:
            super().restore(beginning)
            self.rung = None
            self._arrange(held)
            failed = self._reach_early(until)
            now = self._present()
            unsettled = [
                p for p in self._unresolved
                if failed or not slow_decay.settled(now[p], before.get(p), self._ceiling)
            ]  # fmt: skip
            more = {p: slow_decay.finer(now[p][0], self.laws[p]) for p in unsettled}
            if not any(more.values()):
                break
            held |= {p: one for p, one in more.items() if one is not None}
            before = {} if failed else now
        if failed:
            raise failed
        for p in unsettled:
            self.warn_once(
                f"player {'xy'[p]}: not even {self.bases[p]} resolve at t = {until:g} what came of "
                f"the start: fewer {self.kind.plural} change its coefficients by more than "
                f"{self._ceiling:.1e}; save later, or give a start without jumps"
            )

    def _reach_early(self, until: float) -> Exception | None:
        """Go there whatever the tails on the way; why that failed, if it did."""
        self._early = True
        try:
            super().reach(until)
        except (NotConverged, ValueError) as error:
            return error
        finally:
            self._early = False
        return None

    def _present(self) -> dict[int, slow_decay.Held]:
        """Of each player the basis and the coefficients."""
        return {p: (self.bases[p], self.coefficients(p)) for p in (0, 1)}
