"""PyTorch, if it is installed; else what says how to install it, when something asks for it."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

MESSAGE = (
    "mixtures of GANs need PyTorch, which is not installed: pip install "
    "'meanfield-zerosum[gan]', or in a checkout pip install '.[gan]'"
)


class Missing:
    """In the place of PyTorch: everything that is asked of it raises ImportError."""

    Module = object  # what networks are made from, so that files that define some can be read

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ImportError(MESSAGE)


there = find_spec("torch") is not None
torch: Any = import_module("torch") if there else Missing()
nn: Any = import_module("torch.nn") if there else Missing()
functional: Any = import_module("torch.nn.functional") if there else Missing()
