"""The digests that end a result file: what tells a reader that the bytes are those written.

Behind HDF5's last byte, where HDF5 does not look, stand the SHA-256 digests of the file's blocks of
16 KiB, a mark, the number of bytes they cover, and the digest of the digests. A reader compares
them before HDF5 sees the file, so that a changed byte is told and never becomes another number, and
knows which blocks are whole (`meanfield show --damaged`).
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

SIGNATURE = b"\x89HDF\r\n\x1a\n"  # the first bytes of every HDF5 file
MARK = b"meanfield sha256"
DIGEST = hashlib.sha256().digest_size
END = len(MARK) + 8 + DIGEST  # bytes after the digests of the blocks
BLOCK = 1 << 14


class Written:
    """The file that HDF5 writes to, through Python: it never fails, and keeps the first error.

    HDF5 does not always tell that a write has failed, and may crash when it closes a file after
    one.
    """

    def __init__(self, file: Any) -> None:
        self.error: BaseException | None = None
        self._file = file

    def write(self, data: Any) -> int:
        return self._try(self._file.write, data, done=len(data))

    def readinto(self, buffer: Any) -> int:
        return self._try(self._file.readinto, buffer, done=len(buffer))

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._try(self._file.seek, offset, whence, done=offset)

    def tell(self) -> int:
        return self._try(self._file.tell, done=0)

    def truncate(self, size: int) -> int:
        return self._try(self._file.truncate, size, done=size)

    def flush(self) -> None:
        """What is in Python's buffer is written at the end, once."""

    def _try(self, call: Callable[..., Any], *arguments: Any, done: int) -> int:
        """What the call returns, or `done` after an error: Ctrl-C, too, must not reach HDF5."""
        if self.error is None:
            try:
                return int(call(*arguments))
            except BaseException as error:
                self.error = error
        return done


def seal(file: Any) -> None:
    """Write the digests behind the last byte of a file open for reading and writing."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    digests = _digests(file, length)
    file.seek(length)
    file.write(b"".join(digests) + _end(digests, length))


@dataclass(frozen=True)
class Seal:
    """What the end of a file says of it: bytes covered, and the numbers of changed blocks."""

    length: int
    damaged: tuple[int, ...]

    def intact(self, begin: int, size: int) -> bool:
        """Whether the bytes begin, ..., begin + size - 1 are those that were written."""
        return not any(begin // BLOCK <= k <= (begin + size - 1) // BLOCK for k in self.damaged)


def read_seal(path: Path) -> Seal:
    """Compare a file with its digests.

    Raises ValueError where it is no file of ours, was cut short, or its digests themselves are
    damaged.
    """
    try:
        with path.open("rb") as file:
            return _compared(file, path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def check_seal(path: Path) -> None:
    """ValueError unless every byte of a file is the one that was written."""
    if damaged := read_seal(path).damaged:
        first, last = damaged[0] * BLOCK, (damaged[-1] + 1) * BLOCK - 1
        raise ValueError(
            f"{path} is damaged: its bytes are not those that were written (between {first:,} and "
            f"{last:,}); `meanfield show --damaged` lists what still reads"
        )


NAMES, TEXTS = b"HEAP\0\0\0\0", b"GCOL\1\0\0\0"  # the first bytes of HDF5's heaps
STEP = 16  # bytes that a place in a heap takes at least


def check_heaps(path: Path) -> None:
    """ValueError for a heap in which HDF5 would go round for ever, and take memory at each step.

    No program writes one: free places that follow each other in a circle, or texts of no size.
    """
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as held:
        for mark, goes_on in ((NAMES, _goes_round), (TEXTS, _stands_still)):
            at = held.find(mark)
            while at >= 0:
                if goes_on(held, at):
                    raise ValueError(f"{path} is damaged: one of its heaps has no end")
                at = held.find(mark, at + 1)


def _goes_round(held: Any, at: int) -> bool:
    """Whether the free places of a heap of names form a circle."""
    size, free, begin = struct.unpack("<QQQ", _bytes(held, at + 8, 24))
    left = size // STEP + 1
    while free != 1 and left and begin + free + STEP <= len(held):
        free, left = int.from_bytes(_bytes(held, begin + free, 8), "little"), left - 1
    return left == 0


def _stands_still(held: Any, at: int) -> bool:
    """Whether a place in a heap of texts is said to be shorter than its own heading."""
    end = min(at + int.from_bytes(_bytes(held, at + 8, 8), "little"), len(held))
    at += STEP
    while at + STEP <= end:
        number, size = struct.unpack("<H6xQ", _bytes(held, at, STEP))
        step = size if number == 0 else (STEP + (size + 7 & ~7)) % 2**64  # as HDF5 counts
        if step < STEP:
            return True
        at += step
    return False


def _bytes(held: Any, at: int, size: int) -> bytes:
    """Bytes of the file; zeros after its end."""
    return bytes(held[at : at + size]).ljust(size, b"\0")


def _compared(file: Any, path: Path) -> Seal:
    if file.read(len(SIGNATURE)) != SIGNATURE:
        raise ValueError(
            f"{path} cannot be read as HDF5: it is a file of another kind, or its beginning is "
            "damaged"
        )
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - END, 0))
    end = file.read()
    length = struct.unpack_from("<Q", end, len(MARK))[0] if len(end) == END else 0
    blocks = -(-length // BLOCK)
    if not end.startswith(MARK) or size != length + blocks * DIGEST + END:
        raise ValueError(
            f"{path} does not end with the digests that meanfield writes: it was cut short, "
            "changed by another program, or is not one of meanfield's"
        )
    file.seek(length)
    table = file.read(blocks * DIGEST)
    written = [table[k : k + DIGEST] for k in range(0, len(table), DIGEST)]
    if end != _end(written, length):
        raise ValueError(f"{path} is damaged: the digests at its end are not those written")
    file.seek(0)
    now = _digests(file, length)
    return Seal(length, tuple(k for k in range(blocks) if now[k] != written[k]))


def _digests(file: Any, length: int) -> list[bytes]:
    """SHA-256 of each block of the first `length` bytes."""
    sizes = [min(BLOCK, length - begin) for begin in range(0, length, BLOCK)]
    return [hashlib.sha256(file.read(size)).digest() for size in sizes]


def _end(digests: list[bytes], length: int) -> bytes:
    covered = struct.pack("<Q", length)
    return MARK + covered + hashlib.sha256(b"".join(digests) + covered).digest()
