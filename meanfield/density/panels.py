"""Labels that are refined: panels of Gauss nodes cover a manifold and are halved where paths part.

On a panel the flow map a -> (X(a), log w, log J) is smooth long after neighbouring nodes have
parted. Halving a panel and interpolating there (order q in the panel's size, q nodes an axis) gives
new labels, and a sum over Gauss nodes has order 2q. A panel is halved along an axis when the mass
in the last Legendre coefficients of the density and of its first moments exceeds a limit, so that
labels go where paths part with mass on them and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.density.labels import Labels
from meanfield.flows import Rates
from meanfield.laws import Law
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.meshes import Index

NODES = {1: 8, 2: 6}  # Gauss nodes per axis of a panel, by dimension
# Panels per axis of a chart before any is halved.
ROOTS = {Torus: {1: 32, 2: 10}, Sphere: {1: 32, 2: 4}}
MOST = 1 << 16  # labels a player


def has_panels(manifold: Manifold) -> bool:
    """Whether labels of this manifold can be refined: T^1, T^2, S^1 and S^2, as on T^3 labels soon
    run out.
    """
    return manifold.dim in ROOTS.get(type(manifold), ())


@cache
def gauss(q: int) -> tuple[Array, Array]:
    """Nodes and weights (sum one) of [0, 1]."""
    t, w = np.polynomial.legendre.leggauss(q)
    return (t + 1) / 2, w / 2


@cache
def last_coefficients(q: int) -> Array:
    """(2, q): values at the nodes -> the last two Legendre coefficients (|P_k| <= 1)."""
    t, w = gauss(q)
    k = np.arange(q - 2, q)
    return (2 * k[:, None] + 1) * w * np.polynomial.legendre.legvander(2 * t - 1, q - 1).T[k]


@cache
def to_halves(q: int) -> Array:
    """(2, q, q): values at the nodes -> their polynomial at the nodes of either half."""
    t = gauss(q)[0]
    at = np.stack([t / 2, (1 + t) / 2])
    values = np.linalg.inv(np.polynomial.legendre.legvander(2 * t - 1, q - 1))
    return np.polynomial.legendre.legvander(2 * at - 1, q - 1) @ values


@dataclass(frozen=True, eq=False)
class Panels:
    """P boxes of charts: chart `face` (P,), lower corner `low` and sides `size` (P, d) in [0, 1].

    A torus is one chart, by its angles over the period, and S^1 likewise. S^2 has the six faces of
    a cube, by equal angles (the cubed sphere of Ronchi, Iacono & Paolucci 1996).
    """

    manifold: Manifold
    face: Index
    low: Array
    size: Array

    @classmethod
    def roots(cls, manifold: Manifold) -> Panels:
        """The coarsest panels, equal in their charts."""
        d, count = manifold.dim, ROOTS[type(manifold)][manifold.dim]
        corner = _grid(np.arange(count), d) / count
        faces = 6 if isinstance(manifold, Sphere) and d == 2 else 1
        low = np.tile(corner, (faces, 1))
        face = np.repeat(np.arange(faces), len(corner))
        return cls(manifold, face, low, np.full(low.shape, 1 / count))

    def __len__(self) -> int:
        return len(self.face)

    @property
    def q(self) -> int:
        return NODES[self.manifold.dim]

    @cached_property
    def weights(self) -> Array:
        """Gauss weights of a panel's nodes, (q^d,), in C order; they sum to one."""
        w = gauss(self.q)[1]
        return w if self.manifold.dim == 1 else np.outer(w, w).ravel()

    @cached_property
    def quadrature(self) -> tuple[Array, Array]:
        """Points (n, a) and their volumes (n,), panel by panel: n = P q^d."""
        d = self.manifold.dim
        inner = _grid(gauss(self.q)[0], d)
        u = (self.low[:, None] + self.size[:, None] * inner).reshape(-1, d)
        points, jacobian = _chart(self.manifold, np.repeat(self.face, len(inner)), u)
        return points, jacobian * np.outer(self.size.prod(axis=1), self.weights).ravel()

    def halved(self, chosen: Any, axis: int) -> Panels:
        """The chosen panels (P,) replaced by their lower and their upper halves, at the end."""
        size = self.size[chosen].copy()
        size[:, axis] /= 2
        upper = self.low[chosen].copy()
        upper[:, axis] += size[:, axis]
        return Panels(
            self.manifold, np.concatenate([self.face[~chosen], *2 * [self.face[chosen]]]),
            np.concatenate([self.low[~chosen], self.low[chosen], upper]),
            np.concatenate([self.size[~chosen], size, size]),
        )  # fmt: skip

    def carried(self, values: Array, chosen: Any, axis: int) -> Array:
        """Values at the nodes (n, ...), interpolated to the nodes of `halved(chosen, axis)`."""
        shape = (len(self), *self.manifold.dim * (self.q,), *values.shape[1:])
        by_panel = values.reshape(shape)
        split = np.moveaxis(by_panel[chosen], axis + 1, 1)
        halves = np.moveaxis(np.einsum("hij,pj...->hpi...", to_halves(self.q), split), 2, axis + 2)
        parts = [by_panel[~chosen], halves[0], halves[1]]
        return np.concatenate(parts).reshape(-1, *values.shape[1:])

    def tails(self, masses: Array, points: Array) -> Array:
        """The mass in the last coefficients of a panel along an axis, (P, d).

        The largest of those of the density and of its first moments.
        """
        d, q = self.manifold.dim, self.q
        if isinstance(self.manifold, Torus):
            angles = 2 * np.pi / self.manifold.period * points
            points = np.concatenate([np.cos(angles), np.sin(angles)], 1)
        functions = np.concatenate([np.ones((len(masses), 1)), points], 1)
        density = masses.reshape(len(self), -1) / self.weights
        values = functions.reshape(len(self), q**d, -1) * density[..., None]
        grid = values.reshape(len(self), *d * (q,), -1)
        tails = np.empty((len(self), d))
        for axis in range(d):
            last = np.abs(np.tensordot(grid, last_coefficients(q), (axis + 1, 1))).max(axis=-1)
            if d == 2:  # the nodes of the other axis are summed over
                last = np.tensordot(last, gauss(q)[1], (1, 0))
            tails[:, axis] = last.max(axis=-1)
        return tails


