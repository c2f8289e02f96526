"""The plain look, for any game on any manifold: the game's cost and gradient, the manifold's
project and retract.

In numpy and without shortcuts. Games and manifolds that nothing else serves run by it, and every
other look is tested against it.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.particles.looks.pairs import Pairs
from meanfield.particles.players import State
from meanfield.particles.primitives import draw, exponentials
from meanfield.particles.state import blocked, flat


class Plain(Pairs):
    """A player whose particles move by the methods of the game and of its manifold alone."""

    @property
    def manifold(self) -> Manifold:
        return self.game.manifolds[self.me.number]  # type: ignore[no-any-return]

    def along(
        self, U: Array, G: Array, base: State, to: State, part: float, noise: float, k: int
    ) -> float:
        me, M = self.me, self.manifold
        if me.transport > 0.0:
            v = -part * me.transport * flat(G, self.n)
            if noise > 0.0:
                v = v + noise * self.normals(to, k)
            v = M.project(flat(base.x, self.n), v)
            to.x[:] = blocked(M.retract(flat(to.x, self.n), v))
        if me.reaction <= 0.0:
            return 0.0
        logw = to.logw.ravel()[: self.n]
        logw -= part * me.reaction * U.ravel()[: self.n]
        shift = logw.max() + np.log(np.exp(logw - logw.max()).sum())
        logw -= shift
        exponentials(to.logw, 0.0, to.w)  # as a resumed run finds them, to the bit
        return float(shift)

    def diffuse(self, s: State, tick: int) -> None:
        """Of weak second order along geodesics: see `meanfield.particles.primitives.kick`."""
        if self.me.variance <= 0.0:
            return
        x, q = flat(s.x, self.n), 0.5 * self.me.variance
        z = np.sqrt(q) * self.manifold.project(x, self.normals(s, tick))
        if isinstance(self.manifold, Sphere):
            z *= 1 - (self.manifold.dim - 1) * q / 12
            length = np.linalg.norm(z, axis=1, keepdims=True)
            x, z = np.cos(length) * x, np.sinc(length / np.pi) * z
        elif not isinstance(self.manifold, Torus):
            raise ValueError(
                'scheme "strang" knows the noise of tori and spheres, not of '
                f'{self.manifold}; use "euler"'
            )
        s.x[:] = blocked(self.manifold.retract(x, z))

    def normals(self, s: State, tick: int) -> Array:
        """Standard normals (n, a), those of every other look."""
        Z, me = self.r.Z, self.me
        drawn = np.empty_like(s.x)
        for b, block in enumerate(drawn):
            draw(me, Z, s.x.shape[2], b * s.x.shape[2], tick)
            block[:] = Z[: s.x.shape[1]]
        return flat(drawn, self.n)
