"""Theorem 3's levels: what n E W2^2 is, and which wrong mean field the particles would show."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from meanfield.checks import Array
from meanfield.studies.statistics import band
from meanfield.studies.stored import Data
from meanfield.studies.verdicts import Verdict, below
from validation.theorem3_controls import Predicted, low, predict

Row = dict[str, np.ndarray]
DRAWS = 2000


def with_controls(which: str, sizes: list[int], rows: list[Row]) -> None:
    """Give the rows of one problem what the copies predict: "left", the moments (R, 2 K) at T that
    they do not, and controls of W2^2 and of |NI - NI*|.
    """
    times = range(len(rows[0]["times"]))
    found = [_predicted(which, sizes, rows, [r["eta"][:, k] for r in rows], k, True) for k in times]
    for i, row in enumerate(rows):
        row["left"] = row["eta"][:, -1] - found[-1][i].values
        energies = [found[k][i].energies(row["metric"][k]) for k in times]
        row["control"] = np.stack(energies, 1)[: len(row["squared"])]
    for key in ("ni", "ni_average"):
        if key not in rows[0]:
            continue
        controls = []
        for k in times[1:]:
            gaps = [r[key][:, k - 1 : k] - r[f"field_{key}"][k - 1] for r in rows]
            of = _predicted(which, sizes, rows, gaps, k, False)
            controls.append([np.abs(p.values) - p.size() for p in of])
        for i, row in enumerate(rows):
            row[f"{key}_control"] = np.concatenate([c[i] for c in controls], 1)


def _predicted(
    which: str, sizes: list[int], rows: list[Row], targets: list[Array], k: int, own: bool
) -> list[Predicted]:
    copied = [r["zeta"][:, k] for r in rows]
    return predict(sizes, targets, copied, rows[-1]["sigma"][k], low(which), own)


def level(name: str, n: int, row: Row, limit: Data, within: float) -> Iterator[Verdict]:
    """On the circle n E W2^2 over its Gaussian limit, at the worst time, and that of the copies at
    T; on every space the particles' at T over the copies' and what interaction adds.
    """
    count = len(row["copies"])
    energies = n * (_energies(row)[:count] - _energy(row) / n)
    if "independent" in limit:
        independent = limit["independent"]
        exact = independent + limit["interaction"]
        mean, low_, high = band(n * row["squared"], controls=n * row["control"])
        off, half = mean / exact - 1, (high - low_) / 2 / exact
        k = int(np.argmax(np.abs(off) + half))
        claim = f"{name}: n E W2^2 at n = {n} over its Gaussian limit, at the worst of all times"
        yield Verdict(claim, float(1 + off[k]), 1, within, float(half[k]))
        mean, low_, high = (float(v) for v in band(n * row["copies"], controls=energies))
        claim = f"{name}: n E W2^2 of {n} copies at T over the limit for independent samples"
        alone = float(independent[-1])
        yield Verdict(claim, mean / alone, 1, within, (high - low_) / 2 / alone)
    added = n * (row["squared"][:count, -1] - row["copies"])
    controls = n * row["control"][:count, -1] - energies
    mean, low_, high = (float(v) for v in band(added, controls=controls))
    expected = float(limit["interaction"][-1])
    size = n * float(row["copies"].mean()) + expected
    claim = f"{name}: n E W2^2 at T, n = {n}, over that of independent samples and interaction"
    yield Verdict(claim, 1 + (mean - expected) / size, 1, within, (high - low_) / 2 / size)


def _energies(row: Row) -> Array:
    """zeta' A^-1 zeta of the copies at T, (R,)."""
    zeta, inverse = row["zeta"][:, -1], np.linalg.inv(row["metric"][-1])
    return np.asarray(np.einsum("ri,ij,rj->r", zeta, inverse, zeta))


def _energy(row: Row) -> float:
    """n times its mean."""
    return float(np.trace(np.linalg.solve(row["metric"][-1], row["sigma"][-1])))


def energy(name: str, sizes: list[int], rows: list[Row], within: float) -> Verdict:
    """The copies' mean energy of low modes at T over its exact mean."""
    pairs = zip(sizes, rows, strict=True)
    ratio = np.concatenate([n * _energies(r) / _energy(r) for n, r in pairs])
    half = 1.96 * ratio.std(ddof=1) / np.sqrt(len(ratio))
    claim = f"{name}: energy of the copies at T over its exact mean"
    return Verdict(claim, float(ratio.mean()), 1, within, half)


def fits(
    name: str, n: int, row: Row, sensitivities: Data, resolution: float, apart: float
) -> Iterator[Verdict]:
    """The parameters at which a mean field has the particles' moments at T, over its own, less one;
    the distance W2 of the particles' mean law from it over that of mean fields so far apart.
    """
    left, inverse = row["left"], np.linalg.pinv(row["sigma"][-1], hermitian=True)
    metric, reach = np.linalg.inv(row["metric"][-1]), []
    for parameter, s in sensitivities.items():
        weights = inverse @ s / (s @ inverse @ s)
        mean, low_, high = (float(v) for v in band(left @ weights))
        claim = f"{name}: {parameter} of {n} particles over the mean field's, less one"
        yield Verdict(claim, mean, 0, resolution, (high - low_) / 2)
        reach.append(apart * float(np.sqrt(s @ metric @ s)))
    centre, R = left.mean(axis=0), len(left)
    noise = np.random.default_rng(0).standard_normal((DRAWS, R)) @ (left - centre) / R
    sizes = np.sqrt(np.einsum("ri,ij,rj->r", noise, metric, noise))
    far = float(np.sqrt(centre @ metric @ centre))
    claim = (
        f"{name}: W2 of the mean law of {n} particles from the mean field, low modes, over that of "
        f"mean fields {apart:.0%} apart in {' or '.join(sensitivities)}"
    )
    error = float(np.quantile(sizes, 0.95)) * np.sqrt(R / (R - 1))
    yield below(claim, far / min(reach), 1.0, error / min(reach))
