"""The same steps in PyTorch, as one would write them: automatic derivatives of the mean loss.

"autograd" forms the n x n matrix of losses, as the authors of the paper do, once for both players;
"features" and "moments" know the structure of the loss as our low-rank games do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meanfield.games.lowrank import LowRank

BETA, STEP = 10.0, 1e-5  # of all rows of particles

# Particles x, y and their weights u, v (None: equal) -> the mean loss and, on demand, the players'
# costs.
Costs = Callable[[], tuple[Any, ...]]
Loss = Callable[[Any, Any, Any, Any], tuple[Any, Costs]]


def _torch() -> Any:
    import torch

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    return torch


def polynomial_loss(game: LowRank, kind: str) -> Callable[[Any, Any], Any]:
    """(n, m) losses of the paper's l_a or l_b, matrix products only."""
    torch = _torch()
    d = game.X.ambient
    C = torch.tensor(game.C)
    A0, A2 = (torch.tensor(b.S) for b in game.bases)  # type: ignore[attr-defined]
    A1, A3, a0, a1 = (
        C[1 : d + 1, 1 : d + 1],
        C[d + 1 : -1, 1 : d + 1],
        C[1 : d + 1, 0],
        C[0, 1 : d + 1],
    )

    def loss(x: Any, y: Any) -> Any:
        own = ((x @ A0) * x).sum(1) + x @ a0
        facing = ((y @ A2) * y).sum(1) + y @ a1
        pairs = (x @ A1 + (x**2) @ A3 if kind == "a" else x @ A1) @ y.T
        return own[:, None] + pairs + facing[None, :]

    return loss


def moments_loss(game: LowRank, kind: str) -> Loss:
    """The same through the other player's means: no matrix of pairs."""
    torch = _torch()
    d = game.X.ambient
    C = torch.tensor(game.C)
    A0, A2 = (torch.tensor(b.S) for b in game.bases)  # type: ignore[attr-defined]
    A1, A3, a0, a1 = (
        C[1 : d + 1, 1 : d + 1],
        C[d + 1 : -1, 1 : d + 1],
        C[1 : d + 1, 0],
        C[0, 1 : d + 1],
    )

    def loss(x: Any, y: Any, u: Any, v: Any) -> tuple[Any, Costs]:
        if u is None:
            u = v = torch.full((len(x),), 1.0 / len(x))
        own, facing = ((x @ A0) * x).sum(1) + x @ a0, ((y @ A2) * y).sum(1) + y @ a1
        mean = v @ y
        pull = A1 @ mean
        across = x @ pull + ((x**2) @ (A3 @ mean) if kind == "a" else 0.0)
        back = (u @ x) @ A1 + ((u @ x**2) @ A3 if kind == "a" else 0.0)
        return u @ (own + across) + v @ facing, lambda: (
            own + across + v @ facing,
            -(facing + y @ back + u @ own),
        )

    return loss


def sphere_step(
    game: LowRank, kind: str, n: int, reacts: bool, moments: bool = False
) -> Callable[[], None]:
    """A step of Algorithm 1 (with noise) or 2 (with weights) on spheres."""
    torch = _torch()
    loss = moments_loss(game, kind) if moments else of_pairs(polynomial_loss(game, kind))
    state = [torch.nn.functional.normalize(torch.randn(n, game.X.ambient), dim=1) for _ in range(2)]
    logs = [torch.full((n,), 1.0 / n).log() for _ in range(2)]

    def step() -> None:
        x, y = (s.detach().requires_grad_(True) for s in state)
        u, v = (log.exp() for log in logs) if reacts else (None, None)
        total, costs = loss(x, y, u, v)
        gx, gy = torch.autograd.grad(total, (x, y))
        with torch.no_grad():
            if reacts:
                for p, cost in enumerate(costs()):
                    log = logs[p] - STEP * cost
                    logs[p] = log - torch.logsumexp(log, 0)
            for p, (z, g) in enumerate(((x, gx), (y, -gy))):
                scale = (1 / logs[p].exp()[:, None]) if reacts else n
                w = -STEP * scale * g
                if not reacts:
                    w = w + (2 * STEP / BETA) ** 0.5 * torch.randn_like(z)
                w = z + w - (z * w).sum(1, keepdim=True) * z
                state[p] = w / w.norm(dim=1, keepdim=True)

    return step


def of_pairs(loss: Callable[[Any, Any], Any]) -> Loss:
    """The mean of an n x n matrix of losses, and its means over either player."""

    def weighted(x: Any, y: Any, u: Any, v: Any) -> tuple[Any, Costs]:
        L = loss(x, y)
        if u is None:
            return L.mean(), lambda: ()
        facing = L @ v
        return u @ facing, lambda: (facing, -(u @ L))

    return weighted


def circle_pairs(n: int, compiled: bool) -> Callable[[], None]:
    """Forces and costs of exp(cos(x - y)) + 0.3 sin 2x cos y at n x n pairs."""
    torch = _torch()
    x, y = (torch.rand(n) * 6.283 for _ in range(2))

    def loss(x: Any, y: Any) -> Any:
        return (
            torch.exp(torch.cos(x[:, None] - y[None, :]))
            + 0.3 * torch.sin(2 * x)[:, None] * torch.cos(y)[None, :]
        )

    def total(x: Any, y: Any) -> Any:
        L = loss(x, y)
        return L.sum(), L.sum(1), L.sum(0)

    run = torch.compile(total) if compiled else total

    def step() -> None:
        a, b = x.detach().requires_grad_(True), y.detach().requires_grad_(True)
        found, _, _ = run(a, b)
        torch.autograd.grad(found, (a, b))

    return step


def trigonometric_step(modes: int, n: int) -> Callable[[], None]:
    """A step of Algorithm 1 for sum_k cos(k (x - y)) / k^2 by the means of cosines and sines."""
    torch = _torch()
    k = torch.arange(1, modes + 1, dtype=torch.float64)
    state = [torch.rand(n) * 6.283 for _ in range(2)]

    def step() -> None:
        x, y = (s.detach().requires_grad_(True) for s in state)
        px, py = x[:, None] * k, y[:, None] * k
        L = (
            (px.cos().mean(0) * py.cos().mean(0) + px.sin().mean(0) * py.sin().mean(0)) / k**2
        ).sum()
        gx, gy = torch.autograd.grad(L, (x, y))
        with torch.no_grad():
            for p, (z, g) in enumerate(((x, gx), (y, -gy))):
                state[p] = (
                    z - STEP * n * g + (2 * STEP / BETA) ** 0.5 * torch.randn_like(z)
                ) % 6.283185307179586

    return step
