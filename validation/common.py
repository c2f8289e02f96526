"""What several claims share."""

from __future__ import annotations

import numpy as np

import meanfield as mf
from meanfield.games.base import Game


def random_trigonometric(seed: int) -> Game:
    """A game on circles with all modes up to 2 of both angles, amplitudes N(0, 1)."""
    rng = np.random.default_rng(seed)
    modes = [(k, m) for k in range(-2, 3) for m in range(3) if (m, k) > (0, 0)]
    return mf.games.trigonometric([((k,), (m,), *rng.standard_normal(2)) for k, m in modes])
