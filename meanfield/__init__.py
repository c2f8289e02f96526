"""Mean-field two-player zero-sum games: particles, their PDEs, equilibria and distances.

Implements *A mean-field analysis of two-player zero-sum games* (Domingo-Enrich, Jelassi, Mensch,
Rotskoff, Bruna, NeurIPS 2020). Names load on first use, so that importing compiles nothing.
"""

from importlib import import_module
from typing import Any

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
    "AveragedLangevin": "flows",
    "DiscountedLangevin": "flows", "EntropicWassersteinFisherRao": "flows", "Annealed": "flows",
    "Memory": "flows", "Schedule": "flows",
    "Trajectory": "trajectory",
    "w2": "metrics", "nikaido_isoda": "metrics", "NikaidoIsoda": "metrics",
    "simulate": "particles.simulate", "copies": "particles.copies", "Drive": "particles.copies",
    "solve": "density.solve",
    "gibbs": "equilibria", "gibbs_path": "equilibria", "nash": "equilibria", "polish": "equilibria",
    "stability": "equilibria",
    "compare": "studies", "resume": "studies.resume", "sweep": "studies.sweep",
    "load": "storage", "save": "storage", "cite": "citations",
    "UnderResolved": "checks", "NotConverged": "checks",
}  # fmt: skip

__all__ = [*_HOMES, "games"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"meanfield.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    if name == "games":
        return import_module("meanfield.games")
    raise AttributeError(f"module 'meanfield' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
