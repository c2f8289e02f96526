r"""
A mean field that does not converge
===================================

The oscillator at :math:`\beta = 25`: the density of equation (7) never settles. The expectations
:math:`(\mathbb{E}\sin x, \mathbb{E}\sin y)` turn on a limit cycle with a period of about 4.034,
around a Gibbs point (9) that is itself stable.
"""

import matplotlib.pyplot as plt
import numpy as np

import meanfield as mf

game = mf.games.oscillator(coupling=3.0)
flow = mf.Langevin(beta=25.0)
start = mf.Start(x=mf.concentrated(1.1, std=0.2), y=mf.concentrated(0.0, std=0.2))
field = mf.solve(game, flow, start, time=20.0, cells=256, save_every=0.05)
figure = field.plot()

# %%
# The orbit of the two expectations, and the fixed point that it goes around.


def sine(measure):
    return measure.integrate(lambda z: np.sin(z[:, 0]))


orbit = np.array([[sine(x), sine(y)] for x, y in field])
gibbs = mf.gibbs(game, beta=25.0)

fig, ax = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
ax.plot(*orbit.T, lw=1.2, label="mean field (7)")
ax.plot(*orbit[0], "o", color="C0", ms=5)
ax.plot(sine(gibbs.x), sine(gibbs.y), "k*", ms=10, label="Gibbs point (9)")
ax.set(xlabel=r"$\mathbb{E}\,\sin x$", ylabel=r"$\mathbb{E}\,\sin y$", aspect="equal")
ax.legend(loc="center", bbox_to_anchor=(0.5, 0.35), frameon=False)
