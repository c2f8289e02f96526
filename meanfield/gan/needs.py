"""PyTorch, imported when something is first asked of it; without it, what to install."""

from __future__ import annotations

from importlib import import_module
from typing import Any

MESSAGE = (
    "mixtures of GANs need PyTorch, which is not installed: pip install "
    "'meanfield-zerosum[gan]', or in a checkout pip install '.[gan]'"
)


class Later:
    """A module of PyTorch that is imported on first use; ImportError where there is none."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked by tools that look at every name
            raise AttributeError(name)
        try:
            value = getattr(import_module(self._name), name)
        except ModuleNotFoundError as error:
            raise ImportError(MESSAGE) if error.name == "torch" else error from None
        setattr(self, name, value)
        return value


torch: Any = Later("torch")
nn: Any = Later("torch.nn")
functional: Any = Later("torch.nn.functional")
