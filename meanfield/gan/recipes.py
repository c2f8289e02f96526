"""What is played: where data come from, what networks are made of, the loss. No PyTorch here."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from meanfield.checks import Array, real, whole

LARGEST = float(np.finfo(np.float32).max)  # networks count in single precision


def positive(name: str, value: Any) -> float:
    """`value` as a number above 0 of single precision; TypeError or ValueError for others."""
    number = real(name, value, 0.0, strict=True)
    if number > LARGEST:
        raise ValueError(f"{name} must be at most {LARGEST:.2g}, got {number:g}")
    return number


@dataclass(frozen=True)
class Network:
    """A network of the catalogue (`meanfield.gan.networks`) by its name and options.

    Calling it makes the module, with parameters drawn from PyTorch's global generator.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        given = {k: v for k, v in sorted(self.options.items()) if v not in (None, False)}
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in given.items())})"

    def __call__(self) -> Any:
        from meanfield.gan.networks import CATALOGUE

        if self.name not in CATALOGUE:
            raise ValueError(f"there is no network {self.name!r}; there are {', '.join(CATALOGUE)}")
        return CATALOGUE[self.name](**self.options)


def mlp(
    inputs: int,
    outputs: int,
    width: int = 64,
    depth: int = 1,
    norm: bool = False,
    bound: float | None = None,
) -> Network:
    """A network of `depth` hidden layers with ReLU, after BatchNorm where `norm`; 0 is linear.

    bound: outputs are bound * tanh(...), so that an infimum over generators is finite.
    """
    sizes = {"inputs": inputs, "outputs": outputs, "width": width}
    given = {name: whole(name, value) for name, value in sizes.items()}
    bound = None if bound is None else positive("bound", bound)
    more = {"depth": whole("depth", depth, 0), "norm": bool(norm), "bound": bound}
    return Network("mlp", {**given, **more})


def dcgan(noise: int = 32, width: int = 16, channels: int = 1) -> tuple[Network, Network]:
    """Convolutional generator (with BatchNorm) and critic (without) for images of 28 x 28."""
    return _both("dcgan", noise, width, channels)


def resnet(noise: int = 128, width: int = 128, channels: int = 3) -> tuple[Network, Network]:
    """Residual generator and critic for images of 32 x 32 (Gulrajani et al. 2017, CIFAR-10)."""
    return _both("resnet", noise, width, channels)


def _both(kind: str, noise: int, width: int, channels: int) -> tuple[Network, Network]:
    sizes = {"width": whole("width", width), "channels": whole("channels", channels)}
    generator = Network(f"{kind} generator", {"noise": whole("noise", noise), **sizes})
    return generator, Network(f"{kind} critic", sizes)


