"""What copies say of particles: predictions of known mean and covariance, and wrong parameters.

eta are the moments of n particles less the mean field's, zeta those of their copies, independent
points of the mean field's law: E zeta = 0 and Cov zeta = Sigma/n exactly. To leading order eta is a
linear function of the copies' past, so that p = (I + B) zeta, B on low modes fitted to other
replicas, is near it: of mean zero and covariance (I + B) Sigma (I + B)'/n, exactly. What is left of
eta is 20 to 500 times smaller in variance. A mean field of wrong parameters is off by its
sensitivities, which `validation/schemes_reference.py` knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from meanfield.checks import Array
from validation.chaos import MODES, space
from validation.schemes_reference import solved

FOLDS = 8
WIGGLE = 0.02  # relative, of parameters
# Largest eigenvalue of modes that predict; modes of the reference.
LOW = {"circle": (16, 48), "torus": (2, 16), "sphere": (6, 12)}


def low(which: str) -> Array:
    """Which modes of both players predict."""
    return np.tile(space(which).eigenvalues[1:] <= LOW[which][0], 2)


@cache
def sensitivities(which: str, time: float, beta: float | None) -> dict[str, Array]:
    """d moments/d log parameter at T, (2 K,) each: of beta and gamma, or of alpha and gamma."""
    K = LOW[which][1]

    def at(**by: float) -> Array:
        p = {"beta": beta or 1.0, "gamma": 1.0, "alpha": 1.0}
        p = {name: value * by.get(name, 1.0) for name, value in p.items()}
        how = (p["gamma"], 0.0, 1 / p["beta"]) if beta else (p["gamma"], p["alpha"], 0.0)
        c = solved(which, K, time, *how).coefficients
        return np.concatenate([_kept(which, K, c[:, i]) for i in (0, 1)])

    names = ("beta", "gamma") if beta else ("alpha", "gamma")
    step = 2 * np.arctanh(WIGGLE)  # log((1 + WIGGLE)/(1 - WIGGLE))
    return {n: (at(**{n: 1 + WIGGLE}) - at(**{n: 1 - WIGGLE})) / step for n in names}


def _kept(which: str, K: int, c: Array) -> Array:
    """The coefficients of the modes that are looked at, of all K."""
    few = MODES[which][1]
    if which == "torus":
        side = 2 * few + 1
        return np.asarray(c.reshape(2 * K + 1, -1)[:side, :side].ravel()[1:])
    return c[1 : len(space(which).eigenvalues)]


def _centred(v: Array) -> Array:
    return np.asarray(v - v.mean(axis=0))


@dataclass(frozen=True)
class Predicted:
    """p of each replica, (R, q), and of what variance: the fold of each, and n Cov p of each fold,
    (FOLDS, q, q).
    """

    n: int
    values: Array
    fold: Array
    covariance: Array

    def size(self) -> Array:
        """E |p| of each replica and entry: p is normal, but for 1/n."""
        variances = np.diagonal(self.covariance, axis1=1, axis2=2)[self.fold]
        return np.sqrt(2 / np.pi * variances / self.n)

    def energies(self, metric: Array) -> Array:
        """p' A^-1 p less its mean, (R,)."""
        inverse = np.linalg.inv(metric)
        means = np.einsum("fij,ji->f", self.covariance, inverse) / self.n
        return np.einsum("ri,ij,rj->r", self.values, inverse, self.values) - means[self.fold]


def predict(
    sizes: list[int], targets: list[Array], copied: list[Array], sigma: Array, seen: Array,
    own: bool,
) -> list[Predicted]:  # fmt: skip
    """Targets (R, q) of each n from the copies' moments (R, 2 K), fitted to the other folds of all
    n. own: targets are moments themselves, of which their copies' are a part.
    """
    scaled = [np.sqrt(n) * z for n, z in zip(sizes, copied, strict=True)]
    aims = [np.sqrt(n) * y for n, y in zip(sizes, targets, strict=True)]
    folds = [np.arange(len(z)) % FOLDS for z in scaled]
    q, K = aims[0].shape[1], scaled[0].shape[1]
    direct = np.eye(K) if own else np.zeros((q, K))
    maps = np.repeat(direct[None], FOLDS, axis=0)
    for f in range(FOLDS):
        # Centred for each n: a wrong mean field must not pass for what the copies predict.
        z, y = (
            np.concatenate([_centred(v[g != f]) for v, g in zip(of, folds, strict=True)])
            for of in (scaled, aims)
        )
        rest = y - z @ direct.T
        maps[f][:, seen] += np.linalg.lstsq(z[:, seen], rest, rcond=None)[0].T
    spread = maps @ sigma @ np.swapaxes(maps, 1, 2)
    return [
        Predicted(n, np.einsum("rqk,rk->rq", maps[f], c), f, spread)
        for n, c, f in zip(sizes, copied, folds, strict=True)
    ]
