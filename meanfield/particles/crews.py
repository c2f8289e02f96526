"""Who takes the steps of a run in compiled code: for each thread both players' looks and the blocks
that it moves, and how many threads take part.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any, NamedTuple

from meanfield.cores import free_cores, shares
from meanfield.particles.looks.compiled import march
from meanfield.particles.looks.forms import form
from meanfield.particles.looks.modes import modes
from meanfield.particles.looks.single_modes import single_modes
from meanfield.particles.players import Player, State, own
from meanfield.particles.team import WORK, new_gate, together

GAIN = 1.2  # times as fast as one thread, or several only take cores from others
# Seconds, at least, between looks at the clock once steps are known, also where there is no choice.
PIECE, ALONE = 0.02, 0.2

LOOKS: dict[str, Any] = {
    "forms": form,
    "modes": lambda me, _, s: modes(me, s),
    "single": lambda me, _, s: single_modes(me, s),
}


class Crew(NamedTuple):
    """One thread's looks, its part of both states, and room for those in the middle of a step."""

    looks: tuple[Any, Any]
    states: tuple[State, State]
    others: tuple[State, ...]  # both players', once or twice


def team_sizes(players: tuple[Player, Player], states: Any, threads: int | None) -> tuple[int, ...]:
    """How many threads may take the steps of a run in compiled code: see `sizes`."""
    work = sum(s.logw.size * len(me.map) for s, me in zip(states, players, strict=True))
    return sizes(threads, min(*(len(s.x) for s in states), work // WORK))


def sizes(threads: int | None, most: int) -> tuple[int, ...]:
    """The numbers of threads that a run may choose from, where no more than `most` have work to do.

    One number where so many are asked for; otherwise one thread and as many as cores are free.
    """
    most = max(1, min(free_cores() if threads is None else threads, most))
    return (1, most) if threads is None and most > 1 else (most,)


class Pace:
    """Which of some numbers of threads takes the next steps: the one that was faster of late.

    Threads that wait for one another in every step gain what the rest of the machine leaves them,
    which no rule knows. So steps are taken in pieces of some 20 ms, and ever more rarely one is
    left to the slower number, to see whether it still is. Several begin; their first piece, in
    which they are started, does not count. Nor does one slow piece between faster ones. Where there
    is one number only, pieces take a fifth of a second and more, after which a user can interrupt.
    Results have the same bits.
    """

    def __init__(self, sizes: tuple[int, ...]) -> None:
        # Seconds a step by the number of threads: the smaller of the last two pieces', or zero.
        self.spent = dict.fromkeys(sizes, 0.0)
        self.last: dict[int, float] = {}  # of the last piece alone
        alone = len(sizes) == 1
        self.started = {1}  # the numbers of threads whose next piece counts
        self.least, self.piece, self.turns = (ALONE, 16, 0) if alone else (PIECE, 1, 0)

    @property
    def best(self) -> int:
        """Of the numbers of threads the one that was faster, several by enough."""
        return min(reversed(self.spent), key=lambda k: self.spent[k] * (GAIN if k > 1 else 1.0))

    def pieces(self, first: int, end: int) -> Iterator[tuple[int, int, int]]:
        """(threads, first, end) of runs of steps, each to be done before the next is asked for."""
        while first < end:
            threads, count = self.next(end - first)
            begun = perf_counter()
            yield threads, first, first + count
            took = perf_counter() - begun
            self.learn(threads, took / count)
            if count == self.piece and took < self.least:
                self.piece *= 2
            elif took > 4 * self.least:
                self.piece = max(1, self.piece // 2)
            first += count

    def learn(self, threads: int, seconds: float) -> None:
        """Take in how long a step of the last piece took. Where another number of threads is best
        from then on, the one before is soon looked at again.
        """
        if threads in self.started:
            best = self.best
            self.spent[threads] = min(seconds, self.last.get(threads, seconds))
            self.last[threads] = seconds
            self.turns = self.turns if self.best == best else 0
        self.started.add(threads)

    def next(self, left: int) -> tuple[int, int]:
        """How many threads take how many of the steps that are left."""
        if len(self.spent) == 1:
            return self.best, min(self.piece, left)
        self.turns += 1
        # At 8, 16, 32 and 64, and then every 64.
        again = self.turns % 64 == 0 or self.turns in (8, 16, 32)
        if not again or not all(self.spent.values()):
            return self.best, min(self.piece, left)
        (other,) = self.spent.keys() - {self.best}
        return other, min(1 + self.piece // 8, left)


def hire(
    kind: str, players: tuple[Player, Player], states: Any, others: Any, threads: int
) -> list[Crew]:
    """A crew for each of so many threads."""
    size, gate = threads, new_gate()
    held = [shares(len(s.x), size) for s in states]
    crews: list[Crew] = []
    for rank in range(size):
        parts = [blocks[rank] for blocks in held]
        team = [
            me._replace(first=b.start, size=size, gate=gate)
            for me, b in zip(players, parts, strict=True)
        ]
        mine, room = (
            tuple(own(s, parts[i % 2]) for i, s in enumerate(all_)) for all_ in (states, others)
        )
        looks = [LOOKS[kind](me, team[1 - p], mine[p]) for p, me in enumerate(team)]
        if crews:  # sums over blocks are for all threads to read
            looks = [a._replace(parts=b.parts) for a, b in zip(looks, crews[0].looks, strict=True)]
        crews.append(Crew((looks[0], looks[1]), (mine[0], mine[1]), room))
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


def go(
    crews: list[Crew], how: tuple[Any, int], first: int, end: int, showing: bool,
    known: dict[Any, Any],
) -> None:  # fmt: skip
    """Steps first, ..., end - 1; showing, the costs and gradients after them go to `others`.

    how: the scheme as kernels know it, and its trials. `known` keeps what is compiled for the kinds
    of looks of a run.
    """
    calls = [(*how, showing, *c.looks, c.states, c.others, first, end) for c in crews]
    kinds = tuple(map(type, crews[0].looks))
    if kinds not in known:
        known[kinds] = march.entry(*calls[0])
    together(known[kinds], calls, crews[0].looks[0].me.gate)
