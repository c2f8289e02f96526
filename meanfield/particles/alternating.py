"""Alternating descent-ascent: one player after the other, in the terms of `algorithms`."""

from __future__ import annotations

from typing import Any

from meanfield.jit import shared
from meanfield.particles.looks.protocol import aim, deviation, push, see
from meanfield.particles.primitives import add_weights


@shared
def alternating(one: Any, two: Any, s: Any, t: Any, k: int) -> None:
    """The step of `euler`, but y moves against the particles and weights that x has after it moved.

    s <- a step of `euler` against t
    t <- a step of `euler` against the new s

    For weights alone (gamma = 0) and N steps of length dt ~ N^(-1/3) the Nikaido-Isoda error of the
    averages over them is of order N^(-2/3); at once, in steps ~ N^(-1/2), it is of order N^(-1/2)
    (Lascu, Majka & Szpruch 2024).
    """
    add_weights(one.me, s)
    add_weights(two.me, t)
    see(one, s)
    see(two, t)
    aim(one, two)
    push(one, s, s, 1.0, deviation(one), k)
    see(one, s)
    aim(one, two)  # which is where threads wait until all of them have seen
    aim(two, one)
    push(two, t, t, 1.0, deviation(two), k)
