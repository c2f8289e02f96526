"""The Gibbs point (9) followed in a parameter of game and flow, and where it loses stability.

It is unique and depends smoothly on the parameter (the matrix of Newton's method in `gibbs` is
never singular), so that there are no folds, and each point is solved for from the one before. Zero
is never an eigenvalue of a flow linearised there (see `meanfield.equilibria.stability`): what
crosses the imaginary axis is a pair that turns, at a Hopf point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meanfield.checks import Array, NotConverged
from meanfield.density.coupling import both
from meanfield.equilibria.curve import LONGER, SHORTEST, Family
from meanfield.equilibria.gibbs import GibbsPoint, gibbs
from meanfield.equilibria.linear import even
from meanfield.equilibria.spectrum import Complex
from meanfield.equilibria.stability import Stability, betas, stability
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.measures import Density
from meanfield.meshes import Mesh
from meanfield.shown import Shown
from meanfield.storage.results import Result

FOLLOWED = 12  # eigenvalues at each point; of two Hopf points that meet, eight cross at once
CROSSES = 1e-8  # real part, relative to the frequency, of eigenvalues that cross together
ON_AXIS = 1e-6  # real part, relative to the eigenvalue, of one that crosses
AT = 1e-13  # of a Hopf point's parameter, relative to the step
TWICE = 1e-8  # of a step, and of the frequency: Hopf points nearer than this are one
LAST = 1e-6  # of a step: the end of the range, where it is no farther


@dataclass(frozen=True, eq=False)
class GibbsBranch(Shown, Result):
    """Gibbs points along a range of a parameter, with the spectrum of the flow linearised there.

    name: of the parameter. values, game_values, residuals (P,): its values, L, and the residuals of
    `gibbs`. eigenvalues (P, k): the leading ones. hopf (H, 2): parameter and angular frequency
    where a pair crosses the imaginary axis, and `spectra` there. end: why the branch ends. x, y:
    the Gibbs points. game, flow: where the branch begins. state: of an unfinished branch, how to go
    on.
    """

    name: str
    values: Array
    game_values: Array = field(repr=False)
    residuals: Array
    eigenvalues: Complex = field(repr=False)
    hopf: Array
    spectra: list[Stability] = field(repr=False)
    end: str
    x: list[Density] = field(repr=False)
    y: list[Density] = field(repr=False)
    game: Game = field(repr=False)
    flow: Flow = field(repr=False)
    state: dict[str, Any] = field(repr=False, default_factory=dict)

    @property
    def stable(self) -> Any:
        """At which of the parameters small perturbations decay, (P,)."""
        return self.eigenvalues[:, 0].real < 0

    def perturbed(self, amplitude: float, which: int = 0) -> tuple[Density, Density]:
        """The Gibbs point at a Hopf point, moved along the mode that turns there, so that the
        largest relative change of a density is `amplitude`: a start from which, at parameters
        nearby, a cycle or the way to it is seen.
        """
        if not 0 <= which < len(self.spectra):
            raise ValueError(f"which counts {len(self.spectra)} Hopf points from 0, got {which}")
        spectrum = self.spectra[which]
        k = int(np.argmin(np.abs(spectrum.eigenvalues.real)))
        return spectrum.perturbed(amplitude, k)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """Draw growth rates and frequencies as `meanfield.plotting.plot_gibbs_branch` does."""
        from meanfield.plotting import plot_gibbs_branch

        return plot_gibbs_branch(self, ax, **options)

    def __repr__(self) -> str:
        told = [f"{value:.10g} (frequency {turns:.6g})" for value, turns in self.hopf]
        return (
            f"GibbsBranch: {len(self.values)} Gibbs points, {self.name} from "
            f"{self.values.min():.6g} to {self.values.max():.6g}, {int(self.stable.sum())} stable, "
            f"Hopf points at {', '.join(told) or 'none'}; {self.end}"
        )


@dataclass(frozen=True, eq=False)
class Point:
    """A Gibbs point at a value of the parameter, and the spectrum there."""

    value: float
    game_value: float
    residual: float
    eigenvalues: Complex
    x: Density
    y: Density

    @property
    def unstable(self) -> int:
        """How many of the leading eigenvalues have a positive real part."""
        return int((self.eigenvalues.real > 0).sum())

    @property
    def meshes(self) -> tuple[Mesh, Mesh]:
        return self.x.mesh, self.y.mesh


class GibbsWalk:
    """Gibbs points at parameters a step apart, until the range or what can be solved for ends."""

    def __init__(
        self, family: Family, near: GibbsPoint, between: tuple[float, float], points: int,
        name: str, tol: float,
    ) -> None:  # fmt: skip
        self.family, self.near, self.between = family, near, between
        self.points, self.name, self.tol = points, name, tol
        self.end = ""
        self.found: list[Point] = []
        self.hopf: list[tuple[float, float]] = []
        self.spectra: list[Stability] = []
        self.length = self.first = 0.0

    def begin(self, at: float, away: float) -> None:
        """The first Gibbs point, and the first step."""
        pair = self.near.x, self.near.y
        on = both(lambda p: _resolved(pair[p].mesh))
        kept = all(a is b.mesh for a, b in zip(on, pair, strict=True))
        self.found.append(_point(at, self.spectrum(at, on, pair if kept else None)))
        self.length = self.first = away

    def spectrum(self, value: float, on: Any, start: tuple[Density, Density] | None) -> Stability:
        """The spectrum at a parameter's Gibbs point; without `on` on the cells of `start`, or more
        of them where the densities ask for it.
        """
        game, flow = self.family(value)
        if min(flow.temperature) == 0:
            raise ValueError(
                "the Gibbs points of a branch need a temperature for both players, and the flow at "
                f"{self.name} = {value:g} has {flow.temperature}"
            )
        if on is None and game.bases is None and start is not None:
            on = start[0].mesh, start[1].mesh
        point = gibbs(game, betas(flow), on, self.tol, start)
        return stability(game, flow, count=FOLLOWED, near=point)

    def step(self) -> None:
        """One step, which finds a point, halves the next, or ends the walk."""
        here = self.found[-1]
        if len(self.found) >= self.points:
            self.end = f"ends after {self.points} Gibbs points"
            return
        value, last = self.ahead(here.value)
        if value == here.value:
            self.end = f"leaves the range at {self.name} = {value:.6g}"
            return
        try:
            there = _point(value, self.spectrum(value, None, (here.x, here.y)))
            crossed = self.crossed(here, there)
        except NotConverged as lost:
            self.length /= 2
            if abs(self.length) < SHORTEST * abs(self.first):
                self.end = f"no Gibbs point was found beyond {self.name} = {here.value:.6g}: {lost}"
            return
        self.found.append(there)
        for at, spectrum, frequency in crossed:
            self.hopf.append((at, frequency))
            self.spectra.append(spectrum)
        if last:
            self.end = f"leaves the range at {self.name} = {value:.6g}"
        self.length = np.sign(self.first) * min(LONGER * abs(self.length), abs(self.first))

    def ahead(self, here: float) -> tuple[float, bool]:
        """The next parameter, and whether it is the end of the range."""
        end = self.between[1] if self.first > 0 else self.between[0]
        last = (end - here - self.length) * np.sign(self.first) < LAST * abs(self.length)
        return (end, True) if last else (here + self.length, False)

    def crossed(self, here: Point, there: Point) -> list[tuple[float, Stability, float]]:
        """The Hopf points between two parameters in their order: value, spectrum and frequency.

        The k-th largest real part is a continuous function of the parameter, zero where as many
        eigenvalues come to be on the right as k. On the cells of `there`, throughout.
        """
        if here.unstable == there.unstable:
            return []
        from scipy.optimize import brentq

        met: dict[float, Stability] = {}

        def at(value: float) -> Stability:
            if value not in met:
                met[value] = self.spectrum(value, there.meshes, (there.x, there.y))
            return met[value]

        found, ends = [], (here.unstable, there.unstable)
        k = min(ends)
        while k < max(ends):
            rate = _part(at, k)
            if rate(here.value) * rate(there.value) < 0:
                width = abs(there.value - here.value)
                value = brentq(rate, here.value, there.value, xtol=AT * width, rtol=1e-15)
                self.check_continuous(at(value).eigenvalues[k], value)
            else:  # it crosses at an end, but for rounding or what finer cells of `there` change
                value = min(here.value, there.value, key=lambda end: abs(rate(end)))
            spectrum = at(value)
            turns = abs(float(spectrum.eigenvalues[k].imag))
            if not self.known(value, turns):
                found.append((value, spectrum, turns))
            k += max(1, int((np.abs(spectrum.eigenvalues[k:].real) < CROSSES * turns).sum()))
        return sorted(found, key=lambda one: abs(one[0] - here.value))

    def check_continuous(self, crosses: complex, value: float) -> None:
        """ValueError where the eigenvalue that should cross at a parameter does not lie on the
        axis.
        """
        if abs(crosses.real) > ON_AXIS * max(1.0, abs(crosses)):
            raise ValueError(
                f"family jumps at {self.name} = {value:.10g}: a growth rate changes its sign there "
                f"without being zero ({crosses.real:.3g}); game and flow must depend on the "
                "parameter continuously"
            )

    def known(self, value: float, turns: float) -> bool:
        """Whether a Hopf point is that of the step before, at whose end it lies."""
        near = TWICE * abs(self.first)
        return any(abs(value - v) < near and abs(turns - w) < TWICE * w for v, w in self.hopf)

    def result(self, game: Game, flow: Flow) -> GibbsBranch:
        """The branch so far, and game and flow where it begins."""
        many = self.found
        values, levels, residuals, eigenvalues = (
            np.array([getattr(point, key) for point in many])
            for key in ("value", "game_value", "residual", "eigenvalues")
        )
        state = {} if self.end else {"length": self.length, "first": self.first}
        return GibbsBranch(
            self.name, values, levels, residuals, eigenvalues,
            np.array(self.hopf).reshape(-1, 2), list(self.spectra), self.end or "not finished",
            [point.x for point in many], [point.y for point in many], game, flow, state,
        )  # fmt: skip

    def restore(self, held: GibbsBranch) -> None:
        """Go to where a stored branch was stopped."""
        rows = zip(held.values.tolist(), held.game_values.tolist(), held.residuals.tolist(),
                   held.eigenvalues, held.x, held.y, strict=True)  # fmt: skip
        self.found = [Point(*row) for row in rows]
        self.hopf = [(value, turns) for value, turns in held.hopf.tolist()]
        self.spectra = list(held.spectra)
        self.length, self.first = held.state["length"], held.state["first"]


def _resolved(on: Mesh) -> Mesh:
    """The mesh, or on S^2 one of as many cells of nearly one size."""
    return even(on.manifold, len(on)) if on.by_parallels else on  # type: ignore[no-any-return]


def _point(value: float, spectrum: Stability) -> Point:
    """What is kept of a Gibbs point and the spectrum there."""
    at = spectrum.point
    level = at.game.value(at.x, at.y)
    return Point(value, level, at.residual, spectrum.eigenvalues, at.x, at.y)


def _part(at: Callable[[float], Stability], k: int) -> Callable[[float], float]:
    """The k-th largest real part of a spectrum as a function of the parameter."""
    return lambda value: float(at(value).eigenvalues[k].real)
