r"""
1. A first picture
==================

In a few minutes: a game, its mean field, particles beside it, and a picture of each.

In a checkout, install the package in an environment of your own:

.. code-block:: sh

    python3 -m venv .venv && source .venv/bin/activate
    pip install .

The first use of a kind of run compiles it, which takes some seconds; from then on it is kept on
disk.
"""

import tempfile
from pathlib import Path

import meanfield as mf

# %%
# Two players choose probability measures :math:`\mu_x` and :math:`\mu_y`. Player x wants
# :math:`\mathcal{L}(\mu_x, \mu_y) = \int\!\int \ell(x, y)\, d\mu_x\, d\mu_y` small, player y wants
# it large. The package knows games with exact answers; this one is known for never settling.

game = mf.games.oscillator(coupling=3.0)
print(game)
print(game.statement)

# %%
# A *flow* says how the measures move. Langevin descent-ascent moves every point down its player's
# cost and adds noise of temperature :math:`1/\beta`. A *start* says where: here two narrow bumps.

flow = mf.Langevin(beta=25.0)
start = mf.Start(x=mf.concentrated(1.1, std=0.2), y=mf.concentrated(0.0, std=0.2))

# %%
# ``solve`` follows the flow at the level of densities: it solves the partial differential equation
# (7). ``cells`` is the number of nodes; the time step is controlled by itself.

field = mf.solve(game, flow, start, time=10.0, cells=256)
print(field)

# %%
# Every result draws itself. For players on a circle the picture shows position against time; below
# is the value :math:`\mathcal{L}`.

figure = field.plot()

# %%
# ``simulate`` follows the same flow with particles (Algorithm 1). A seed makes it repeat bit for
# bit, on any number of threads.

swarm = mf.simulate(game, flow, start, time=10.0, step=5e-3, particles=1000, seed=0)
particles = swarm.plot()

# %%
# The distance between the two at the end is one number: the 2-Wasserstein distance, exact on the
# circle.

print("W2 at the end:", mf.w2(swarm.x[-1], field.x[-1]))

# %%
# Results are saved in one file each and read back equal.

with tempfile.TemporaryDirectory() as folder:
    path = swarm.save(Path(folder) / "run.h5")
    again = mf.load(path)
print(again.times[-1], len(again.x[-1]))

# %%
# The same from a terminal, where a file says what to do:
#
# .. code-block:: sh
#
#     meanfield examples oscillator.toml    # copies a ready file here
#     meanfield run oscillator.toml         # writes oscillator.h5
#     meanfield show oscillator.h5          # a summary, and oscillator.png
#
# In a script, ``figure.savefig("picture.pdf")`` keeps a picture: every ``plot`` returns a
# matplotlib figure.
#
# Next: the same with a game of your own.
