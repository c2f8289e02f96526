"""Flows without diffusion, (8), (6) and mirror descent, on fixed cells.

The masses of cells follow d_t mu = gamma div(mu grad U) - alpha mu (U - mean), U the player's cost.
A step is half the reaction, transport, half the reaction (Strang). Transport goes by upwind fluxes
with limited slopes (MUSCL, van Leer 1979) and Runge-Kutta of order 3 that keeps positivity (Shu &
Osher 1988). The reaction is exact in log space for a given cost, log m <- log m - alpha dt (U -
mean), and takes the cost of the middle of its step. Masses stay nonnegative under the step that
`transport` returns, and are kept to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from meanfield.checks import Array, known_name
from meanfield.density.coupling import Pair, both
from meanfield.density.engine import Controlled
from meanfield.density.equation import reacted, velocity
from meanfield.density.inputs import refuse_temperature
from meanfield.density.on_meshes import OnMeshes
from meanfield.jit import kernel, larger, smaller
from meanfield.measures import Density
from meanfield.meshes import Index, Mesh

LIMITERS = {"positive": 0, "van Leer": 1, "monotonized central": 2}
SAFETY = 0.8
RESOLVED_CELLS = 8  # cells along an axis that hold a density, below which moments err by 1e-3
COARSE_REACTION = 1e-2


class Trial(NamedTuple):
    """A step's outcome: masses, the longest nonnegative step, the reaction's error."""

    masses: Pair
    bound: float
    error: float


class Muscl(OnMeshes, Controlled):
    """The mean field of (8), (6) or mirror descent in the masses of fixed cells.

    cells: cells per axis (a number, a tuple per axis or a Mesh), one for each player. step: None
    for the longest steps that keep masses nonnegative and the reaction's error per step below
    `tol`; or a step, refused with ValueError when it does not keep them nonnegative. limiter:
    "positive" (smallest errors), "van Leer" or "monotonized central" (no new extrema). Raises
    ValueError for temperatures above 0, a mesh of another manifold, an unknown limiter.

    To be trusted for densities, L1 and moments, at order 2, while every peak stands on several
    cells a side (`held_cells`). Once peaks are narrower, moments and NI are right at order about 1,
    W2 at order 1 or lower, and L1 says nothing: see docs/explanation/engines.md.
    """

    name = "muscl"
    saved = ("masses", "stable")
    cure = "is the loss finite everywhere, and its size what it should be?"

    def begin(self, limiter: str = "positive") -> None:
        """Masses, and the longest step that keeps them nonnegative."""
        refuse_temperature(self.flow, self.name)
        self.limiter = LIMITERS[known_name("limiter", limiter, LIMITERS)]
        self.set_up(self.asked_meshes())
        self.stencils = both(lambda p: stencil(self.meshes[p]))
        self.speeds = both(lambda p: velocity(self.players[p], self.meshes[p].transmissibilities))
        self.stable = self._flow_rates(self.masses)[1]

    def propose(self, left: float) -> float:
        """The longest step that keeps masses nonnegative and is good enough for the reaction."""
        if self.step is not None:
            return super().propose(left)
        return min(left, self.proposal or np.inf, SAFETY * self.stable)

    def judge(self, trial: Trial, dt: float) -> tuple[bool, float]:
        """Refuses steps that may turn masses negative, and a reaction's error above `tol`."""
        fits = dt <= trial.bound
        if self.step is not None:
            if not fits:
                raise ValueError(
                    f"step = {self.step:g} would make masses negative at t = {self.time:g}; "
                    f"a step of {SAFETY * trial.bound:.2g} would do, or leave it out"
                )
            return True, dt
        if not (fits and trial.error <= self.tol):
            return False, min(0.5 * dt, SAFETY * trial.bound)
        if not self.flow.reacts:
            return True, np.inf
        # The estimate falls with the third power of the step.
        return True, dt * min(2.0, 0.9 * (self.tol / max(trial.error, 1e-300)) ** (1 / 3))

    def accept(self, trial: Trial, dt: float) -> None:
        """Make the trial's masses the present ones, and keep its bound for the next step."""
        self.masses, self.stable = trial.masses, trial.bound
        if self.step is not None and trial.error > COARSE_REACTION:
            self.warn_once(
                f"at t = {self.time + dt:g} step = {self.step:g} errs by about {trial.error:.1g} "
                "in log-masses; shorten it"
            )

    def attempt(self, dt: float) -> Trial:
        """Half the reaction, transport, half the reaction."""
        m, first = self._react(self.masses, 0.5 * dt)
        m, bound = self._shu_osher(m, dt)
        m, second = self._react(m, 0.5 * dt)
        return Trial(m, bound, first + second)

    def _costs(self, m: Pair) -> Pair:
        return both(lambda p: self.coupling.cost(p, m[1 - p]))

    def _react(self, m: Pair, dt: float) -> tuple[Pair, float]:
        """Reaction over dt with the costs of its middle, found with those of its start.

        What the middle changes, c = alpha dt max|U_mid - U|, is of order dt^2; the error of the
        step, of order dt^3, is estimated by c^(3/2).
        """
        if not self.flow.reacts:
            return m, 0.0
        now = self._costs(m)
        middle = self._costs(self._weigh(m, now, 0.5 * dt))
        change = max(
            rates.alpha * dt * float(np.abs(b - a).max())
            for rates, a, b in zip(self.players, now, middle, strict=True)
        )
        return self._weigh(m, middle, dt), change**1.5

    def _weigh(self, m: Pair, U: Pair, dt: float) -> Pair:
        """Masses after the reaction at frozen costs, normalised."""

        def weighed(p: int) -> Array:
            player = self.players[p]
            if player.alpha == 0:
                return m[p]
            return _normalised(m[p] * np.exp(reacted(player, U[p] - U[p].min(), 0.0, dt)))

        return both(weighed)

    def _flow_rates(self, m: Pair) -> tuple[Pair, float]:
        """Both players' dm/dt by transport, and the longest nonnegative Euler step."""
        bound, rates = np.inf, []
        for p, player in enumerate(self.players):
            rate, grid, s = np.zeros(len(m[p])), self.meshes[p], self.stencils[p]
            if player.gamma > 0:
                reached = transport(
                    m[p], self.coupling.cost(p, m[1 - p]), self.speeds[p], grid.volumes, grid.pairs,
                    s.others, s.weights, s.ahead, s.back, self.limiter, rate,
                )  # fmt: skip
                bound = min(bound, float(reached))
            rates.append(rate)
        return (rates[0], rates[1]), bound

    def _shu_osher(self, m: Pair, dt: float) -> tuple[Pair, float]:
        """Three Euler steps, averaged: what keeps the sign in one keeps it in all."""
        if not self.flow.transports:
            return m, np.inf
        bound, stage = np.inf, m
        for share in (0.0, 0.75, 1 / 3):
            rates, reached = self._flow_rates(stage)
            bound = min(bound, reached)
            euler = [now + dt * rate for now, rate in zip(stage, rates, strict=True)]
            x, y = (share * start + (1 - share) * e for start, e in zip(m, euler, strict=True))
            stage = (x, y)
        return stage, bound

    def measures(self) -> tuple[Density, Density]:
        """Both players' densities on their meshes."""
        return both(lambda p: Density(_normalised(self.masses[p]), self.meshes[p]))

    def diagnostics(self) -> dict[str, float]:
        """Steps; the smallest mass of a cell; for each player the peak density and the number of
        cells that would hold everything if they held equal masses, 1 / sum m^2.
        """
        recorded = {"steps": self.counts["steps"], "min_mass": self.smallest_mass()}
        for player, m, grid in zip("xy", self.masses, self.meshes, strict=True):
            recorded[f"peak_{player}"] = float((m / grid.volumes).max())
            recorded[f"held_cells_{player}"] = float(1 / np.sum(m**2))
        return recorded

    def watch(self) -> None:
        """Warns, once, where a few cells hold everything."""
        for player, m, grid in zip("xy", self.masses, self.meshes, strict=True):
            filled, trusted = 1 / np.sum(m**2), RESOLVED_CELLS**grid.manifold.dim
            if filled < trusted:
                self.warn_once(
                    f"at t = {self.time:g} the density of {player} stands on {filled:.1f} cells, "
                    f"fewer than {trusted:g}: its shape is the mesh's, and means may err by 1e-3 "
                    'and more; raise `cells` or use engine="characteristics"'
                )


