r"""
Where transport is needed
=========================

The experiment of the paper's figure 1, small: the Nikaido-Isoda error that mirror descent, Langevin
descent-ascent and Wasserstein-Fisher-Rao descent-ascent reach on :math:`\ell_b` with 50 particles,
by dimension. Mirror descent, whose particles stay where they were drawn, suffers most. Errors are
exact: each is a trust-region problem, not the best of many gradient runs.
"""

import matplotlib.pyplot as plt
import numpy as np

import meanfield as mf

dims, seeds = (2, 5, 10, 20), range(3)
flows = {
    "mirror descent": mf.MirrorDescent(alpha=1.0),
    r"L-DA, $\beta = 100$": mf.Langevin(beta=100.0),
    "WFR-DA": mf.WassersteinFisherRao(gamma=1.0, alpha=1.0),
}


def reached(flow, dim, seed):
    """The error at the end of a run, of averaged weights where there are weights."""
    game = mf.games.polynomial("b", dim=dim, seed=seed)
    run = mf.simulate(game, flow, mf.Start(), time=3.0, step=2e-3, particles=50, seed=seed)
    pair = run.average("weights") if flow.reacts else run[-1]
    return mf.nikaido_isoda(game, *pair).value


fig, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
for name, flow in flows.items():
    errors = np.array([[reached(flow, dim, seed) for seed in seeds] for dim in dims])
    ax.loglog(dims, np.exp(np.log(errors).mean(axis=1)), "o-", label=name)
    ax.fill_between(dims, errors.min(axis=1), errors.max(axis=1), alpha=0.15, lw=0)
ax.set(xlabel="dimension $d$", ylabel="NI error at $t = 3$", xticks=dims, xticklabels=dims)
ax.minorticks_off()
ax.legend(frameon=False)
