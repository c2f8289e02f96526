"""The catalogue of networks: plain PyTorch modules, for points and for images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meanfield.gan.needs import functional, nn


class Bounded(nn.Module):  # type: ignore[misc]
    """bound tanh(z)."""

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.bound = bound

    def forward(self, z: Any) -> Any:
        return self.bound * z.tanh()


def perceptron(
    inputs: int, outputs: int, width: int, depth: int, norm: bool, bound: float | None
) -> Any:
    """See `recipes.mlp`."""
    layers, at = [], inputs
    for _ in range(depth):
        layers += [nn.Linear(at, width), *([nn.BatchNorm1d(width)] if norm else []), nn.ReLU()]
        at = width
    layers.append(nn.Linear(at, outputs))
    return nn.Sequential(*layers, *([] if bound is None else [Bounded(bound)]))


def dcgan_generator(noise: int, width: int, channels: int) -> Any:
    """Noise to 28 x 28, by transposed convolutions from 7 x 7, in [-1, 1]."""
    return nn.Sequential(
        nn.Linear(noise, 2 * width * 49), nn.Unflatten(1, (2 * width, 7, 7)),
        nn.BatchNorm2d(2 * width), nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1), nn.BatchNorm2d(width), nn.ReLU(),
        nn.ConvTranspose2d(width, channels, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip


def dcgan_critic(width: int, channels: int) -> Any:
    """28 x 28 to a number, without normalisation, which a gradient penalty forbids."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 5, 2, 2), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 5, 2, 2), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(2 * width * 49, 1),
    )  # fmt: skip


class Residual(nn.Module):  # type: ignore[misc]
    """Two convolutions beside the identity, before which (up) or after which (down) sizes change.

    first: the critic's first block, which has no activation at its entrance.
    """

    def __init__(self, inputs: int, outputs: int, change: str = "", norm: bool = False,
                 first: bool = False) -> None:  # fmt: skip
        super().__init__()
        self.change, self.first = change, first
        self.norms = nn.ModuleList(
            [nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)] if norm else []
        )
        self.one = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.two = nn.Conv2d(outputs, outputs, 3, padding=1)
        keeps = inputs == outputs and not change
        self.beside = nn.Identity() if keeps else nn.Conv2d(inputs, outputs, 1)

    def forward(self, z: Any) -> Any:
        inside = z if self.first else functional.relu(self.norms[0](z) if self.norms else z)
        if self.change == "up":
            inside, z = (functional.interpolate(t, scale_factor=2) for t in (inside, z))
        inside = self.one(inside)
        inside = self.two(functional.relu(self.norms[1](inside) if self.norms else inside))
        total = inside + self.beside(z)
        return functional.avg_pool2d(total, 2) if self.change == "down" else total


def resnet_generator(noise: int, width: int, channels: int) -> Any:
    """Noise to 32 x 32, by three residual blocks from 4 x 4, in [-1, 1]."""
    return nn.Sequential(
        nn.Linear(noise, width * 16), nn.Unflatten(1, (width, 4, 4)),
        *(Residual(width, width, "up", norm=True) for _ in range(3)),
        nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, channels, 3, padding=1), nn.Tanh(),
    )  # fmt: skip


def resnet_critic(width: int, channels: int) -> Any:
    """32 x 32 to a number, by four residual blocks without normalisation."""
    return nn.Sequential(
        Residual(channels, width, "down", first=True), Residual(width, width, "down"),
        Residual(width, width), Residual(width, width), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1),
    )  # fmt: skip


CATALOGUE: dict[str, Callable[..., Any]] = {
    "mlp": perceptron,
    "dcgan generator": dcgan_generator,
    "dcgan critic": dcgan_critic,
    "resnet generator": resnet_generator,
    "resnet critic": resnet_critic,
}
