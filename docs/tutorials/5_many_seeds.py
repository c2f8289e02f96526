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
# More particles gain little here: what is left at a fixed time is mostly the transient that
# averages remember, and that falls with time rather than with n.
#
# Replica r is the same run wherever it is computed. A study can therefore be shared out by replica
# numbers, over machines too, and put together afterwards.

alone = mf.simulate(game, flow, mf.Start(), particles=30, replica=5, **how)
assert last_error(alone) == errors[30][5]

# %%
# Many games
# ----------
#
# ``sweep`` runs one call over a grid of parameters: here random games, numbers of particles and
# replicas. With ``folder=`` every finished task is kept; called again, in this process or another,
# it computes only what is missing.

with tempfile.TemporaryDirectory() as folder:
    grid = {"game.seed": range(4), "particles": [10, 30, 100], "replica": [0, 1]}
    call = {"kind": "b", "dim": 4}
    games = lambda seed: mf.games.polynomial(seed=seed, **call)  # noqa: E731
    swept = mf.sweep(
        mf.simulate, games, flow, mf.Start(), over=grid, folder=Path(folder) / "study",
        record=["ni"], **how,
    )  # fmt: skip
    print(swept)

fig, ax = plt.subplots(figsize=(5.4, 3.4), layout="constrained")
errors = swept.numbers["ni"]
for seed in grid["game.seed"]:
    mine = np.array(swept.labels["game.seed"]) == seed
    n = np.array(swept.labels["particles"])
    means = [np.exp(np.log(errors[mine & (n == m)]).mean()) for m in grid["particles"]]
    ax.loglog(grid["particles"], means, "o-", label=f"game {seed}")
ax.set(xlabel="particles $n$", ylabel="NI error at $t = 4$, last iterate")
ax.legend(frameon=False)

# %%
# On a cluster
# ------------
#
# The same study from a file, in parts: each job of an array computes one part in one shared folder,
# and tasks that failed or are missing are listed and can be computed later.
#
# .. code-block:: sh
#
#     meanfield examples sweep.toml
#     meanfield sweep sweep.toml --dry-run        # tasks, time, memory, disk
#     meanfield sweep sweep.toml --part 3/8       # one job of eight
#     meanfield sweep sweep.toml --status
#     meanfield sweep sweep.toml --only-failed
#
# From Python, ``executor=`` takes any ``concurrent.futures.Executor``: processes, Dask's, MPI's.
# The bits do not depend on who computes, on processors of one kind.

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