def _grid(along: Any, d: int) -> Array:
    """Points (n^d, d) with each coordinate among those along one axis (n,), in C order."""
    return np.stack(np.meshgrid(*d * [along], indexing="ij"), -1).reshape(-1, d)


def _chart(manifold: Manifold, face: Index, u: Array) -> tuple[Array, Array]:
    """Points at chart coordinates u (n, d) in [0, 1]^d, and the volume per unit of u."""
    if isinstance(manifold, Torus):
        return manifold.period * u, np.full(len(u), manifold.volume)
    if manifold.dim == 1:
        points = np.concatenate([np.cos(2 * np.pi * u), np.sin(2 * np.pi * u)], 1)
        return points, np.full(len(u), 2 * np.pi)
    t = np.tan((u - 0.5) * np.pi / 2)
    r2 = 1 + (t * t).sum(axis=1)
    area = (np.pi / 2) ** 2 * (1 + t * t).prod(axis=1) / r2**1.5
    side = np.where(face < 3, 1.0, -1.0)
    cube = np.stack([side, t[:, 0], t[:, 1]], 1) / np.sqrt(r2)[:, None]
    turned = (np.arange(3)[None, :] - face[:, None]) % 3
    return np.take_along_axis(cube, turned, axis=1), area


@dataclass(frozen=True, eq=False)
class PanelLabels(Labels):
    """Labels on the Gauss nodes of panels.

    limit: the largest tail that a panel may have, in mass; errors of moments follow it in
    proportion. norm: the integral of the law's density.
    """

    panels: Panels
    law: Law
    limit: float
    norm: float

    def jump(self, z: Array) -> float:
        """The largest tail of a panel over the limit: above 1 only where labels ran out."""
        cloud = self.cloud(z)
        return float(self.panels.tails(cloud.masses, cloud.points).max() / self.limit)

    def distrust(self, jump: float) -> str:
        return (
            f"have run out of new labels ({len(self.points)}): means over them may err by "
            f"{jump * self.limit:.1g}; ask for less with `refine`"
        )

    def refined(self, z: Array) -> tuple[PanelLabels, Array]:
        """These labels, or more of them, with every tail below the limit or all labels used up."""
        now = self
        while True:
            cloud = now.cloud(z)
            over = now.panels.tails(cloud.masses, cloud.points) > now.limit
            left = MOST - len(now.points)
            for axis in range(self.manifold.dim):
                if over[:, axis].any() and over[:, axis].sum() * len(now.panels.weights) <= left:
                    # One axis at a time: the other's tails are looked at anew.
                    now, z = now._halved(z, over[:, axis], axis)
                    break
            else:
                return now, z

    def _halved(self, z: Array, chosen: Any, axis: int) -> tuple[PanelLabels, Array]:
        x, gain, stretch = self.split(z)
        parts = [x] if self.rates.gamma > 0 else []
        parts += [np.asarray(v) for v in (gain, stretch) if np.ndim(v)]
        carried = [self.panels.carried(part, chosen, axis).ravel() for part in parts]
        return self._moved(self.panels.halved(chosen, axis)), np.concatenate(carried)

    def _moved(self, panels: Panels) -> PanelLabels:
        """The labels of the same start on other panels."""
        return _on(self.law, self.rates, panels, self.limit, self.norm)

    def refinement(self) -> dict[str, Any]:
        """What `restored` needs."""
        return {"face": self.panels.face, "low": self.panels.low, "size": self.panels.size}

    def restored(self, refinement: Any) -> PanelLabels:
        face, low, size = (np.array(refinement[key]) for key in ("face", "low", "size"))
        return self._moved(Panels(self.manifold, face.astype(np.int64), low, size))


def panel_labels(manifold: Manifold, law: Law, rates: Rates, limit: float) -> PanelLabels:
    """The Gauss nodes of a start from a density, halved where the density itself asks for it."""
    panels = Panels.roots(manifold)
    while True:
        points, volumes = panels.quadrature
        masses = law.density(points) * volumes
        norm = float(masses.sum())
        if norm <= 0:
            raise ValueError(
                f"the start's density is zero at all {len(points)} nodes on {manifold}; give cells"
            )
        over = panels.tails(masses / norm, points) > limit
        worst = over.sum(axis=0).argmax()
        if not over.any() or len(points) + over[:, worst].sum() * len(panels.weights) > MOST:
            return _on(law, rates, panels, limit, norm)
        panels = panels.halved(over[:, worst], int(worst))


def _on(law: Law, rates: Rates, panels: Panels, limit: float, norm: float) -> PanelLabels:
    points, volumes = panels.quadrature
    p = law.density(points) / norm
    with np.errstate(divide="ignore"):
        log_p, log_w = np.log(p), np.log(p * volumes)
    everywhere = np.ones(len(points), dtype=bool)
    return PanelLabels(
        panels.manifold, rates, points, log_w, log_p, None, everywhere, panels, law, limit, norm
    )
