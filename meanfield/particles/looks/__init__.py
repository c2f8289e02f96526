"""Looks: how the particles of a player see the other player, find their cost and move along it.

`protocol` says what a step asks of a look, `motion` chooses one by the game, the flow and the
precision:

    modes           low-rank games with cosines and sines on tori, or quadratic
                    forms on spheres; compiled
    forms           the paper's games on spheres, Euler steps: one pass over registers; compiled
    single_modes    trigonometric games on circles in single precision; compiled
    driven          any of these in the costs of a given mean field; compiled
    pairs           games that hand their forces in: sums over all pairs, on a
                    processor or a graphics processor
    plain           any game on any manifold, in numpy: what the others are tested against
"""
