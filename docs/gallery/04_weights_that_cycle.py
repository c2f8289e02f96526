r"""
Weights that cycle, averages that converge
==========================================

Wang and Chizat's example 4.1: the equilibrium has two atoms a player, and from other weights the
Wasserstein-Fisher-Rao flow (8) turns around it for ever. The Nikaido-Isoda error of the last
iterate does not fall; that of the time averages falls like 1/t, which is what Theorem 2 speaks of.
"""

import matplotlib.pyplot as plt
import numpy as np

import meanfield as mf
from meanfield.metrics import NikaidoIsoda

game = mf.games.wang_chizat()
x, y = game.answers["measures"](0.3, 0.0)
flow = mf.WassersteinFisherRao(gamma=1.0, alpha=1.0)
run = mf.simulate(
    game, flow, mf.Start(x=x, y=y), time=20.0, step=1e-3, particles=2, placement="atoms",
    save_every=0.05,
)  # fmt: skip
error = NikaidoIsoda(game)
last = [error(*pair).value for pair in run]
averages = [error(*run.average(last=k)).value for k in range(len(run))]

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.plot([m.masses[0] - 0.5 for m in run.x], [m.masses[0] - 0.5 for m in run.y], lw=1)
left.plot(0, 0, "k*", ms=9)
left.set(xlabel="weight of $x$'s first atom $-$ 1/2", ylabel="weight of $y$'s first atom $-$ 1/2")
left.set(title="the weights", aspect="equal")
right.semilogy(run.times, last, label="last iterate")
right.semilogy(run.times, averages, label="time averages")
later = run.times > 1
right.semilogy(run.times[later], np.max(averages) / run.times[later], "k--", lw=0.8, label="1/t")
right.set(xlabel="time $t$", ylabel="NI error", title="distance from equilibrium")
right.legend(frameon=False)
