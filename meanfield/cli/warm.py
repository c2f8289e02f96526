"""`meanfield warm`: compile beforehand what most runs need, for containers and lessons."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any


def calls() -> dict[str, Callable[[], Any]]:
    """Short computations by name: what they compile is kept on disk, and serves games alike."""
    import meanfield as mf

    circle, sphere = mf.games.oscillator(), mf.games.polynomial("a", 3)
    noise, weights = mf.Langevin(10.0), mf.WassersteinFisherRao()
    few: Any = {"time": 0.02, "step": 0.01, "particles": 20, "progress": False}
    found: dict[str, Callable[[], Any]] = {}
    for name, game in (("circles", circle), ("spheres", sphere)):
        for scheme in ("euler", "strang"):
            run = partial(mf.simulate, game, noise, scheme=scheme, **few)
            found[f"particles on {name}, {scheme}"] = run
    found["particles with weights"] = partial(mf.simulate, sphere, weights, **few)
    field = partial(mf.solve, circle, noise, time=0.1, progress=False)
    found["the mean field on circles"] = field
    found["distances on circles"] = lambda: mf.w2(found["particles on circles, euler"]().x[-1],
                                                  field().x[-1])  # fmt: skip
    return found


def warm(options: Any) -> int:
    """Run them all, and say what each took."""
    for name, call in calls().items():
        begun = perf_counter()
        call()
        print(f"{name}: {perf_counter() - begun:.1f} s", flush=True)
    return 0
