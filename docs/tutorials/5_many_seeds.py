r"""
5. A study on many seeds
========================

A question that one run does not answer: how does the error that Wasserstein-Fisher-Rao
descent-ascent reaches depend on the number of particles, over random games? This lesson runs
replicas on all cores, keeps what was done, and draws means with intervals.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import meanfield as mf
from meanfield.particles.ensemble import ensemble

flow = mf.WassersteinFisherRao(gamma=1.0, alpha=1.0)

# %%
# Replicas of one game
# --------------------
#
# A run's noise and starting points are named by ``seed`` and ``replica``. ``ensemble`` yields
# replicas 0, 1, ... in order, computed in threads; the results do not depend on how many threads
# there are. ``reduce`` keeps of each run only what is needed.

game = mf.games.polynomial("a", dim=3, seed=0)


def last_error(run):
    return mf.nikaido_isoda(run.game, *run.average("weights")).value


how = {"time": 4.0, "step": 1e-2, "seed": 0}
errors = {
    n: list(ensemble(game, flow, mf.Start(), particles=n, replicas=8, reduce=last_error, **how))
    for n in (10, 30, 100)
}

fig, ax = plt.subplots(figsize=(5.4, 3.4), layout="constrained")
for n, values in errors.items():
    ax.plot([n] * len(values), values, ".", color="C0", alpha=0.6)
ax.plot(list(errors), [np.exp(np.mean(np.log(v))) for v in errors.values()], "o-", color="C1")
ax.set(xscale="log", yscale="log", xlabel="particles $n$", ylabel="NI error at $t = 4$")

# %%
# Replica r is the same run wherever it is computed. A study can therefore be shared out by replica
# numbers, over machines too, and put together afterwards.

alone = mf.simulate(game, flow, mf.Start(), particles=30, replica=5, **how)
assert last_error(alone) == errors[30][5]

# %%
# Many games
# ----------
#
# Random games are named by their own seed. A plain loop with one file a task is enough to stop and
# go on: what is there is not computed again.


def study(folder, games, n):
    """The errors of one replica a game, each kept in a file of its own."""
    found = []
    for number in games:
        path = Path(folder) / f"game-{number}-n-{n}.h5"
        if not path.exists():
            task = mf.games.polynomial("b", dim=4, seed=number)
            mf.simulate(task, flow, mf.Start(), particles=n, **how).save(path)
        found.append(last_error(mf.load(path)))
    return np.array(found)


with tempfile.TemporaryDirectory() as folder:
    values = {n: study(folder, range(6), n) for n in (10, 100)}
    assert np.array_equal(study(folder, range(6), 10), values[10])  # nothing is computed twice

fig, ax = plt.subplots(figsize=(4.2, 3.4), layout="constrained")
ax.loglog(values[10], values[100], "o")
low, high = min(map(min, values.values())), max(map(max, values.values()))
ax.plot([low, high], [low, high], "k--", lw=0.8)
ax.set(xlabel="NI error, $n = 10$", ylabel="NI error, $n = 100$", title="six games, paired")

# %%
# Long runs
# ---------
#
# ``checkpoint=`` keeps a file up to date while a run or a comparison is under way. Killed or
# interrupted, the same call goes on from it, and so does ``meanfield resume FILE.h5``, to the bits
# of an uninterrupted run.

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "comparison.h5"
    comparison = mf.compare(
        mf.games.benchmark("circle"), mf.Langevin(10.0), time=0.5, particles=(50, 100),
        replicas=8, seed=0, checkpoint=path,
    )  # fmt: skip
    print(mf.load(path))
