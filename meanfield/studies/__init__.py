"""Studies: many runs that together answer a question."""

from meanfield.studies.compare import compare
from meanfield.studies.comparison import Comparison

__all__ = ["Comparison", "compare"]
