"""What every result can do: be saved, exported and cited."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from meanfield import citations
from meanfield.storage import export, files


class Result:
    """Mixed into trajectories, comparisons, Gibbs points and equilibria."""

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write everything to one HDF5 file, whole or not at all; `meanfield.load` reads it back
        equal.

        Raises ValueError when the file exists already, unless `overwrite`.
        """
        return files.save(self, path, overwrite)

    def to_npz(self, path: str | os.PathLike[str]) -> Path:
        """Write every array to one .npz file under names like "x/points"; numpy.load reads it
        without pickle.

        A file of that name is replaced.
        """
        return export.to_npz(self, path)

    def to_csv(self, path: str | os.PathLike[str], what: str = "curves") -> Path:
        """Write a table: "curves", a row a saved time, or "measures", a row an atom or a cell.

        "curves" of a Gibbs path are a row a beta, of a branch a row a value of its parameter, of a
        stability analysis a row an eigenvalue; none has "measures", and a result without times has
        these alone. A file of that name is replaced.
        """
        return export.to_csv(self, path, what)

    def to_xarray(self) -> Any:
        """The arrays with their coordinates as an xarray.Dataset.

        Raises ImportError without xarray.
        """
        return export.to_xarray(self)

    def cite(self) -> str:
        """The paper and the sources of the methods behind this result, a line each."""
        return citations.cite(self)
