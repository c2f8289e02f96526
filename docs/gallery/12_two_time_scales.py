r"""
A slow player cures the cycle
=============================

The oscillator of the first picture does not converge when both players move equally fast. With the
maximiser ten times as fast as the minimiser it does: the distance from the Gibbs point (9) falls.
"""

import matplotlib.pyplot as plt

import meanfield as mf

game = mf.games.oscillator()
start = game.answers["start"]
point = mf.gibbs(game, beta=25.0, cells=256)
flows = {
    "equal speeds": mf.Langevin(beta=25.0),
    "y ten times as fast": mf.TwoTimeScale(beta=25.0, ratio=10.0),
}

fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for name, flow in flows.items():
    run = mf.solve(game, flow, start, time=100.0, save_every=0.5, cells=point.x.mesh)
    away = [mf.total_variation(x, point.x) + mf.total_variation(y, point.y) for x, y in run]
    ax.semilogy(run.times, away, label=name)
ax.set(xlabel="time $t$", ylabel="total variation from (9), both players")
ax.legend(frameon=False)
