r"""
Best responses: :math:`e^{-t}`, and what is left
================================================

Along the best-response flow the Nikaido-Isoda error of a game that is linear in each measure falls
as :math:`e^{-t}`, until its time step and its mesh stop it. With entropy, the players move towards
Gibbs measures instead and reach the fixed point (9), whose error at this temperature is the dashed
line.
"""

import matplotlib.pyplot as plt
import numpy as np

import meanfield as mf

game = mf.games.expression("cos(x - y) + 0.8*sin(2*x - y) + 0.5*cos(x)")
start = mf.Start(x=mf.concentrated(0.0, std=0.7), y=mf.concentrated(1.0, std=0.7))
ni = {"ni": lambda x, y: mf.nikaido_isoda(game, x, y).value}
how = {"time": 8.0, "cells": 256, "save_every": 0.1, "diagnostics": ni}
plain = mf.solve(game, mf.BestResponse(rate=1.0), start, **how)
entropic = mf.solve(game, mf.EntropicBestResponse(beta=20.0, rate=1.0), start, **how)
fixed = mf.gibbs(game, beta=20.0)

fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
ax.semilogy(plain.times, plain.diagnostics["ni"], label="best response")
ax.semilogy(entropic.times, entropic.diagnostics["ni"], label=r"entropic, $\beta = 20$")
ax.semilogy(plain.times, plain.diagnostics["ni"][0] * np.exp(-plain.times), "k:", label="$e^{-t}$")
ax.axhline(mf.nikaido_isoda(game, fixed.x, fixed.y).value, color="C1", lw=0.8, ls="--")
ax.set(xlabel="time $t$", ylabel="NI error")
ax.legend(frameon=False)
