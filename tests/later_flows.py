"""What the tests of later flows share: a game, a start, flows and short runs."""

import numpy as np

import meanfield as mf
from meanfield.flows import Flow

GAME = mf.games.oscillator()
START = mf.Start(x=mf.concentrated(1.1, std=0.3**0.5), y=mf.concentrated(0.0, std=0.3**0.5))
BETA = 5.0
LOG, POLY = mf.Schedule("log"), mf.Schedule("poly", scale=1.0, power=0.5)
# Flows whose linearisation at a Gibbs point is refused, and why.
WITHOUT_SPECTRUM = [
    (mf.AveragedLangevin(1.0), "weights of the past change with time"),
    (mf.Annealed(mf.Langevin(1.0), speed=mf.Schedule("exp")), "schedules change with time"),
    (Flow(1.0, 0.0, (1.0, 0.0)), "a temperature for both players"),
]
MEAN_FIELD = {
    "best response": mf.EntropicBestResponse(BETA, 2.0),
    "discounted": mf.DiscountedLangevin(BETA, 3.0),
    "averaged, r = 0": mf.AveragedLangevin(BETA, 0.0),
    "averaged, r = 2": mf.AveragedLangevin(BETA, 2.0),
    "entropic WFR": mf.EntropicWassersteinFisherRao(BETA, (1.0, 0.5), 2.0),
    "quasistatic": mf.Quasistatic(BETA, 0.5),
    "annealed": mf.Annealed(mf.Langevin(BETA), LOG, POLY),
    "all at once": Flow(
        1.0, 1.0, 0.2, response=1.0, memory=mf.Memory(rate=1.0), cooling=LOG, speed=POLY
    ),
}


def masses(run):
    return np.concatenate([m.masses for m in run[-1]])


def sines(run):
    """E e^{ix} and E e^{iy} at the saved times."""
    return np.array([[m.integrate(np.exp(1j * m.points[:, 0])) for m in pair] for pair in run])


def solved(flow, time=1.0, game=GAME, start=START, cells=64, **options):
    return mf.solve(
        game, flow, start, time, cells=cells, save_every=options.pop("save_every", time), **options
    )
