r"""
Explicit steps spiral out, mirror-prox spirals in
=================================================

The weights of Wang and Chizat's example under mirror descent, with a step large enough to see.
The flow itself keeps :math:`(1/4 - a^2)(1/4 - b^2)`; Euler's steps lose it in one direction, the
extragradient steps of mirror-prox in the other, and those converge.
"""

import matplotlib.pyplot as plt

import meanfield as mf

game = mf.games.wang_chizat()
x, y = game.answers["measures"](0.2, 0.0)
fig, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained", sharex=True, sharey=True)
for ax, scheme in zip(axes, ("euler", "mirror-prox"), strict=True):
    run = mf.simulate(
        game, mf.MirrorDescent(alpha=1.0), mf.Start(x=x, y=y), time=40.0, step=0.04,
        particles=2, placement="atoms", scheme=scheme, save_every=0.04,
    )  # fmt: skip
    a, b = ([m.masses[0] - 0.5 for m in side] for side in (run.x, run.y))
    ax.plot(a, b, lw=0.7)
    ax.plot(a[0], b[0], "o", color="C0", ms=5)
    ax.plot(0, 0, "k*", ms=9)
    ax.set(title=scheme, xlabel="$a$", aspect="equal")
axes[0].set_ylabel("$b$")
