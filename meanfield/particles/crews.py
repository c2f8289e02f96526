"""Who takes the steps of a run in compiled code: for each thread both players' looks and the blocks
that it moves.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from meanfield.particles.looks.compiled import SCHEMES, march
from meanfield.particles.looks.forms import form
from meanfield.particles.looks.modes import modes
from meanfield.particles.looks.single_modes import single_modes
from meanfield.particles.primitives import Player, State, own
from meanfield.particles.team import WORK, new_gate, shares, together

LOOKS: dict[str, Any] = {
    "forms": form,
    "modes": lambda me, _, s: modes(me, s),
    "single": lambda me, _, s: single_modes(me, s),
}


class Crew(NamedTuple):
    """One thread's looks, its part of both states, and room for those in the middle of a step."""

    looks: tuple[Any, Any]
    states: tuple[State, State]
    others: tuple[State, State]


def hire(
    kind: str, players: tuple[Player, Player], states: Any, others: Any, threads: int
) -> list[Crew]:
    """A crew for each of at most so many threads, fewer where there is too little to move."""
    work = sum(s.logw.size * len(me.map) for s, me in zip(states, players, strict=True))
    size = max(1, min(threads, *(len(s.x) for s in states), work // WORK))
    gate, held = new_gate(), [shares(len(s.x), size) for s in states]
    crews: list[Crew] = []
    for rank in range(size):
        parts = [blocks[rank] for blocks in held]
        team = [
            me._replace(first=b.start, size=size, gate=gate)
            for me, b in zip(players, parts, strict=True)
        ]
        mine, room = (
            tuple(own(s, b) for s, b in zip(both, parts, strict=True)) for both in (states, others)
        )
        looks = [LOOKS[kind](me, team[1 - p], mine[p]) for p, me in enumerate(team)]
        if crews:  # sums over blocks are for all threads to read
            looks = [a._replace(parts=b.parts) for a, b in zip(looks, crews[0].looks, strict=True)]
        crews.append(Crew((looks[0], looks[1]), mine, room))  # type: ignore[arg-type]
    return crews


def at_rates(crews: list[Crew], players: tuple[Player, Player]) -> list[Crew]:
    """The same crews with other rates, such as those that a schedule has now."""

    def changed(look: Any, to: Player) -> Any:
        me = look.me
        return look._replace(
            me=me._replace(transport=to.transport, reaction=to.reaction, variance=to.variance)
        )

    return [
        c._replace(looks=tuple(changed(a, b) for a, b in zip(c.looks, players, strict=True)))
        for c in crews
    ]


def go(crews: list[Crew], scheme: str, first: int, end: int, showing: bool = False) -> None:
    """Steps first, ..., end - 1; showing, the costs and gradients after them go to `others`."""
    calls = [(SCHEMES[scheme], showing, *c.looks, c.states, c.others, first, end) for c in crews]
    together(march, calls, crews[0].looks[0].me.gate)