def _normalised(m: Array) -> Array:
    return m / m.sum()


@dataclass(frozen=True, eq=False)
class Stencil:
    """A mesh as the kernels want it.

    others (N, k): neighbours, -1 where there are fewer. weights (N, k, dim): the gradient in the
    tangent frame of a cell is sum_k weights_k (rho_k - rho_i), least squares with weights
    1/distance^2 over the neighbours. ahead, back (F, dim): the step from the first node of a pair
    to the second, and from the second to the first, each in the frame where it begins.
    """

    others: Index
    weights: Array
    ahead: Array
    back: Array


def stencil(mesh: Mesh) -> Stencil:
    """The stencil of a mesh; raises ValueError where a cell's neighbours span no tangent space."""
    manifold, nodes = mesh.manifold, mesh.nodes
    frame = np.ascontiguousarray(manifold.basis(nodes))
    i, j = mesh.pairs.T
    ahead = np.einsum("fa,fda->fd", manifold.difference(nodes[i], nodes[j]), frame[i])
    back = np.einsum("fa,fda->fd", manifold.difference(nodes[j], nodes[i]), frame[j])
    others, faces = mesh.neighbours
    # A face seen from its second cell is written -2 - f; padding is -1.
    steps = np.zeros((*faces.shape, manifold.dim))
    steps[faces >= 0] = ahead[faces[faces >= 0]]
    steps[faces < -1] = back[-2 - faces[faces < -1]]
    length2 = np.sum(steps**2, axis=-1, keepdims=True)
    near = np.divide(1.0, length2, out=np.zeros_like(length2), where=length2 > 0)
    normal = np.einsum("nkd,nke->nde", near * steps, steps)
    bad = np.linalg.cond(normal) > 1e8
    if bad.any():
        raise ValueError(
            f"the neighbours of cell {int(np.argmax(bad))} of {mesh} do not span its tangent space"
        )
    weights = np.einsum("nde,nke->nkd", np.linalg.inv(normal), near * steps)
    return Stencil(others, np.ascontiguousarray(weights), ahead, back)


