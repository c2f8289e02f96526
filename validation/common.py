"""What several claims share."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

import meanfield as mf
from meanfield.checks import Array
from meanfield.games.base import Game
from meanfield.meshes import Mesh
from meanfield.meshes import harmonics as spherical
from meanfield.studies.statistics import band
from meanfield.studies.verdicts import Verdict


def random_trigonometric(seed: int) -> Game:
    """A game on circles with all modes up to 2 of both angles, amplitudes N(0, 1)."""
    rng = np.random.default_rng(seed)
    modes = [(k, m) for k in range(-2, 3) for m in range(3) if (m, k) > (0, 0)]
    return mf.games.trigonometric([((k,), (m,), *rng.standard_normal(2)) for k, m in modes])


@lru_cache(maxsize=4)
def quadrature_mesh(n: int) -> Mesh:
    """A product quadrature of S^2 as a mesh without faces: integrals of harmonics up to degree 2n -
    1 are exact.
    """
    points, weights = spherical.quadrature(n)
    return Mesh(
        mf.Sphere(2), points, weights, np.empty((0, 2), np.int64), np.empty(0), np.empty((0, 3))
    )


def label(*words: object) -> str:
    """A part's name, fit for a file."""
    return re.sub(r"[^\w.]+", "_", "_".join(map(str, words)))


def known(claim: str, samples: Array, expected: float, tolerance: float) -> Verdict:
    """The mean of samples (R,) with its 95% interval, held against what it is known to be."""
    mean, low, high = band(samples)
    return Verdict(claim, float(mean), expected, tolerance, float(high - low) / 2)
