"""Named tuples that kernels hand to one another whole.

numba takes the tuples that a kernel is called with apart, down to every array's address, sizes and
strides, and puts them together again inside: for two players who move, five hundred numbers a call.
"""

from __future__ import annotations

from typing import Any, TypeVar

from numba import types
from numba.extending import models, register_model, typeof_impl

Tuple = TypeVar("Tuple", bound=type)


class Bundle(types.NamedTuple):  # type: ignore[misc]
    """numba's type of a named tuple that is handed on whole."""


@register_model(Bundle)
class BundleModel(models.TupleModel):  # type: ignore[misc]
    """As an argument it is the structure that it is elsewhere."""

    def get_argument_type(self) -> Any:
        return self.get_value_type()

    def as_argument(self, builder: Any, value: Any) -> Any:
        return value

    def from_argument(self, builder: Any, value: Any) -> Any:
        return value


def bundle(kind: Tuple) -> Tuple:
    """A class of named tuples, whose values kernels take as a `Bundle`."""

    def typed(value: Any, context: Any) -> Bundle | None:
        parts = [typeof_impl(v, context) for v in value]
        return None if None in parts else Bundle(parts, kind)

    typeof_impl.register(kind)(typed)
    return kind
