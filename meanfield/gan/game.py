"""The loss of every generator against every critic on one batch, and what critics pay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from meanfield.checks import Array
from meanfield.gan.mixture import resting
from meanfield.gan.needs import nn, torch
from meanfield.gan.recipes import GanGame, Images, Maker


def batch_of(game: GanGame, count: int, rng: np.random.Generator, device: str) -> Any:
    """`count` data, as critics see them."""
    if isinstance(game.data, Images):
        pixels = game.data.pixels
        return scaled(pixels[rng.integers(len(pixels), size=count)]).to(device)
    return torch.from_numpy(game.data.sample(count, rng).astype(np.float32)).to(device)


def scaled(pixels: Any) -> Any:
    """Bytes as numbers in [-1, 1], single precision."""
    return torch.from_numpy(pixels.astype(np.float32) / np.float32(127.5) - np.float32(1))


def noise_of(game: GanGame, shape: tuple[int, ...], rng: np.random.Generator, device: str) -> Any:
    """Noise (*shape, game.noise) for generators."""
    drawn = rng.standard_normal((*shape, game.noise), dtype=np.float32)
    return torch.from_numpy(drawn).to(device)


def payoffs(generators: Sequence[Any], critics: Sequence[Any], data: Any, noise: Any) -> Any:
    """l(x_i, y_j) = E f_j(a) - E f_j(g_i(eps)), shape (p, q), and the fakes (p, n, ...).

    data: (m, ...); noise: (p, n, k). Fakes of all generators are put together behind the data, so
    that every critic runs once.
    """
    fakes = torch.stack([g(e) for g, e in zip(generators, noise, strict=True)])
    together = torch.cat([data, fakes.flatten(0, 1)])
    m, p = len(data), len(fakes)
    columns = []
    for f in critics:
        values = f(together).reshape(-1)
        columns.append(values[:m].mean() - values[m:].view(p, -1).mean(dim=1))
    return torch.stack(columns, dim=1), fakes


def between(data: Any, fakes: Any, weights: Array, rng: np.random.Generator) -> Any:
    """Points e a + (1 - e) b between data a and fakes b of the mixture, e uniform on [0, 1].

    data (m, ...), fakes (p, n, ...), weights (p,).
    """
    m, (p, n) = len(data), fakes.shape[:2]
    which = rng.choice(p, size=m, p=weights / weights.sum())
    b = fakes.detach()[torch.from_numpy(which), torch.from_numpy(rng.integers(n, size=m))]
    e = torch.from_numpy(rng.random((m, *[1] * (data.dim() - 1)), dtype=np.float32))
    e = e.to(data.device)
    return e * data + (1 - e) * b


def penalties(critics: Sequence[Any], at: Any) -> Any:
    """E (|grad f_j| - 1)^2 over the points `at`, (q,)."""
    at = at.requires_grad_()
    found = []
    for f in critics:
        (slope,) = torch.autograd.grad(f(at).sum(), at, create_graph=True)
        found.append((slope.flatten(1).norm(dim=1) - 1).square().mean())
    return torch.stack(found)


def check_fit(game: GanGame, generator: Any, critic: Any, fakes: int, device: str) -> None:
    """ValueError where networks do not fit the noise, the data or each other; on three points."""
    noise = torch.linspace(-1, 1, 3 * game.noise, device=device).view(3, game.noise)
    made = _output_of("generator", generator, noise)
    if tuple(made.shape) != (3, *game.point):
        raise ValueError(
            f"from noise of shape (3, {game.noise}) the generator makes outputs of shape "
            f"{tuple(made.shape)}; data ask for {(3, *game.point)}"
        )
    values = _output_of("critic", critic, made)
    if tuple(values.shape) not in ((3,), (3, 1)):
        raise ValueError(
            f"the critic gives values of shape {tuple(values.shape)} for 3 points; it must give "
            "one number for each"
        )
    if _batch_norms(critic):
        raise ValueError(
            "critics see data and the fakes of all generators together, and BatchNorm would make a "
            "loss depend on the other generators; leave norm out of critics"
        )
    if torch.equal(values, _output_of("critic", critic, made)) and not torch.allclose(
        values[:1], _output_of("critic", critic, made[:1]), 1e-4, 1e-6
    ):
        raise ValueError(
            "the critic's value at a point depends on the other points; it must not, for critics "
            "see data and the fakes of all generators together"
        )
    for who, make, network, given in (
        ("generator", game.generator, generator, noise), ("critic", game.critic, critic, made)
    ):  # fmt: skip
        _check_registered(who, make, network, given)
    if not all(m.track_running_stats for m in _batch_norms(generator)):
        raise ValueError(
            "BatchNorm in generators must keep running averages (track_running_stats=True): a "
            "sample would depend on those drawn with it"
        )
    if fakes == 1 and _batch_norms(generator):
        raise ValueError("fakes must be at least 2: BatchNorm cannot normalise a single output")


def _check_registered(who: str, make: Maker, network: Any, points: Any) -> None:
    """ValueError where a second network with the same parameters and buffers gives other values."""
    found = []
    with torch.random.fork_rng():
        torch.manual_seed(1)
        second = make().to(points.device)
        second.load_state_dict(network.state_dict())
        for one in (network, second):
            torch.manual_seed(0)  # for what networks draw themselves
            found.append(_output_of(who, one, points))
    if not torch.allclose(*found, 1e-4, 1e-6):
        raise ValueError(
            f"a second {who} with the same parameters and buffers gives other values: some of its "
            "layers are not registered (kept in a list, say), and no file could hold them; use "
            "torch.nn.ModuleList or attributes"
        )


def _output_of(who: str, network: Any, points: Any) -> Any:
    """What a network makes of points, an error of its own told with what it was given."""
    try:
        with resting(network):
            made = network(points)
    except Exception as error:  # whatever a user's module raises
        said = (str(error).splitlines() or [type(error).__name__])[0]
        shape = tuple(points.shape)
        raise ValueError(f"the {who} cannot take an input of shape {shape}: {said}") from error
    if not isinstance(made, torch.Tensor):
        raise TypeError(f"the {who} must give a tensor, got {type(made).__name__}")
    return made


def _batch_norms(network: Any) -> list[Any]:
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    return [m for m in network.modules() if isinstance(m, kinds)]
