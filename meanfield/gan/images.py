"""Readers of the standard binary files of MNIST, Fashion-MNIST and CIFAR-10; nothing is fetched."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meanfield.checks import known_name
from meanfield.gan.recipes import Images

PARTS = {"train": "train", "test": "t10k"}
CIFAR = {"train": [f"data_batch_{k}.bin" for k in range(1, 6)], "test": ["test_batch.bin"]}
RECORD = 1 + 3 * 32 * 32  # bytes of an image of CIFAR-10, its label first


def idx(path: str | os.PathLike[str]) -> Any:
    """The bytes of an IDX file, plain or .gz, in the shape that its header gives.

    Raises
    ------
    FileNotFoundError, ValueError
        Where there is no such file, and where it is no IDX file of bytes or has another length than
        its header says.
    """
    file = Path(path)
    data = _read(file)
    if data[:3] != b"\x00\x00\x08" or len(data) < 4 or len(data) < 4 + 4 * data[3]:
        raise ValueError(
            f"{file} is no IDX file of bytes: it should begin with 00 00 08, the number of sizes "
            "and the sizes"
        )
    shape = struct.unpack_from(f">{data[3]}I", data, 4)
    body = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
    wanted = math.prod(shape)  # Python's numbers, which do not overflow
    if len(body) != wanted:
        raise ValueError(f"{file} should hold {wanted:,} bytes of shape {shape}, not {len(body):,}")
    return body.reshape(shape)


def _read(file: Path) -> bytes:
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}")
    try:
        return gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{file} cannot be unpacked: {error}") from None


def mnist(folder: str | os.PathLike[str], part: str = "train", name: str = "MNIST") -> Images:
    """MNIST or Fashion-MNIST, whose files have the same names, from a folder; plain or .gz.

    part: "train" or "test". Raises FileNotFoundError, with the names looked for, and ValueError.
    """
    stem = PARTS[_part(part)]
    pixels, labels = (
        idx(_found(Path(folder), [f"{stem}-{what}-ubyte", f"{stem}-{what}-ubyte.gz"]))
        for what in ("images-idx3", "labels-idx1")
    )
    if pixels.ndim != 3 or labels.ndim != 1:
        raise ValueError(f"{folder} holds images {pixels.shape} and labels {labels.shape}")
    return Images.of(f"{name} {part}", pixels[:, None], labels)


def cifar10(folder: str | os.PathLike[str], part: str = "train") -> Images:
    """CIFAR-10 in its binary version (data_batch_1.bin, ...), from a folder.

    part: "train" or "test". Raises FileNotFoundError, with the names looked for, and ValueError.
    """
    rows = []
    for name in CIFAR[_part(part)]:
        data = np.frombuffer(_read(_found(Path(folder), [name])), np.uint8)
        if len(data) == 0 or len(data) % RECORD:
            raise ValueError(
                f"{name} has {len(data):,} bytes, which are no records of {RECORD}; use the binary "
                "version of CIFAR-10, not the Python one"
            )
        rows.append(data.reshape(-1, RECORD))
    records = np.concatenate(rows)
    return Images.of(f"CIFAR-10 {part}", records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0])


def _part(part: str) -> str:
    return known_name("part", part, PARTS)


def _found(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"{folder} has no {' or '.join(names)}; docs/how-to/gans.md says where to get the files"
    )
