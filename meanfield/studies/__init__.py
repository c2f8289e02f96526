"""Studies: many runs that together answer a question."""

from meanfield.studies.compare import Comparison, compare

__all__ = ["Comparison", "compare"]
