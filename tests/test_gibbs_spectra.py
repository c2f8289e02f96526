"""Spectra of flows beyond (7): in closed form for c cos(x - y), by finite volumes for wells."""

from __future__ import annotations

import numpy as np
import pytest

import meanfield as mf
from meanfield.flows import Flow
from tests.later_flows import WITHOUT_SPECTRUM
from validation.linearised import Linear

OSCILLATOR, coupled = mf.games.oscillator(), mf.games.uniform_equilibrium

FLOWS = {
    "discounted, two of each": Flow((1.0, 0.4), 0.0, (0.5, 0.8), memory=mf.Memory(rate=0.7)),
    "entropic WFR": mf.EntropicWassersteinFisherRao((2.0, 3.0), (1.0, 0.5), (2.0, 0.7)),
    "entropic best response": mf.EntropicBestResponse((2.0, 5.0), (1.0, 0.5)),
    "all at once": Flow(1.0, (0.5, 2.0), (0.5, 0.8), (1.0, 0.0), memory=mf.Memory(rate=2.0)),
    "two time scales": mf.TwoTimeScale(2.0, 5.0),
}


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_flows_have_their_closed_spectra(flow):
    """G = gamma k^2 + alpha + rho / T relaxes mode k against T g + force; only k = 1 has force."""
    c = 3.0
    T = np.array(flow.temperature)
    spectrum = mf.stability(coupled(c), flow, cells=64, count=400)
    found = spectrum.eigenvalues
    assert spectrum.residuals.max() < 1e-9 * np.abs(found).max()
    for k in (1, 2):
        G = k**2 * np.array(flow.gamma) + flow.alpha + np.array(flow.response) / T
        own = np.polymul([1, G[0] * T[0]], [1, G[1] * T[1]])
        force = G[0] * G[1] * c**2 / 4 if k == 1 else 0.0
        if flow.memory is not None and k == 1:
            own = np.polymul(own, np.polymul([1, flow.memory.rate], [1, flow.memory.rate]))
            force *= flow.memory.rate**2
        for root in np.roots(np.polyadd(own, [force])):
            assert (np.abs(found - root) < 1e-8).sum() >= 2  # a cosine and a sine


def test_a_quasistatic_player_makes_the_other_one_fall():
    """Alone at T, and by the answer at c^2 / (4 T) more."""
    found = mf.stability(coupled(3.0), mf.Quasistatic((2.0, 4.0)), cells=64, count=400)
    assert (np.abs(found.eigenvalues + 0.5 + 3.0**2) < 1e-8).sum() == 2
    assert np.abs(found.eigenvalues.imag).max() < 1e-8 and found.residuals[:4].max() < 1e-9
    swapped = mf.stability(coupled(-3.0), mf.Quasistatic((4.0, 2.0), fast="x"), cells=64, count=400)
    np.testing.assert_allclose(swapped.eigenvalues, found.eigenvalues, atol=1e-8)


def test_spectra_of_wells_are_those_of_another_discretisation():
    """On the oscillator; by finite volumes, extrapolated from 64 and 128 cells."""
    for beta, rate, alpha in ((1.0, 0.1, 0.0), (5.0, 0.3, 0.0), (5.0, None, 2.0)):
        found = (Linear(OSCILLATOR, beta, n, alpha).leading(rate) for n in (64, 128))
        coarse, fine = (complex(one.real, abs(one.imag)) for one in found)
        flow = mf.EntropicWassersteinFisherRao(beta, 1.0, alpha)
        if rate is not None:
            flow = mf.DiscountedLangevin(beta, rate)
        lead = mf.stability(OSCILLATOR, flow, cells=64).eigenvalues[0]
        known = (4 * fine - coarse) / 3
        assert abs(lead - known) < 2e-5


def test_large_meshes_have_the_spectrum_of_small_ones():
    """By a few modes of each player; `residuals` tell what is missed."""
    for flow in (mf.DiscountedLangevin(5.0, 0.3), FLOWS["entropic WFR"]):
        few, all_of_them = (mf.stability(OSCILLATOR, flow, cells=n, count=4) for n in (400, 128))
        np.testing.assert_allclose(few.eigenvalues, all_of_them.eigenvalues, atol=1e-8)
        assert few.residuals.max() < 1e-8


@pytest.mark.parametrize(("flow", "says"), WITHOUT_SPECTRUM)
def test_flows_that_have_no_spectrum_are_told(flow, says):
    with pytest.raises(ValueError, match=says):
        mf.stability(coupled(1.0), flow)


def test_what_does_not_belong_together_is_told():
    game, flow = coupled(1.0), mf.Langevin(1.0)
    near, torus = mf.gibbs(game, 1.0, cells=16), mf.games.benchmark("torus")
    for given, error, says in (
        ({"near": mf.gibbs(game, 2.0, cells=16)}, ValueError, "give that of its temperatures"),
        ({"near": mf.nash(OSCILLATOR)}, TypeError, "near must be what gibbs returns"),
        ({"near": near, "cells": 32}, ValueError, "has its cells already"),
        ({"gamma": 2.0}, TypeError, "the flow has its own gamma"),
    ):
        with pytest.raises(error, match=says):
            mf.stability(game, flow, **given)
    with pytest.raises(ValueError, match="but the game has"):
        mf.stability(torus, mf.MirrorDescent(), near=mf.nash(OSCILLATOR))
