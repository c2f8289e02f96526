"""Sweeps: one computation over lists of its parameters, by any executor, never twice."""

from meanfield.studies.sweep.study import sweep
from meanfield.studies.sweep.table import Sweep

__all__ = ["Sweep", "sweep"]
