"""What a run of particles that goes on must have in common with what it goes on from."""

from __future__ import annotations

from typing import Any

import numpy as np

from meanfield.particles.plan import LATER, SETTINGS, both
from meanfield.trajectory import Trajectory

DEFAULTS: dict[str, Any] = {
    "step": 1e-3,
    "particles": 1000,
    "seed": 0,
    "scheme": "euler",
    "save_every": None,
    "replica": 0,
    "refine": 1,
    "placement": "iid",
    **LATER,
}


def agreed(given: dict[str, Any], resume: Trajectory) -> dict[str, Any]:
    """The settings of the trajectory; what was asked for anew must agree with them."""
    missing = [
        k for k in ("step", "positions", "log_weights", "weight_sums") if k not in resume.state
    ]
    if missing:
        raise ValueError(
            f"this trajectory cannot be resumed with particles: its state has no {', '.join(missing)}"
        )
    if (level := resume.provenance.get("level", "particles")) != "particles":
        raise ValueError(
            f"resume holds {level}, which a given mean field drives, not particles; give it a run of simulate"
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
    return {key: resume.provenance.get(key, DEFAULTS[key]) for key in SETTINGS}
