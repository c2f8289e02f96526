"""What a run is asked to do, checked before it starts."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

from meanfield.checks import real, whole
from meanfield.flows import Flow
from meanfield.games.base import Game, a_game
from meanfield.manifolds import Sphere, Torus

SCHEMES = ("euler", "strang", "mirror-prox")
DEVICES, PRECISIONS = ("cpu", "cuda"), ("float64", "float32")
# Settings that older results do not name, with what they mean by that.
LATER = {"device": DEVICES[0], "precision": PRECISIONS[0]}
SETTINGS = (
    "scheme",
    "step",
    "particles",
    "seed",
    "replica",
    "refine",
    "save_every",
    "placement",
    *LATER,
)


@dataclass(frozen=True)
class Plan:
    """The numbers of a run; `every` counts steps between saves, `steps` all steps from time zero."""

    scheme: str
    step: float
    particles: tuple[int, int]
    seed: int
    replica: int
    refine: int
    placement: str
    every: int
    steps: int
    device: str = DEVICES[0]
    precision: str = PRECISIONS[0]

    @property
    def second_order(self) -> bool:
        return self.scheme == "strang"

    def settings(self) -> dict[str, Any]:
        """What a resumed run takes over."""
        found = {key: getattr(self, key) for key in SETTINGS if key != "save_every"}
        found = {
            key: value for key, value in found.items() if key not in LATER or value != LATER[key]
        }
        return {**found, "save_every": self.every * self.step}


def make_plan(
    time: Any, step: Any, particles: Any, seed: Any, scheme: Any, save_every: Any, **rest: Any
) -> Plan:
    """Check the numbers of a run; ValueError names the nearest number of steps that would do."""
    if scheme not in SCHEMES:
        raise ValueError(f"scheme must be one of {', '.join(SCHEMES)}, got {scheme!r}")
    later = {key: rest.get(key, usual) for key, usual in LATER.items()}
    for key, known in (("device", DEVICES), ("precision", PRECISIONS)):
        if later[key] not in known:
            raise ValueError(f"{key} must be one of {', '.join(known)}, got {later[key]!r}")
    dt = real("step", step, 0.0, strict=True)
    if real("time", time, 0.0) / dt >= 1 << 32:
        raise ValueError(
            f"time={time:g} at step={dt:g} needs {time / dt:.3g} steps; they are numbered below 2^32"
        )
    steps = whole_steps("time", time, dt)
    refine = whole("refine", rest["refine"])
    every = (
        default_every(steps)
        if save_every is None
        else whole_steps("save_every", save_every, dt, low=1)
    )
    plan = Plan(
        scheme,
        dt,
        both("particles", particles),
        bits("seed", seed, 64),
        bits("replica", rest["replica"], 32),
        refine,
        rest["placement"],
        every,
        steps,
        **later,
    )
    ticks = steps * refine * (2 if plan.second_order else 1)
    if ticks >= 1 << 32:
        raise ValueError(
            f"time={time:g} at step={dt:g} needs {ticks:.3g} ticks of noise; they are numbered below 2^32"
        )
    return plan


def whole_steps(name: str, value: Any, dt: float, low: int = 0) -> int:
    """value / dt, which must be a whole number to nine digits."""
    number = real(name, value, 0.0)
    ratio = number / dt
    steps = max(round(ratio), low)
    if abs(ratio - steps) > 1e-9 * max(1.0, ratio):
        raise ValueError(
            f"{name} must be a whole number of steps, but {number:.10g} is {ratio:.6g} steps of {dt:.10g}; "
            f"the nearest is {name}={steps * dt:.10g}"
        )
    return steps


def default_every(steps: int) -> int:
    """Steps between saves for about 100 saves: between 50 and 100 that divide the run where possible."""
    least = max(1, -(-steps // 100))
    return next((k for k in range(least, 2 * least + 1) if steps % k == 0), least)


def both(name: str, value: Any) -> tuple[int, int]:
    """A whole number, or two (for x, for y)."""
    values = value if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{name} must be one whole number or two (for x, for y), got {value!r}")
    a, b = (whole(name, v) for v in values)
    if max(a, b) >= 1 << 31:
        raise ValueError(f"{name} must be below 2^31, the noise numbers no more, got {max(a, b)}")
    return a, b


def bits(name: str, value: Any, size: int) -> int:
    """A whole number that fits in `size` bits."""
    number = whole(name, value, 0)
    if number >= 1 << size:
        raise ValueError(f"{name} must be below 2^{size}, got {number}")
    return number


def check_flow(game: Game, flow: Any, scheme: str) -> None:
    """Refuse what particles cannot follow, with the reason."""
    a_game(game)
    if not isinstance(flow, Flow):
        raise TypeError(
            f"flow must be a meanfield flow such as Langevin(beta=10), got {type(flow).__name__}"
        )
    for name, rates, manifold in zip("xy", flow.players, game.manifolds, strict=True):
        if rates.temperature > 0 and rates.alpha > 0:
            raise ValueError(
                f"player {name} has temperature {rates.temperature:g} and reaction alpha {rates.alpha:g}: the reaction "
                "needs the log-density of the law, which particles do not have; set one of them to zero, "
                "or use densities (meanfield.solve)"
            )
        if type(manifold) not in (Torus, Sphere):
            raise ValueError(
                f"particles move on tori and spheres; player {name} lives on {manifold}"
            )


def check_memory(game: Game, plan: Plan, flow: Flow) -> float:
    """Bytes of all saved states; ValueError when they exceed the machine's memory."""
    saves = math.ceil(plan.steps / plan.every) + 1
    rows = sum(
        n * (m.ambient + 1 + flow.reacts)
        for n, m in zip(plan.particles, game.manifolds, strict=True)
    )
    needed = 8.0 * saves * rows
    held = (
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if hasattr(os, "sysconf")
        else math.inf
    )
    if needed > 0.8 * held:
        raise ValueError(
            f"{saves} saved states of {plan.particles} particles need {needed / 1e9:.3g} GB, "
            f"this machine has {held / 1e9:.3g} GB; raise save_every"
        )
    return needed
