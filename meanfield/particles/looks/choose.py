"""Which object finds the forces of a run: the game itself, its pairs in single precision, or a
graphics processor.

Double precision is the default even where single precision is safe: results are promised to the
bit, those stored are double, and a formula such as exp(100 cos(x - y)) overflows in single
precision (and then says so).
"""

from __future__ import annotations

from typing import Any

from meanfield.checks import Array
from meanfield.flows import Flow
from meanfield.games.base import Game
from meanfield.measures import Measure
from meanfield.particles.looks import single_modes
from meanfield.particles.plan import Plan
from meanfield.particles.schemes import beyond_paper
from meanfield.particles.state import compiled


def source(game: Game, flow: Flow, plan: Plan) -> Any:
    """What has `both_forces` and `value` as a plan's device and precision want them.

    Raises ValueError for games and flows that have no such form, ImportError or RuntimeError
    without a device.
    """
    if plan.device == "cpu" and plan.precision == "float64":
        return game
    asked = 'device="cuda"' if plan.device == "cuda" else 'precision="float32"'
    if plan.device == "cpu" and game.bases is not None:
        single_modes.check(game)
    elif compiled(game):
        _check_replicas(plan)
    else:
        _check_game(game, asked)
    if beyond_paper(flow, plan.scheme):
        raise ValueError(
            f'{asked} takes "euler" and "strang" steps of the paper\'s flows, not {flow} '
            f'by "{plan.scheme}"'
        )
    if plan.precision == "float32":
        _check_noise(flow)
    if plan.device == "cuda" and game.bases is None:
        from meanfield.particles.looks.cuda import Cuda

        return Cuda(game, plan.precision == "float32")
    # The steps of low-rank games have a look of their own, `single_modes`.
    return game if game.bases is not None else Single(game)


def _check_replicas(plan: Plan) -> None:
    """Refuse what the steps of low-rank games on a device are not written for."""
    if plan.precision == "float32" or plan.scheme != "euler":
        raise ValueError(
            'device="cuda" moves low-rank games by scheme "euler" and in precision "float64", '
            f'not by "{plan.scheme}" in "{plan.precision}"'
        )


def _check_game(game: Game, asked: str) -> None:
    from meanfield.games.formulas.expressions import Expression

    if game.bases is not None:
        raise ValueError(
            f"{asked} is for losses given by a formula, trigonometric games on tori and "
            f"quadratic forms on spheres; {game.name} is low-rank in other features: leave it out"
        )
    if not isinstance(game, Expression):
        raise ValueError(
            f"{asked} is for losses given by a formula (games.expression), not for {game.name}, "
            "whose loss is a Python "
            "function: leave it out"
        )


def _check_noise(flow: Flow) -> None:
    """Single precision only where noise covers it.

    Measured on exp(sin x) - exp(sin y) + 0.3 exp(cos(x - y)), 50 particles: Algorithm 2 goes on to
    a Nikaido-Isoda error of 4e-15; with forces in single precision it is 80% too large at 3e-8 and
    stays at 2e-8. Langevin runs (beta = 20, n = 400) differ by 2e-8 in an error that varies by 2e-2
    from seed to seed.
    """
    for name, rates in zip("xy", flow.players, strict=True):
        if rates.alpha > 0 or rates.gamma * rates.temperature == 0:
            kind = f"a reaction (alpha = {rates.alpha:g})" if rates.alpha > 0 else "no noise"
            raise ValueError(
                'precision="float32" is for Langevin flows, whose noise covers rounding; '
                f"player {name} has {kind}, "
                "and converges to where rounding counts: its Nikaido-Isoda error would be 80% too "
                "large at 3e-8 and "
                "stay at 2e-8, where double precision goes on to 4e-15; leave precision "
                'at "float64"'
            )


class Single:
    """In place of a game: its forces between atoms with each pair in single precision."""

    def __init__(self, game: Any) -> None:
        from meanfield.games.formulas.loops import pair_kernel32

        self.game, self.run = game, pair_kernel32(game) or game.both_forces

    def both_forces(self, x: Array, y: Array, masses_x: Array, masses_y: Array) -> Any:
        """Costs (n,) and gradients (n, a) of both players at x, y, all atoms of both."""
        return self.run(x, y, masses_x, masses_y)

    def value(self, mu: Measure, nu: Measure) -> float:
        """L(mu, nu), in double precision."""
        return self.game.value(mu, nu)  # type: ignore[no-any-return]
