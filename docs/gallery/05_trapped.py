r"""
The plain flow in the wrong well
================================

Without noise and without weights, gradient descent-ascent (6) stays in the well it starts in. In
this double-well game both players end in the higher one, and the Nikaido-Isoda error stays at
exactly four times the tilt. Particles with weights (Wasserstein-Fisher-Rao, from a start that
covers the circle) find the deeper well: those that stand there gain weight.
"""

import matplotlib.pyplot as plt
import numpy as np

import meanfield as mf

game = mf.games.double_well(tilt=0.3)
bump = mf.concentrated(np.pi / 2, std=0.22)
start = mf.Start(x=bump, y=bump)
wide = mf.Start(x=lambda z: 1 + 0.9 * np.sin(z[:, 0]), y=lambda z: 1 + 0.9 * np.sin(z[:, 0]))
ni = {"ni": lambda x, y: mf.nikaido_isoda(game, x, y).value}
how = {"time": 20.0, "save_every": 0.25, "diagnostics": ni}
runs = {
    "plain (6)": mf.solve(game, mf.Wasserstein(), start, **how),
    "Wasserstein-Fisher-Rao (5)": mf.simulate(
        game, mf.WassersteinFisherRao(), wide, step=0.01, particles=400, seed=0, **how
    ),
}

fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for name, run in runs.items():
    ax.semilogy(run.times, np.maximum(run.diagnostics["ni"], 1e-6), label=name)
ax.axhline(game.answers["trapped_ni"], color="black", lw=0.8, ls="--")
ax.set(xlabel="time $t$", ylabel="NI error")
ax.legend(frameon=False)
