"""The 2-Wasserstein distance between any two measures on one manifold.

`distance` holds what users call, and picks the solver; each solver has a file of its own:

    circle          anything on the circle: shifted quantile functions (circle_shift, circle_equal)
    discrete        atoms and atoms: a network simplex (sparse, network_simplex, costs)
    semidiscrete    atoms and a density on T^2, S^2: Laguerre cells (newton, coarser, surfaces,
                    laguerre_torus, polygons, laguerre_sphere, cones, patches, sphere_diagram)
    elements        bounds from small pieces of a density, for chords and where the others give up
"""

from meanfield.metrics.w2.circle import prepare
from meanfield.metrics.w2.distance import w2, w2_details, w2_squared
from meanfield.metrics.w2.result import Transport

__all__ = ["Transport", "prepare", "w2", "w2_details", "w2_squared"]
