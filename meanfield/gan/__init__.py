"""Mixtures of GANs: Algorithm 2 with networks as particles, p generators against q critics.

The loss of a generator x and a critic y is l(x, y) = E f_y(a) - E f_y(g_x(eps)), a from the data
and eps noise; x minimises, y maximises. Mixtures of generators sum_i w_i delta(x_i) and of critics
sum_j v_j delta(y_j) follow the flows of `meanfield.flows`. Needs PyTorch (`pip install '.[gan]'`)
to train and to sample; finished runs load and are drawn without.
"""

from meanfield.gan import features, scores
from meanfield.gan.certificate import Certificate, nikaido_isoda
from meanfield.gan.images import cifar10, idx, mnist
from meanfield.gan.mixture import Mixture
from meanfield.gan.recipes import GanGame, Images, Network, Ring, dcgan, mlp, resnet
from meanfield.gan.run import GanRun
from meanfield.gan.running import train

__all__ = [
    "Certificate", "GanGame", "GanRun", "Images", "Mixture", "Network", "Ring",
    "cifar10", "dcgan", "features", "idx", "mlp", "mnist", "nikaido_isoda", "resnet", "scores",
    "train",
]  # fmt: skip
