"""Random games on circles: what happens in most games, and how rare the rest is."""

from __future__ import annotations

import numpy as np

from meanfield.checks import real, whole, within_memory
from meanfield.games.catalogue import recorded
from meanfield.games.lowrank import LowRank, Term, trigonometric

TERM = 1000.0  # bytes that one takes while a game is made


@recorded
def random_fourier(degree: int = 2, seed: int = 0, decay: float = 1.0, own: float = 1.0) -> LowRank:
    """A random trigonometric game on two circles, of variance one.

    l(x, y) = (1/s) sum w_kl (a_kl cos(kx + ly) - b_kl sin(kx + ly)) over |k|, |l| <= `degree`, one
    of each pair +-(k, l), no constant; a, b ~ N(0, 1), w_kl = (k^2 + l^2)^(-decay/2), times `own`
    where k or l is 0; s > 0 such that the mean of l^2 is 1. As the flow (7) of c l at beta is that
    of l at c beta in another unit of time, beta alone is then the size of the game.

    Parameters
    ----------
    degree : int
        1 or more.
    seed : int
        Coefficients are drawn in the order of rising k, then l, first all a, then all b.
    decay : float
        How fast the terms fall with their frequency.
    own : float
        The weight of the terms of one player alone; 0 leaves these out.

    Returns
    -------
    LowRank

    Examples
    --------
    >>> import numpy as np
    >>> import meanfield as mf
    >>> game, x = mf.games.random_fourier(degree=3, seed=1), 2 * np.pi * np.arange(16)[:, None] / 16
    >>> print(f"{np.mean(game.loss(x, x) ** 2):.6f}")
    1.000000
    """
    d, own = whole("degree", degree, 1), real("own", own, 0.0)
    within_memory(f"the terms up to degree {d}", TERM * 2.0 * d * d, "take a smaller degree")
    modes = [(k, l) for k in range(d + 1) for l in range(-d, d + 1) if (k, l) > (0, 0)]
    k, l = np.array(modes).T
    weights = (k**2 + l**2) ** (-real("decay", decay) / 2) * np.where(k * l == 0, own, 1.0)
    draws = weights * np.random.default_rng(whole("seed", seed, 0)).standard_normal((2, len(modes)))
    a, b = draws / np.sqrt(np.sum(draws**2) / 2)
    waves: list[Term] = [
        ((i,), (j,), float(re), float(im))
        for (i, j), re, im in zip(modes, a, b, strict=True)
        if re or im
    ]
    return trigonometric(waves, name=f"random game (degree {d}, seed {seed})")
