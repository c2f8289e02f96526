"""What a run is asked to do, checked before it starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from meanfield.checks import Array, known_name, one_or_two, real, whole
from meanfield.flows import Flow
from meanfield.flows.primal_dual import checked
from meanfield.games.base import Game
from meanfield.needs import Needs, of_particles
from meanfield.particles.eigenbasis import spherical
from meanfield.particles.schemes import check_known
from meanfield.schedule import FEWEST, USUAL
from meanfield.trajectory import Trajectory

MOST = 2.0**53  # steps that floats count one by one
DEVICES, PRECISIONS = ("cpu", "cuda"), ("float64", "float32")
# Settings that results name only where they differ from these.
UNNAMED: dict[str, Any] = {
    "device": DEVICES[0],
    "precision": PRECISIONS[0],
    "inner": None,
    "bandwidth": None,
    "exploration": None,
    "extrapolation": None,
}
DEFAULTS: dict[str, Any] = {
    "step": 1e-3,
    "particles": 1000,
    "seed": 0,
    "scheme": "euler",
    "save_every": None,
    "replica": 0,
    "refine": 1,
    "placement": "iid",
    **UNNAMED,
}


_ORDER = ("scheme", "step", "particles", "seed", "replica", "refine", "placement")


@dataclass(frozen=True)
class Plan:
    """The numbers of a run; `every` counts steps between saves, `steps` all steps from time
    zero.
    """

    scheme: str
    step: float
    particles: tuple[int, int]
    seed: int
    replica: int
    refine: int
    placement: str
    every: int
    steps: int
    device: str
    precision: str
    inner: int | None
    bandwidth: float | None
    exploration: float | None
    extrapolation: float | None

    @property
    def second_order(self) -> bool:
        return self.scheme == "strang"

    @property
    def trials(self) -> int:
        """How often a step of mirror-prox looks at the forces."""
        return self.inner or 2

    def saves(self, now: float) -> Array:
        """The times to be saved from now on, at whole multiples of `every` wherever a run began;
        now itself first.
        """
        done = round(now / self.step)
        steps = range(done - done % self.every + self.every, self.steps, self.every)
        last = [self.steps] if self.steps > done else []
        return np.array([done, *steps, *last]) * self.step

    def settings(self) -> dict[str, Any]:
        """The arguments of `simulate` that give this plan, but for its time."""
        found = {key: getattr(self, key) for key in _ORDER}
        found |= {key: v for key, usual in UNNAMED.items() if (v := getattr(self, key)) != usual}
        return {**found, "save_every": self.every * self.step}


def make_plan(
    time: Any, step: Any, particles: Any, seed: Any, scheme: Any, save_every: Any, **rest: Any
) -> Plan:
    """Check the numbers of a run; ValueError names the nearest number of steps that would do."""
    check_known(scheme)
    unnamed = {key: rest.get(key, usual) for key, usual in UNNAMED.items()}
    for key, known in (("device", DEVICES), ("precision", PRECISIONS)):
        known_name(key, unnamed[key], known)
    if unnamed["inner"] is not None:
        unnamed["inner"] = whole("inner", unnamed["inner"])
    if unnamed["bandwidth"] is not None:
        unnamed["bandwidth"] = real("bandwidth", unnamed["bandwidth"], 0.0, strict=True)
    if unnamed["exploration"] is not None:
        unnamed["exploration"] = real("exploration", unnamed["exploration"], 0.0)
    unnamed["extrapolation"] = checked(unnamed["extrapolation"])
    if unnamed["extrapolation"] is not None and scheme != "primal-dual":
        raise ValueError(f'extrapolation is for scheme "primal-dual"; leave it out of {scheme!r}')
    dt = real("step", step, 0.0, strict=True)
    if real("time", time, 0.0) / dt >= 1 << 32:
        raise ValueError(
            f"time={time:g} at step={dt:g} needs {time / dt:.3g} steps; they are numbered below "
            "2^32"
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
        **unnamed,
    )
    ticks = max(steps, 1) * refine * (2 if plan.second_order else plan.inner or 1)
    if ticks >= 1 << 32:
        raise ValueError(
            f"time={time:g} at step={dt:g} needs {ticks:.3g} ticks of noise; they are numbered "
            "below 2^32"
        )
    return plan


def whole_steps(name: str, value: Any, dt: float, low: int = 0) -> int:
    """value / dt, which must be a whole number to nine digits."""
    number = real(name, value, 0.0, strict=low > 0)
    ratio = number / dt
    if ratio >= MOST:
        raise ValueError(f"{name} is {ratio:.3g} steps of {dt:.10g}, of which at most 2^53 count")
    steps = max(round(ratio), low)
    if abs(ratio - steps) > 1e-9 * max(1.0, ratio) or (steps == 0) != (number == 0.0):
        raise ValueError(
            f"{name} must be a whole number of steps, but {number:.10g} is {ratio:.6g} steps of "
            f"{dt:.10g}; the nearest is {name}={max(steps, 1) * dt:.10g}"
            + (f"; or take step={number:.10g} or less" if ratio < 1 else "")
        )
    return steps


def default_every(steps: int) -> int:
    """Steps between saves, for the times at which mean fields are saved by default, time / 50.

    Where these are no whole steps, for every second, fifth or tenth part of them; with fewer than
    ten of these left, for 50 to 100 saves at times of their own.
    """
    shared = math.gcd(steps, USUAL)
    if shared >= FEWEST:
        return max(1, steps // shared)
    return max(1, -(-steps // (2 * USUAL)))


def both(name: str, value: Any) -> tuple[int, int]:
    """A whole number, or two (for x, for y)."""
    a, b = one_or_two(name, value, partial(whole, name), "whole number")
    if max(a, b) >= 1 << 31:
        raise ValueError(f"{name} must be below 2^31, the noise numbers no more, got {max(a, b)}")
    return a, b


def bits(name: str, value: Any, size: int) -> int:
    """A whole number that fits in `size` bits."""
    number = whole(name, value, 0)
    if number >= 1 << size:
        raise ValueError(f"{name} must be below 2^{size}, got {number}")
    return number


def check_memory(game: Game, plan: Plan, flow: Flow, file: bool = False) -> Needs:
    """What the run takes, with or without a file; ValueError for more memory than there is."""
    saves = math.ceil(plan.steps / plan.every) + 1
    turned = spherical(game) and not flow.responds
    needs = of_particles(game, flow, plan.particles, saves, turned, file)
    return needs.check(f"{saves} saved states of {plan.particles} particles", "raise save_every")


def check_settings(given: dict[str, Any], resume: Trajectory) -> dict[str, Any]:
    """The settings of a trajectory that a run goes on from, with which those given must agree.

    One left at its default agrees with anything. Raises ValueError.
    """
    if "engine" in resume.provenance:
        raise ValueError("resume is a run of the mean field; `meanfield.solve` goes on with it")
    missing = [
        k for k in ("step", "positions", "log_weights", "weight_sums") if k not in resume.state
    ]
    if missing:
        raise ValueError(
            "this trajectory cannot be resumed with particles: its state has no "
            f"{', '.join(missing)}"
        )
    if (level := resume.provenance.get("level", "particles")) != "particles":
        raise ValueError(
            f"resume holds {level}, which a given mean field drives, not particles; give it a run "
            "of simulate"
        )
    for key, default in DEFAULTS.items():
        held = resume.provenance.get(key, default)
        held = tuple(held) if key == "particles" else held
        asked = given.get(key, default)
        near = (
            key == "save_every"
            and None not in (asked, held)
            and bool(np.isclose(asked, held, 1e-9, 0.0))
        )
        if (
            asked not in (default, held)
            and not near
            and not (key == "particles" and both(key, asked) == held)
        ):
            raise ValueError(f"resume was made with {key}={held!r}, not {asked!r}; leave {key} out")
    return {key: resume.provenance.get(key, usual) for key, usual in DEFAULTS.items()}
