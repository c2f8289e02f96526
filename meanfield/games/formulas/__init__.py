"""Losses and densities given as text.

`grammar` reads the text, `domain` checks it on the manifolds, `calculus` and `formula`
differentiate it, `fourier` and `truncation` find finite sums, `codegen`, `loops` and `cuda` write
compiled pair loops that `modules` loads; `expressions` and `densities` are what users call.
"""
