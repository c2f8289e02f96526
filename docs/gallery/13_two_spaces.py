r"""
Players on different spaces
===========================

A loss of one's own, read as a formula: the minimiser moves on a circle, the maximiser on a sphere.
Gradients are derived from the formula and compiled.
"""

import meanfield as mf

game = mf.games.expression(
    "a*cos(x)*y1 + 0.5*sin(2*x)*y2 + exp(0.3*cos(x))*y3", X=mf.Torus(1), Y=mf.Sphere(2), a=1.5
)
start = mf.Start(x=mf.games.density("exp(cos(x))"))
run = mf.simulate(
    game, mf.Langevin(beta=(10.0, 20.0)), start, time=2.0, step=0.01, particles=1000, seed=0
)
figure = run.plot(snapshots=3)

# %%
# The fixed point (9) of the same game, on a mesh for each player.

fixed = mf.gibbs(game, beta=(10.0, 20.0), cells=(128, 2592))
both = fixed.plot()