@dataclass(frozen=True)
class Ring:
    """Gaussians of deviation `std` in the plane, their means spread evenly on a circle.

    Samples are drawn afresh at every step; the law is known, so that scores are exact.
    """

    modes: int = 8
    std: float = 0.1
    radius: float = 1.0

    def __post_init__(self) -> None:
        whole("modes", self.modes)
        positive("std", self.std)
        positive("radius", self.radius)

    @property
    def centers(self) -> Array:
        """The means, (modes, 2)."""
        angles = 2 * np.pi * np.arange(self.modes) / self.modes
        return self.radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Independent points, (count, 2)."""
        at = self.centers[rng.integers(self.modes, size=count)]
        return at + self.std * rng.standard_normal((count, 2))

    def log_density(self, points: Array) -> Array:
        """Natural logarithm of the density at points (n, 2)."""
        square = ((points[:, None] - self.centers) ** 2).sum(axis=2) / self.std**2
        least = square.min(axis=1)
        total = np.exp(-0.5 * (square - least[:, None])).sum(axis=1)
        norm = math.log(self.modes * 2 * np.pi * self.std**2)
        return np.log(total) - 0.5 * least - norm  # type: ignore[no-any-return]

    def nearest(self, points: Array) -> tuple[Array, Array]:
        """The number of the nearest mean and the distance to it, for points (n, 2)."""
        apart = np.linalg.norm(points[:, None] - self.centers, axis=2)
        return apart.argmin(axis=1), apart.min(axis=1)


@dataclass(frozen=True)
class Images:
    """Labelled images, of which a file of results holds the name, the shape and a digest only.

    pixels: (n, channels, height, width) bytes; networks see them scaled to [-1, 1]. labels: (n,).
    Made by `Images.of`.
    """

    name: str
    shape: tuple[int, ...]
    digest: str

    @staticmethod
    def of(name: str, pixels: Any, labels: Any) -> Images:
        """Images with these pixels and labels; TypeError or ValueError where they are none."""
        pixels, labels = np.ascontiguousarray(pixels), np.asarray(labels)
        if pixels.dtype != np.uint8 or pixels.ndim != 4:
            raise TypeError(
                "pixels must be bytes (n, channels, height, width), got "
                f"{pixels.dtype} {pixels.shape}"
            )
        fit = labels.shape == pixels.shape[:1] and labels.dtype.kind in "iu" and len(labels)
        if not fit or labels.min() < 0:
            raise ValueError(
                f"labels must be {len(pixels)} whole numbers from 0 on, got {labels.dtype} "
                f"{labels.shape}"
            )
        digest = hashlib.sha256(pixels.tobytes() + labels.astype("<i8").tobytes()).hexdigest()
        made = Images(name, tuple(pixels.shape), digest)
        object.__setattr__(made, "_held", (pixels, labels))
        return made

    @property
    def pixels(self) -> Any:
        """The images, bytes."""
        return self._arrays[0]

    @property
    def labels(self) -> Any:
        """The class of each."""
        return self._arrays[1]

    @property
    def _arrays(self) -> tuple[Any, Any]:
        held: tuple[Any, Any] | None = getattr(self, "_held", None)
        if held is None:
            raise ValueError(
                f"the images {self.name!r} are not in the file of the run; read them again, for "
                "example by meanfield.gan.mnist(folder)"
            )
        return held


Maker = Network | Callable[[], Any]


@dataclass(frozen=True)
class GanGame:
    """The game l(x, y) = E f_y(a) - E f_y(g_x(eps)) of a generator g_x and a critic f_y.

    Parameters
    ----------
    data : Ring or Images
        Where a comes from.
    generator, critic : Network or function
        What makes a new module: a recipe, or a function without arguments that returns any
        `torch.nn.Module`. Generators take noise (n, noise), critics give (n,) or (n, 1) numbers.
    noise : int
        eps is standard normal of this dimension.
    clip : float, optional
        Parameters of critics are kept in [-clip, clip] (Arjovsky et al. 2017).
    penalty : float, optional
        lambda of the gradient penalty lambda E (|grad f_y(z)| - 1)^2 that critics pay, z uniform on
        the segment between a datum and a fake of the mixture (Gulrajani et al. 2017).

    Raises
    ------
    ValueError
        Where a number is out of its range, and when clip and penalty are both given.
    """

    data: Ring | Images
    generator: Maker
    critic: Maker
    noise: int
    clip: float | None = None
    penalty: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.data, (Ring, Images)):
            raise TypeError(f"data must be a meanfield.gan Ring or Images, got {self.data!r}")
        for name in ("generator", "critic"):
            make = getattr(self, name)
            # A module is callable too, and is known by its parameters; its class makes new ones.
            module = hasattr(make, "parameters") and not isinstance(make, type)
            if module or not callable(make):
                raise TypeError(
                    f"{name} must be a Network or a function that returns a new torch.nn.Module, "
                    f"got {make!r}; write lambda: ... around a module"
                )
        whole("noise", self.noise)
        if self.clip is not None and self.penalty is not None:
            raise ValueError("critics are held by clip or by penalty, not by both; give one")
        for name in ("clip", "penalty"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))

    @property
    def point(self) -> tuple[int, ...]:
        """The shape of a datum."""
        return (2,) if isinstance(self.data, Ring) else self.data.shape[1:]
