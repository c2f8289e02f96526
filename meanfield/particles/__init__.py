"""Interacting particles: Algorithm 1, Algorithm 2, mirror descent and the plain flow (3)."""
