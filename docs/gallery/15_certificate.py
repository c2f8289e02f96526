r"""
What a certificate looks like
=============================

At a mixed equilibrium each player's potential is extreme at every atom that carries weight:
:math:`V_x` touches its minimum at the atoms of :math:`\mu_x`, :math:`V_y` its maximum at those of
:math:`\mu_y`, and both extremes are the value of the game. Nothing else needs to be believed.
"""

import matplotlib.pyplot as plt
import numpy as np

import meanfield as mf

game = mf.games.expression("cos(x - y) + 0.6*cos(2*x + y) + 0.4*sin(2*x) - 0.5*cos(3*y)")
found = mf.nash(game)
print(found)

angle = np.linspace(0, 2 * np.pi, 721)[:, None]
fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharey=True)
sides = (
    ("x", game.potential_x, found.x, found.y),
    ("y", game.potential_y, found.y, found.x),
)
for ax, (name, potential, own, other) in zip(axes, sides, strict=True):
    ax.plot(angle, potential(angle, other), label=f"$V_{name}$")
    ax.scatter(own.points, potential(own.points, other), s=200 * own.masses, color="C1", zorder=3)
    ax.axhline(found.value, color="black", lw=0.8, ls="--", label="value")
    ax.set(xlabel=f"${name}$", title=f"{len(own)} atoms of player {name}")
    ax.legend(frameon=False)