@kernel
def slopes(rho, others, weights, out):
    """Least-squares gradients of rho (N,), into out (N, dim)."""
    for i in range(len(rho)):
        for d in range(out.shape[1]):
            out[i, d] = 0.0
        for k in range(others.shape[1]):
            if others[i, k] >= 0:
                rise = rho[others[i, k]] - rho[i]
                for d in range(out.shape[1]):
                    out[i, d] += weights[i, k, d] * rise


@kernel
def face_value(behind, here, beyond, limiter):
    """Density at the face between `here` and `beyond`, in [0, 2 here] for nonnegative arguments.

    With a = here - behind and b = beyond - here it is here + slope/2, where slope = (a + b)/2, the
    face value alone kept in [0, 2 here] ("positive"); or, where a b > 0 and else zero, slope =
    2ab/(a + b) ("van Leer") or the smallest of 2|a|, |a + b|/2, 2|b| with its sign ("monotonized
    central").
    """
    a = here - behind
    b = beyond - here
    if limiter == 0:
        return smaller(larger(here + 0.25 * (a + b), 0.0), 2.0 * here)
    if a * b <= 0.0:
        return here
    if limiter == 1:
        return here + a * b / (a + b)
    slope = smaller(smaller(2.0 * abs(a), 0.5 * abs(a + b)), 2.0 * abs(b))
    return here + np.copysign(0.5 * slope, a)


@kernel(counted=True)
def transport(m, U, speeds, volumes, pairs, others, weights, ahead, back, limiter, rate):
    """dm/dt under d_t mu = gamma div(mu grad U), into rate (N,); returns the longest Euler step
    that leaves every mass nonnegative.

    speeds (F,) are -gamma T_ij, by `equation.velocity`. The flux from i to j is -gamma T_ij (U_j -
    U_i) times the density at the face, at most twice the upwind one. A cell loses at most 2 m_i /
    vol_i times its outflow, whence the bound vol_i / (2 outflow).
    """
    rho = np.empty(len(m))
    for i in range(len(m)):
        rho[i], rate[i] = m[i] / volumes[i], 0.0
    slope = np.empty((len(m), ahead.shape[1]))
    slopes(rho, others, weights, slope)
    outflow = np.zeros(len(m))
    for f in range(len(pairs)):
        i, j = pairs[f, 0], pairs[f, 1]
        speed = speeds[f] * (U[j] - U[i])
        rise = 0.0
        if speed >= 0.0:
            for d in range(ahead.shape[1]):
                rise += slope[i, d] * ahead[f, d]
        else:
            i, j, speed = j, i, -speed
            for d in range(back.shape[1]):
                rise += slope[i, d] * back[f, d]
        # On a tensor grid rho_j - 2 slope.step is the value of the cell on the other side of i.
        behind = larger(rho[j] - 2.0 * rise, 0.0)
        flux = speed * face_value(behind, rho[i], rho[j], limiter)
        rate[i] -= flux
        rate[j] += flux
        outflow[i] += speed
    bound = np.inf
    for i in range(len(m)):
        if outflow[i] > 0.0:
            bound = smaller(bound, 0.5 * volumes[i] / outflow[i])
    return bound
