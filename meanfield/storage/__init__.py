"""Results in one HDF5 file each: saved whole, loaded without running anything, resumed to the same
bits.
"""

from meanfield.storage.files import Header, load, load_plain, read_header, save
from meanfield.storage.keeper import Keeper, Part

__all__ = ["Header", "Keeper", "Part", "load", "load_plain", "read_header", "save"]
