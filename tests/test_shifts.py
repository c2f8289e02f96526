"""The drift of Fourier modes as Python runs it, against the sum over modes itself."""

from types import SimpleNamespace

import numpy as np
import pytest

import meanfield as mf
from meanfield.density import shifts, stages
from meanfield.density.fourier import FourierModes
from meanfield.flows import Rates
from meanfield.games.lowrank import trigonometric


@pytest.mark.parametrize(
    ("nodes", "pairs"),
    [((9,), 1), ((9,), 2), ((7, 6), 4), ((7, 6), 6), ((5, 6, 4), 2), ((5, 6, 4), 5)],
)
def test_drift_is_the_sum_over_the_modes_of_the_cost(nodes, pairs, monkeypatch):
    """-gamma w^2 sum_m (k.m) U_m mu_(k-m), m over both signs, mu_j = 0 beyond the modes kept."""
    monkeypatch.setattr(shifts, "separate", lambda: None)
    for name in ("mirror", "_pair", "_pairs", "_pull", "_pull_all", "_add", "use"):
        monkeypatch.setattr(shifts, name, getattr(shifts, name).py_func)
    d, rng = len(nodes), np.random.default_rng(5)
    torus = mf.Torus(d, period=3.0)
    every = [*np.ndindex(*(3,) * d)][1:]  # no two of these are mirror images
    m = [every[i] for i in rng.permutation(len(every))[:pairs]]
    terms = [(one, one, 1.0, 0.5) for one in m]
    basis = trigonometric(terms, torus, torus).bases[0]
    game = SimpleNamespace(
        bases=(basis, basis), coefficients=lambda p, moments: np.ones((basis.size, basis.size))
    )
    modes = FourierModes(torus, nodes, tuple(np.abs(basis.modes).max(axis=0).astype(int)))
    player = modes.player(game, 0, Rates(0.7, 0.0, 0.1))
    waves = np.rint(basis.modes).astype(int)
    waves = waves[(waves != 0).any(axis=1)]
    assert len(waves) == len(m) and len(player.together) == min(4, 1 << (pairs - 1).bit_length())
    assert len(player.shifts) % len(player.together) == 0
    z = rng.standard_normal(len(modes.k)) + 1j * rng.standard_normal(len(modes.k))
    z[modes.offsets == 0] = 1.0
    U = rng.standard_normal(len(m)) + 1j * rng.standard_normal(len(m))
    work = np.zeros((stages.FLUX, 2, 2 * modes.centre + modes.span + 8))
    work[stages.N1] = rng.standard_normal(work[0].shape)
    work[0][:, modes.places] = z.real, z.imag
    work[stages.COST][:, : len(m)] = U.real, U.imag
    shifts.mirror(work[0], modes.centre)
    c = rng.random((stages.FACTORS, modes.span))
    for of_a, to in ((False, stages.N5), (True, stages.STAGE_B)):
        shifts.pull.py_func(
            player.together, player.drift, player.waves, player.shifts, work[stages.COST], work[0],
            modes.centre, work[stages.SUM], of_a, c, work[stages.STATE], work[stages.N1], work[to],
            work[stages.NEXT],
        )  # fmt: skip
    E, Q, b1, b2, _ = c[:, modes.offsets]
    full = {tuple(k): c for k, c in zip(modes.k, z, strict=True)}
    full |= {tuple(-k): c.conjugate() for k, c in zip(modes.k, z, strict=True)}
    for k, at in zip(modes.k, modes.offsets, strict=True):
        wanted = sum(
            (k @ one) * (u * full.get(tuple(k - one), 0) - np.conj(u) * full.get(tuple(k + one), 0))
            for one, u in zip(waves, U, strict=True)
        )
        found = work[stages.N5, 0, at] + 1j * work[stages.N5, 1, at]
        assert found == pytest.approx(-0.7 * (2 * np.pi / 3.0) ** 2 * wanted, rel=1e-12, abs=1e-12)
    # What is handed to `use`.
    d = work[stages.N5][:, modes.offsets]
    u, n1 = work[stages.STATE][:, modes.places], work[stages.N1][:, modes.offsets]
    b, end = work[stages.STAGE_B][:, modes.places], work[stages.NEXT][:, modes.places]
    np.testing.assert_allclose(b, E * u + Q * d, rtol=1e-13)
    np.testing.assert_allclose(end, E**2 * u + b1 * n1 + b2 * d, rtol=1e-13)
