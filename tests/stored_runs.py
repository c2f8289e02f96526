"""Small runs of every kind, and the comparison of their results bit by bit."""

from __future__ import annotations

from contextlib import contextmanager

import h5py
import pytest

import meanfield as mf
from meanfield.describe import same_result
from meanfield.storage import keeper
from meanfield.storage.seal import seal

CIRCLE = mf.games.oscillator()
BUMPS = CIRCLE.answers["start"]
LANGEVIN, WFR = mf.Langevin(25.0), mf.WassersteinFisherRao(1.0, 1.0)


def swarm(start=BUMPS, time=0.5, **more):
    return mf.simulate(
        CIRCLE, WFR, start, time=time, step=1e-2, particles=(40, 30), save_every=0.1, **more
    )


def field(start=BUMPS, time=0.5, **more):
    return mf.solve(CIRCLE, LANGEVIN, start, time=time, save_every=0.1, **more)


def finite_volumes(**more):
    return field(engine="finite-volume", cells=64, **more)


def carried(start=BUMPS, time=0.5, **more):
    return mf.solve(CIRCLE, WFR, start, time=time, save_every=0.1, cells=64, **more)


def study(**more):
    return mf.compare(
        CIRCLE, LANGEVIN, BUMPS, time=0.2, particles=(10, 40), replicas=3, cells=128, **more
    )


def controlled(**more):
    return mf.compare(
        CIRCLE, LANGEVIN, BUMPS, time=0.1, particles=10, replicas=8, cells=128, control=True, **more
    )


MAKERS = [swarm, field, finite_volumes, carried, study, controlled]


def equal(a, b):
    return same_result(a, b)


class Killed(BaseException):
    """Nothing catches it: the run ends where it is."""


@contextmanager
def killed(monkeypatch, when):
    """What runs within is killed by the first write of a result of which `when` is true."""
    write = keeper.Keeper._write

    def breaking(self, result, finished):
        write(self, result, finished)
        if when(result):
            raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(keeper.Keeper, "_write", breaking)
        yield


@contextmanager
def edited(path):
    """A saved file open for changes by one who then writes a fitting digest: what a hostile file
    can hold.
    """
    with h5py.File(path, "a") as file:
        yield file
    with path.open("r+b") as file:
        # HDF5 takes the old digests for its own bytes, which does no harm.
        seal(file)


def saved(tmp_path):
    """The file of a run of particles."""
    path = tmp_path / "run.h5"
    swarm().save(path)
    return path
