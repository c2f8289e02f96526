r"""
3. W2 curves
============

Theorem 3 says that n particles follow the mean field, uniformly on bounded times. How far apart
they are is a curve in time for each n; this lesson draws it, with error bars and the exponent in n.
"""

import matplotlib.pyplot as plt
import numpy as np

import meanfield as mf

game = mf.games.benchmark("circle")
flow = mf.Langevin(beta=10.0)
start = game.answers["start"]

# %%
# One run, by hand
# ----------------
#
# Both levels save at the times that ``save_every`` asks for. Give both the same, so that state k of
# one stands beside state k of the other.

field = mf.solve(game, flow, start, time=1.0, save_every=0.1)
swarm = mf.simulate(
    game, flow, start, time=1.0, step=0.01, scheme="strang", particles=1000, seed=0, save_every=0.1
)
assert np.allclose(field.times, swarm.times)
distances = [mf.w2(a, b) for a, b in zip(swarm.x, field.x, strict=True)]

fig, ax = plt.subplots(figsize=(5.4, 3.2), layout="constrained")
ax.plot(field.times, distances, "o-")
ax.set(xlabel="time $t$", ylabel=r"$W_2(\mu^n_x, \mu_x)$", ylim=(0, None))

# %%
# ``w2_details`` says how a distance was found and between which bounds it lies.

print(mf.metrics.w2_details(swarm.x[-1], field.x[-1]))

# %%
# Many runs, with error bars
# --------------------------
#
# One run is one sample. ``compare`` takes replicas at each n, on all cores, and reports means with
# confidence bands. Where it can, it drives copies of the particles with the same noise by the mean
# field itself and uses them as control variates, which narrows the bands.

comparison = mf.compare(
    game, flow, start, time=1.0, particles=(100, 300, 1000), replicas=(24, 16, 12),
    save_every=0.1, seed=0,
)  # fmt: skip
print(comparison)
figure = comparison.plot()

# %%
# On the circle the exponent tends to -1. Two things can spoil it, and both are measured: at small n
# the fluctuations are not small yet, and the time step moves the particles' law by itself. That
# *step bias* is estimated by halving the step on the same noise.

print("exponent:", comparison.exponent)
print("step bias over E W2^2 at the largest n:", round(comparison.relative_bias, 4))

# %%
# Weights as well as positions
# ----------------------------
#
# The same for Wasserstein-Fisher-Rao flows, whose mean field (8) is carried along characteristics.
# Here the error of the time averages is recorded too, of which part (ii) of the theorem speaks.

weighted = mf.compare(
    game, mf.WassersteinFisherRao(gamma=1.0, alpha=1.0), start, time=0.5,
    particles=(100, 300), replicas=(16, 8), save_every=0.1, seed=0,
)  # fmt: skip
picture = weighted.plot()
