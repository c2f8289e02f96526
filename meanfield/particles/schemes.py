"""The schemes of particles, and which games and flows each of them serves."""

from __future__ import annotations

import math
from typing import Any

from meanfield.checks import known_name
from meanfield.flows import Flow, Rates
from meanfield.flows.primal_dual import check_entropic
from meanfield.games.base import Game, a_game
from meanfield.manifolds import Manifold, Sphere, Torus
from meanfield.meshes import mesh

SCHEMES = ("euler", "strang", "mirror-prox", "alternating", "primal-dual")


def by_steps(flow: Flow) -> bool:
    """Whether a run does something of its own in every step: schedules, memory, responses,
    log-densities.
    """
    return flow.memory is not None or flow.scheduled or flow.responds or flow.entropic


def beyond_paper(flow: Flow, scheme: str) -> bool:
    """Whether these are other steps than those of the paper's flows and their second-order step."""
    return by_steps(flow) or scheme not in ("euler", "strang")


def check_known(scheme: Any) -> None:
    """Refuse what is no scheme."""
    known_name("scheme", scheme, SCHEMES)


def check_flow(game: Game, flow: Any, scheme: str, bandwidth: Any = None) -> None:
    """Refuse what particles cannot follow, with the reason."""
    a_game(game)
    check_known(scheme)
    if not isinstance(flow, Flow):
        raise TypeError(
            f"flow must be a meanfield flow such as Langevin(beta=10), got {type(flow).__name__}"
        )
    if scheme == "primal-dual":
        return _check_primal_dual(game, flow, bandwidth)
    if bandwidth is not None and not flow.entropic:
        raise ValueError(
            "bandwidth is for flows with temperature and reaction in one player, such as "
            f"EntropicWassersteinFisherRao; leave it out of {flow}"
        )
    for name, rates in zip("xy", flow.players, strict=True):
        if rates.temperature > 0 and rates.alpha > 0 and bandwidth is None:
            raise ValueError(
                f"player {name} has temperature {rates.temperature:g} and reaction alpha "
                f"{rates.alpha:g}: the reaction "
                "needs the log-density of the law, which particles do not have; set one of them "
                "to zero, give the bandwidth of a kernel (bandwidth=0.2, say), "
                "or use densities (meanfield.solve)"
            )


def _check_primal_dual(game: Game, flow: Flow, bandwidth: Any) -> None:
    check_entropic(flow)
    if game.bases is None:
        raise ValueError(
            f"{game.name} is not low-rank: gradients of sums over its past opponents need their "
            'particles; use densities, solve(..., engine="primal-dual")'
        )
    if bandwidth is not None:
        raise ValueError(
            'scheme "primal-dual" has its log-densities from past opponents: leave bandwidth out'
        )


def check_scheme(
    game: Game, flow: Flow, scheme: str, inner: int | None = None, exploration: Any = None
) -> None:
    """Refuse flows with memory or responses, schemes and inner steps that do not go together, with
    the reason.
    """
    if scheme == "primal-dual":
        if inner is None or exploration is not None:
            raise ValueError(
                'scheme "primal-dual" comes near to Gibbs measures by Langevin steps alone: give '
                "inner=20, say, so many in every step, and leave exploration out"
            )
        return
    if inner is not None and scheme != "mirror-prox" and not flow.responds:
        raise ValueError(
            f'inner counts the inner steps of scheme "mirror-prox" and of responses; leave it out '
            f"of {flow} by {scheme!r}"
        )
    if exploration is not None:
        _check_consensus(game, flow, inner)
    if flow.memory is not None and game.bases is None:
        raise ValueError(
            f"{game.name} is not low-rank: its averaged gradient needs the particles of all past "
            "steps; "
            "use densities (meanfield.solve), which average masses on their mesh"
        )
    if (flow.memory is not None or flow.responds or flow.entropic) and scheme != "euler":
        raise ValueError(
            "flows with memory, response or a reaction to the log-density run with "
            f'scheme="euler", not {scheme!r}'
        )
    if scheme == "mirror-prox" and flow.diffuses:
        raise ValueError(
            'scheme "mirror-prox" is for flows without noise; with a temperature use "strang"'
        )
    for name, rates, manifold in zip("xy", flow.players, game.manifolds, strict=True):
        if rates.response > 0 and rates.temperature == 0:
            raise ValueError(
                f"player {name} follows best responses (rate {rates.response:g}) at temperature "
                "zero, where all that "
                "jump in one step would share one point; give a temperature "
                "(EntropicBestResponse), or use densities"
            )
        if rates.response > 0 and rates.alpha > 0:
            raise ValueError(
                f"player {name} has a response and a reaction: particles that jump would need new "
                "weights"
            )
        if rates.response > 0 and rates.gamma > 0 and inner is not None:
            raise ValueError(
                f"player {name} has a response and moves: leave inner out, for answers on a mesh"
            )
        if rates.response > 0 and inner is None and exploration is None:
            _check_mesh(name, rates, manifold)
        if (
            scheme == "strang"
            and rates.temperature > 0
            and not isinstance(manifold, Torus | Sphere)
        ):
            raise ValueError(
                f'scheme "strang" knows the noise of tori and spheres; player {name} '
                f'lives on {manifold}: use "euler"'
            )


def _check_consensus(game: Game, flow: Flow, inner: int | None) -> None:
    """Refuse responses by consensus of flows and on manifolds that know of none."""
    if not flow.responds or flow.quasistatic or flow.transports or flow.memory is not None:
        raise ValueError(
            "exploration is for responses by consensus, such as those of EntropicBestResponse; "
            f"leave it out of {flow}"
        )
    if inner is not None:
        raise ValueError("particles respond by inner steps or by consensus: leave one of them out")
    for name, M in zip("xy", game.manifolds, strict=True):
        if not isinstance(M, Torus | Sphere):
            raise ValueError(
                f"consensus is known on tori and spheres; player {name} lives on {M}: leave "
                "exploration out"
            )


def _check_mesh(name: str, rates: Rates, manifold: Manifold) -> None:
    """Refuse responses without inner steps where they are at once or where there is no mesh."""
    if rates.response == math.inf:
        raise ValueError(
            f"player {name} is at its best response at all times, which particles come near to by "
            "Langevin steps: give inner=20, say, so many in every step"
        )
    try:
        mesh(manifold)
    except ValueError as error:
        raise ValueError(
            f"{error}; give inner=20, say, for answers by so many Langevin steps in every step"
        ) from None
