"""Mixtures of GANs: Algorithm 2 with networks as particles, p generators against q critics.

The loss of a generator x and a critic y is l(x, y) = E f_y(a) - E f_y(g_x(eps)), a from the data
and eps noise; x minimises, y maximises. Mixtures of generators sum_i w_i delta(x_i) and of critics
sum_j v_j delta(y_j) follow the flows of `meanfield.flows`. Needs PyTorch (`pip install '.[gan]'`)
to train and to sample; finished runs load and are drawn without.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "GanGame": "recipes", "Network": "recipes", "Ring": "recipes", "Images": "recipes",
    "mlp": "recipes", "dcgan": "recipes", "resnet": "recipes",
    "idx": "images", "mnist": "images", "cifar10": "images",
    "train": "running", "GanRun": "run", "Mixture": "mixture",
    "nikaido_isoda": "certificate", "Certificate": "certificate",
    "scores": "scores", "features": "features",
}  # fmt: skip
_MODULES = ("scores", "features")

__all__ = list(_HOMES)

if TYPE_CHECKING:  # the same names again, for type checkers and editors
    # isort: off
    from meanfield.gan import features as features, scores as scores
    from meanfield.gan.certificate import (
        Certificate as Certificate,
        nikaido_isoda as nikaido_isoda,
    )
    from meanfield.gan.images import cifar10 as cifar10, idx as idx, mnist as mnist
    from meanfield.gan.mixture import Mixture as Mixture
    from meanfield.gan.recipes import (
        GanGame as GanGame,
        Images as Images,
        Network as Network,
        Ring as Ring,
        dcgan as dcgan,
        mlp as mlp,
        resnet as resnet,
    )
    from meanfield.gan.run import GanRun as GanRun
    from meanfield.gan.running import train as train
    # isort: on


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'meanfield.gan' has no attribute {name!r}")
        module = import_module(f"meanfield.gan.{_HOMES[name]}")
        return module if name in _MODULES else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
