"""Sums over many numbers, in one order.

A library of linear algebra cuts long products into as many parts as it has threads, and the sum of
the parts has other bits for other numbers of them. Short ones it leaves to one thread.
"""

from __future__ import annotations

import numpy as np

from meanfield.checks import Array

SHORT = 8192  # products; OpenBLAS takes further threads from 9216 on


def total(masses: Array, values: Array) -> float:
    """sum_i masses_i values_i."""
    return float(np.sum(masses * values))


def means(features: Array, masses: Array) -> Array:
    """sum_i features_ki masses_i for features (K, n), shape (K,)."""
    if features.size <= SHORT:
        return features @ masses
    found, step = np.zeros(len(features)), max(1, SHORT // max(len(features), 1))
    for i in range(0, len(masses), step):
        found += features[:, i : i + step] @ masses[i : i + step]
    return found
