r"""
Particles over the density they follow
======================================

1000 particles of Algorithm 1 (histograms) and the mean field (7) (curves) on one axis, at four
times. Both start from the same law and are solved by code that shares nothing but the game.
"""

import matplotlib.pyplot as plt

import meanfield as mf
from meanfield.plotting import plot_measure

game = mf.games.benchmark("circle")
flow = mf.Langevin(beta=10.0)
start = game.answers["start"]
field = mf.solve(game, flow, start, time=3.0, save_every=1.0)
swarm = mf.simulate(
    game, flow, start, time=3.0, step=0.01, scheme="strang", particles=1000, save_every=1.0, seed=1
)

fig, axes = plt.subplots(2, 4, figsize=(10, 4.4), layout="constrained", sharex=True)
for k, (above, below) in enumerate(axes.T):
    for ax, name, color in ((above, "x", "#0072B2"), (below, "y", "#D55E00")):
        particles, density = getattr(swarm, name)[k], getattr(field, name)[k]
        top = 1.5 * density.values.max()
        plot_measure(particles, ax, color=color, bins=48, top=top)
        plot_measure(density, ax, color="black", top=top)
        ax.set_title(rf"$\mu_{name}$, $t = {field.times[k]:g}$")
