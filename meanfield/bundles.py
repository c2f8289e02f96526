"""Named tuples that kernels hand to one another whole.

When a kernel calls another one, numba takes tuples among the arguments apart, down to the address,
sizes and strides of every array, and puts them together again inside. For the two players of a run
these are five hundred numbers a call, most of what is compiled.
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
