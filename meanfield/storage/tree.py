"""Trees of plain data as HDF5 groups and back.

A dictionary is a group; its numbers and short text are attributes, its arrays datasets. Every group
says in the attribute "@kind" what it is, so that nothing has to be guessed or evaluated, and a
dictionary's in "@order" how its keys, which HDF5 sorts, followed each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.describe import Described

LONG = 16_000  # characters of text that still go in an attribute: HDF5 allows 64 kB


def write(group: Any, plain: Any, kind: str | None = None) -> None:
    """The content of a dictionary, list, tuple or Described node into an HDF5 group."""
    if isinstance(plain, Described):
        return write(group, plain.content, plain.kind)
    if isinstance(plain, dict):
        items, kind = list(plain.items()), kind or "dict"
    else:
        items, kind = _items(plain)
    group.attrs["@kind"] = kind
    order = "\n".join(_escaped(key) for key, _ in items)
    if kind == "dict" and len(order) <= LONG:
        group.attrs["@order"] = order
    for key, value in items:
        _write_item(group, _escaped(key), value)


def _items(sequence: Any) -> tuple[list[tuple[str, Any]], str]:
    """A list or tuple as named items: stacked where it holds equal arrays or numbers of one
    type.
    """
    kind = type(sequence).__name__
    first = sequence[0] if sequence else None
    if (
        isinstance(first, np.ndarray)
        and first.ndim
        and all(_alike(first, item) for item in sequence)
    ):
        return [("stack", np.stack(sequence))], f"{kind} of arrays"
    if (
        type(first) in (int, float)
        and len(sequence) > 3
        and all(type(v) is type(first) for v in sequence)
    ):
        numbers = np.array(sequence)
        if numbers.dtype.kind in ("f" if type(first) is float else "iu"):
            return [("numbers", numbers)], f"{kind} of {type(first).__name__}"
    if (
        isinstance(first, tuple)
        and first
        and len(sequence) > 1
        and all(_matches(first, t) for t in sequence)
    ):
        columns = list(zip(*sequence, strict=True))
        if all(
            isinstance(c[0], np.ndarray) and c[0].ndim and all(_alike(c[0], v) for v in c)
            for c in columns
        ):
            return [(str(k), np.stack(c)) for k, c in enumerate(columns)], f"{kind} of tuples"
    return [(str(k), item) for k, item in enumerate(sequence)], kind


def _matches(first: tuple[Any, ...], other: Any) -> bool:
    return type(other) is tuple and len(other) == len(first)


def _alike(a: np.ndarray, b: Any) -> bool:
    return isinstance(b, np.ndarray) and a.shape == b.shape and a.dtype == b.dtype


def _write_item(group: Any, key: str, value: Any) -> None:
    if isinstance(value, np.ndarray):
        group.create_dataset(key, data=value)
    elif value is None:
        group.attrs[key] = _empty()
    elif isinstance(value, str):
        _write_text(group, key, value)
    elif isinstance(value, int) and not isinstance(value, bool):
        if not -(1 << 63) <= value < 1 << 64:
            raise ValueError(f"{key} is {value}, too large a whole number to be stored")
        group.attrs[key] = np.uint64(value) if value >= 1 << 63 else np.int64(value)
    elif isinstance(value, (bool, float, complex)):
        group.attrs[key] = value
    else:
        write(group.create_group(key), value)


def _write_text(group: Any, key: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{key} holds half a character, which cannot be stored: {value[:40]!r}"
        ) from None
    if "\0" in value:
        raise ValueError(f"{key} holds a NUL character, which cannot be stored: {value[:40]!r}")
    if len(value) > LONG:
        group.create_dataset(key, data=value)
    else:
        group.attrs[key] = value


def _empty() -> Any:
    import h5py

    return h5py.Empty("f8")


def _escaped(key: str) -> str:
    """A key as HDF5 can hold it, apart from our own names that begin with @."""
    if "\0" in key:
        raise ValueError(f"a key holds a NUL character, which cannot be stored: {key[:40]!r}")
    safe = key.replace("%", "%25").replace("/", "%2F")
    if safe in ("", ".", "..") or safe.startswith("@"):
        return "%" + safe
    return safe


def _unescaped(key: str) -> str:
    if key.startswith("%") and not key.startswith(("%25", "%2F")):
        key = key[1:]
    return key.replace("%2F", "/").replace("%25", "%")


def read(group: Any, seen: set[int] | None = None) -> Any:
    """What `write` put into the group; seen: addresses of what has been read, each of which has one
    place.
    """
    seen = set() if seen is None else seen
    kind = attribute(group, "@kind", "")
    if kind == "":
        raise ValueError(
            f"the group {group.name} does not say what it is; this part was not written by "
            "meanfield"
        )
    items = {
        _unescaped(key): attribute(group, key) for key in group.attrs if not key.startswith("@")
    }
    for key in group:
        member = _member(group, key, seen)
        items[_unescaped(key)] = read(member, seen) if hasattr(member, "keys") else _dataset(member)
    order = [_unescaped(key) for key in str(attribute(group, "@order", "")).split("\n")]
    return _gathered(kind, {key: items[key] for key in (*order, *items) if key in items})


def _gathered(kind: str, items: dict[str, Any]) -> Any:
    """The dictionary, record, list or tuple of these items."""
    outer = kind.split(" ")[0]
    if outer not in ("list", "tuple"):
        return items if kind == "dict" else Described(kind, items)
    made = tuple if outer == "tuple" else list
    if kind.endswith("of arrays"):
        return made(items["stack"])
    if kind.endswith(("of int", "of float")):
        return made(items["numbers"].tolist())
    columns = [items[str(k)] for k in range(len(items))]
    return made(zip(*columns, strict=True)) if kind.endswith("of tuples") else made(columns)


def _member(group: Any, key: str, seen: set[int]) -> Any:
    """What stands in the group itself; ValueError for what would be read from elsewhere or twice.

    A result holds all that belongs to it. A link or a dataset kept in another file would let a file
    from a stranger read any file that its reader can; groups that share members, doubled forty
    times over, would take for ever.
    """
    import h5py

    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        raise ValueError(
            f"{group.name}/{key} is a link to another place; meanfield writes none and follows none"
        )
    member = group[key]
    address = h5py.h5o.get_info(member.id).addr
    if address in seen:
        raise ValueError(
            f"{group.name}/{key} stands in two places; meanfield writes everything once"
        )
    seen.add(address)
    if isinstance(member, h5py.Dataset) and (member.is_virtual or member.external):
        raise ValueError(
            f"{member.name} keeps its numbers in another file; meanfield reads none but the one "
            "named"
        )
    if isinstance(member, h5py.Dataset):
        _check_numbers(member)
    return member


def _check_numbers(member: Any) -> None:
    """ValueError unless an array is plain numbers, or one text, that all stand in the file.

    What is packed, shared or never written can claim any size.
    """
    kind, begin = member.id.get_type(), member.id.get_offset()
    size = member.size * kind.get_size()
    one = member.ndim == 0 or kind.get_class() != _types().STRING
    end = 0 if begin is None else begin + size
    stands = member.id.get_storage_size() == size and end <= member.file.id.get_filesize()
    if not (_plain(kind) and one and stands and member.chunks is None):
        raise ValueError(f"{member.name} does not hold numbers as meanfield writes them")


def _types() -> Any:
    from h5py import h5t

    return h5t


def _plain(kind: Any) -> bool:
    """Whether a type is one of numbers, truth values, text or complex numbers: HDF5 may crash on
    others.
    """
    t = _types()
    if kind.get_class() == t.COMPOUND:
        return all(kind.get_member_class(k) == t.FLOAT for k in range(kind.get_nmembers()))
    return kind.get_class() in (t.INTEGER, t.FLOAT, t.ENUM, t.STRING)


def _dataset(member: Any) -> Any:
    value = member[()]
    return _text(value) if isinstance(value, (str, bytes)) else np.asarray(value)


def attribute(group: Any, key: str, usual: Any = None) -> Any:
    """One number, text or nothing; `usual` where there is no such attribute."""
    if key not in group.attrs:
        return usual
    held = group.attrs.get_id(key)
    if held.shape or not _plain(held.get_type()):
        raise ValueError(f"{group.name} has {key!r}, which is not as meanfield writes it")
    value = group.attrs[key]
    if type(value).__name__ == "Empty":
        return None
    if isinstance(value, (str, bytes)):
        return _text(value)
    return value.item() if isinstance(value, np.generic) else value


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
