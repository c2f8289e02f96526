"""Best responses: minimisers of a player's cost U_p over its manifold, with what is proven of them.

Costs that are quadratic on a sphere are minimised exactly. Elsewhere a search looks at a grid or at
many starts, then polishes the best points by Newton's method. The value found bounds min U from
above; proofs from below are in `bounds` and `intervals`.
"""

from meanfield.responses.costs import (
    Cost,
    FeatureCost,
    OpponentCost,
    Response,
    cost_against,
    loss_size,
)
from meanfield.responses.runs import gradient_runs
from meanfield.responses.search import Searches

__all__ = [
    "Cost",
    "FeatureCost",
    "OpponentCost",
    "Response",
    "Searches",
    "cost_against",
    "gradient_runs",
    "loss_size",
]
