"""The algorithms of the paper, one step each: the text that every run of particles executes.

Each player p has particles x_i with weights w_i and minimises a cost U: U = V_x for player x and U
= -V_y for player y, with V the first variations against the opponent's weighted particles. In the
paper's symbols, with dt the step of a run and gamma, alpha and 1/beta its flow's transport,
reaction and temperature,

    eta = gamma dt,    eta' = alpha dt,    sqrt(2 eta/beta) the deviation of the noise.

What differs between games is how a player sees the other one. That is the business of its *look*
(`meanfield.particles.looks`), which knows these numbers of its player and offers

    see(look, s)            read off the particles of state s what the opponent's cost needs;
    aim(look, opponent)     make the cost U, from what the opponent's look has seen;
    push(look, at, to, part, noise, k)
                            move `to` along grad U at the particles of `at`, as written at `euler`,
                            by `part` of a step, and divide the weights by their sum; part = 0 moves
                            nothing: `to.logw` receives U and `to.x` receives grad U;
    follow(look, forces, s, k)
                            move s by a whole step along U and grad U that were written so;
    diffuse(look, s, tick)  Brownian motion over dt/2.

Python runs these functions as they stand; numba compiles the same lines for looks that are
compiled. Everywhere s and t are the states of players x and y, `one` and `two` their looks, k the
number of the step. One player after the other: `meanfield.particles.alternating`.
"""

from __future__ import annotations

from typing import Any

from meanfield.jit import shared
from meanfield.particles.looks.protocol import aim, deviation, diffuse, follow, push, see
from meanfield.particles.primitives import add_weights, copy


@shared
def both(one: Any, two: Any, at: Any, to: Any, part: float, noise: float, k: int) -> None:
    """Both players at once: y moves against what x had been before it moved."""
    see(one, at[0])
    see(two, at[1])
    aim(one, two)
    aim(two, one)
    push(one, at[0], to[0], part, noise * deviation(one), k)
    push(two, at[1], to[1], part, noise * deviation(two), k)


@shared
def euler(one: Any, two: Any, s: Any, t: Any, k: int) -> None:
    """One step of Algorithm 1 (Langevin) and of Algorithm 2 (Wasserstein-Fisher-Rao).

    For every particle of both players, with R the retraction and xi a standard normal tangent
    vector,

        x     <- R(x - eta grad U(x) + sqrt(2 eta/beta) xi)    (in Algorithm 2 1/beta = 0)
        log w <- log w - eta' U(x)                             (Algorithm 2; then sum w = 1)

    alpha = 0 is Algorithm 1 with the weights 1/n, gamma = 0 is mirror descent: the weights of
    Algorithm 2 alone. `add_weights` sums the weights that the steps begin with, of which the paper
    returns averages. In numpy these lines stand in `looks/plain.py`; compiled, in
    `primitives.move`, and for quadratic forms on spheres in `looks/forms.py`.
    """
    add_weights(one.me, s)
    add_weights(two.me, t)
    both(one, two, (s, t), (s, t), 1.0, 1.0, k)


@shared
def strang(one: Any, two: Any, s: Any, t: Any, m: Any, n: Any, k: int) -> None:
    """The step of weak order two: noise over dt/2, a midpoint step without noise, noise over dt/2.

    (m, n) <- half a step of `euler` without noise from (s, t)
    (s, t) <- a whole step from (s, t) along the forces at (m, n)
    """
    add_weights(one.me, s)
    add_weights(two.me, t)
    diffuse(one, s, 2 * k)
    diffuse(two, t, 2 * k)
    copy(s, m)
    copy(t, n)
    both(one, two, (s, t), (m, n), 0.5, 0.0, k)
    both(one, two, (m, n), (s, t), 1.0, 0.0, k)
    diffuse(one, s, 2 * k + 1)
    diffuse(two, t, 2 * k + 1)


@shared
def mirror_prox(one: Any, two: Any, s: Any, t: Any, room: Any, inner: int, k: int) -> None:
    """The extragradient step in positions and weights (Wang & Chizat 2025), without noise.

    (m, n) <- a whole step of `euler` from (s, t): the trial
    (m, n) <- a whole step from (s, t) along the forces at (m, n), inner - 1 times; then (s, t)

    inner = 1 is `euler`, 2 the extragradient step; as it grows, this is the proximal point, which
    moves along the forces where it ends. A mode that turns with frequency w is multiplied by the
    sum of (i w dt)^j up to j = inner, in the end by 1/(1 - i w dt).
    """
    m, n, p, q = room
    add_weights(one.me, s)
    add_weights(two.me, t)
    copy(s, m)
    copy(t, n)
    both(one, two, (s, t), (m, n), 1.0, 0.0, k)
    for _ in range(inner - 1):
        both(one, two, (m, n), (p, q), 0.0, 0.0, k)
        copy(s, m)
        copy(t, n)
        follow(one, p, m, k)
        follow(two, q, n, k)
    copy(m, s)
    copy(n, t)


def remember(average: Any, moments: Any, share: float) -> Any:
    """Memory: zbar <- zbar + s (z - zbar), z the moments before a step, which costs are made of.

    The share s is that of [k dt, (k + 1) dt] in the average at its end: for weights t^r it is 1 -
    (k/(k + 1))^(r + 1), so that r = 0 is the plain mean. The first moments begin it.
    """
    return moments if average is None else average + share * (moments - average)
