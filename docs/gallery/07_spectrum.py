r"""
A stable point beside a cycle
=============================

The leading eigenvalues of (7) linearised at the oscillator's Gibbs point. All lie left of zero:
small perturbations decay, slowly and turning, although the flow started elsewhere ends on a cycle.
"""

import matplotlib.pyplot as plt
import numpy as np

import meanfield as mf

game = mf.games.oscillator()
spectrum = mf.stability(game, beta=25.0, count=8, cells=384)
print(spectrum)
figure = spectrum.plot()

# %%
# A start that is near the Gibbs point: the flow returns to it at the rate of the leading
# eigenvalue. The distance is the total variation of both players.

x, y = spectrum.perturbed(0.2)
run = mf.solve(
    game, mf.Langevin(25.0), mf.Start(x=x, y=y), time=600.0, save_every=4.0,
    engine="finite-volume", cells=x.mesh,
)  # fmt: skip
point = spectrum.point
away = [mf.total_variation(a, point.x) + mf.total_variation(b, point.y) for a, b in run]
fig, ax = plt.subplots(figsize=(5.4, 3.4), layout="constrained")
ax.semilogy(run.times, away, label="distance from the Gibbs point")
ax.semilogy(run.times, 1.2 * away[0] * np.exp(-spectrum.rate * run.times), "k--", lw=0.9,
            label=r"$e^{-\mathrm{rate}\; t}$")  # fmt: skip
ax.set(xlabel="time $t$", ylabel="total variation")
ax.legend(frameon=False)
