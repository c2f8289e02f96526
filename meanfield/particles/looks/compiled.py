"""Steps of compiled looks: the text of `meanfield.particles.algorithms`, compiled from one save to
the next.

Nothing here holds Python's global lock, so replicas run in threads.
"""

from __future__ import annotations

from typing import Any

from meanfield.jit import kernel
from meanfield.particles.algorithms import both, euler, mirror_prox, strang
from meanfield.particles.alternating import alternating

# The imports below also say which files outdate `march` on disk.
from meanfield.particles.looks.driven import Driven
from meanfield.particles.looks.forms import Form
from meanfield.particles.looks.modes import Modes
from meanfield.particles.looks.single_modes import SingleModes

COMPILED = (Modes, SingleModes, Form, Driven)
# By the length of a tuple, known before anything is compiled: the steps that are not taken are left
# out.
SCHEMES = {
    "euler": (),
    "strang": (True,),
    "mirror-prox": (True, True),
    "alternating": (True, True, True),
    "primal-dual": (),  # whose own steps are taken in Python; costs are shown by these
}


@kernel
def march(
    scheme: Any, inner: int, showing: bool, one: Any, two: Any, states: Any, others: Any,
    first: int, end: int,
) -> None:  # fmt: skip
    """Steps first, ..., end - 1 of both players, in place; `others` is room in their middle.

    Showing, the costs and gradients after them are written into `others`. One kernel does both, or
    most of what they share would be compiled twice.
    """
    s, t = states
    m, n = others[0], others[1]
    for k in range(first, end):
        if len(scheme) == 0:
            euler(one, two, s, t, k)
        if len(scheme) == 1:
            strang(one, two, s, t, m, n, k)
        if len(scheme) == 2:
            mirror_prox(one, two, s, t, others, inner, k)
        if len(scheme) == 3:
            alternating(one, two, s, t, k)
    if showing:
        both(one, two, states, (m, n), 0.0, 0.0, end)
