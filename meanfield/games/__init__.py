"""Losses l(x, y) on X x Y, their first variations and gradients."""
