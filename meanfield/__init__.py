"""Mean-field two-player zero-sum games: particles, their PDEs, equilibria and distances.

Implements *A mean-field analysis of two-player zero-sum games* (Domingo-Enrich, Jelassi, Mensch,
Rotskoff, Bruna, NeurIPS 2020). Names load on first use, so that importing compiles nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Torus": "manifolds", "Sphere": "manifolds",
    "mesh": "meshes", "Mesh": "meshes",
    "Measure": "measures", "Density": "measures", "uniform": "measures", "mixture": "measures",
    "total_variation": "measures",
    "Start": "start", "concentrated": "start",
    "Flow": "flows", "Wasserstein": "flows", "Langevin": "flows", "WassersteinFisherRao": "flows",
    "MirrorDescent": "flows",
    "BestResponse": "flows", "EntropicBestResponse": "flows", "TwoTimeScale": "flows",
    "Quasistatic": "flows", "AveragedLangevin": "flows",
    "DiscountedLangevin": "flows", "EntropicWassersteinFisherRao": "flows", "Annealed": "flows",
    "Memory": "flows", "Schedule": "flows",
    "Trajectory": "trajectory",
    "w2": "metrics", "nikaido_isoda": "metrics", "NikaidoIsoda": "metrics",
    "simulate": "particles.simulate", "copies": "particles.copies", "Drive": "particles.copies",
    "solve": "density.solve",
    "gibbs": "equilibria", "gibbs_path": "equilibria", "nash": "equilibria", "polish": "equilibria",
    "stability": "equilibria", "orbit": "equilibria", "branch": "equilibria",
    "compare": "studies", "merge": "studies.merge", "w2_curve": "studies.w2_curve",
    "W2Curve": "studies.w2_curve",
    "resume": "studies.resume", "sweep": "studies.sweep",
    "check": "studies.check",
    "load": "storage", "save": "storage", "cite": "citations",
    "UnderResolved": "checks", "NotConverged": "checks",
}  # fmt: skip

# Rooms that are there without an import of their own.
_ROOMS = ("gan", "games", "metrics", "plotting")

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    # isort: off
    from meanfield import gan as gan, games as games, metrics as metrics, plotting as plotting
    from meanfield.checks import NotConverged as NotConverged, UnderResolved as UnderResolved
    from meanfield.citations import cite as cite
    from meanfield.density.solve import solve as solve
    from meanfield.equilibria import gibbs_path as gibbs_path
    from meanfield.equilibria.branch import branch as branch
    from meanfield.equilibria.gibbs import gibbs as gibbs
    from meanfield.equilibria.nash import nash as nash
    from meanfield.equilibria.orbit import orbit as orbit
    from meanfield.equilibria.polish import polish as polish
    from meanfield.equilibria.stability import stability as stability
    from meanfield.flows import (
        Annealed as Annealed,
        AveragedLangevin as AveragedLangevin,
        BestResponse as BestResponse,
        DiscountedLangevin as DiscountedLangevin,
        EntropicBestResponse as EntropicBestResponse,
        EntropicWassersteinFisherRao as EntropicWassersteinFisherRao,
        Flow as Flow,
        Langevin as Langevin,
        Memory as Memory,
        MirrorDescent as MirrorDescent,
        Schedule as Schedule,
        Quasistatic as Quasistatic,
        TwoTimeScale as TwoTimeScale,
        Wasserstein as Wasserstein,
        WassersteinFisherRao as WassersteinFisherRao,
    )
    from meanfield.manifolds import Sphere as Sphere, Torus as Torus
    from meanfield.measures import (
        Density as Density,
        Measure as Measure,
        mixture as mixture,
        total_variation as total_variation,
        uniform as uniform,
    )
    from meanfield.meshes import Mesh as Mesh, mesh as mesh
    from meanfield.metrics import NikaidoIsoda as NikaidoIsoda, nikaido_isoda as nikaido_isoda
    from meanfield.metrics.w2.distance import w2 as w2
    from meanfield.particles.copies import Drive as Drive, copies as copies
    from meanfield.particles.simulate import simulate as simulate
    from meanfield.start import Start as Start, concentrated as concentrated
    from meanfield.storage import load as load, save as save
    from meanfield.studies.check import check as check
    from meanfield.studies.compare import compare as compare
    from meanfield.studies.merge import merge as merge
    from meanfield.studies.resume import resume as resume
    from meanfield.studies.sweep.study import sweep as sweep
    from meanfield.studies.w2_curve import W2Curve as W2Curve, w2_curve as w2_curve
    from meanfield.trajectory import Trajectory as Trajectory
    # isort: on

__all__ = [*_HOMES, *_ROOMS]


if not TYPE_CHECKING:  # which would let every name pass

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            value = getattr(import_module(f"meanfield.{_HOMES[name]}"), name)
            globals()[name] = value
            return value
        if name in _ROOMS:
            return import_module(f"meanfield.{name}")
        hint = ""
        if not name.startswith("__"):
            near = import_module("meanfield.checks").nearest(name, __all__)
            hint = f"; did you mean {near!r}?" if near else "; dir(meanfield) lists what there is"
        raise AttributeError(f"module 'meanfield' has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
