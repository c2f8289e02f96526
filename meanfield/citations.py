"""What to cite for a result: the paper, and the sources of the methods that made it."""

from __future__ import annotations

from typing import Any

from meanfield.shown import Shown

PAPER = (
    "C. Domingo-Enrich, S. Jelassi, A. Mensch, G. M. Rotskoff, J. Bruna. A mean-field analysis of "
    "two-player "
    "zero-sum games. Advances in Neural Information Processing Systems 33, 2020."
)
_ETD = [
    "S. M. Cox, P. C. Matthews. Exponential time differencing for stiff systems. J. Comput. Phys. "
    "176, 2002.",
    "A.-K. Kassam, L. N. Trefethen. Fourth-order time-stepping for stiff PDEs. SIAM J. Sci. "
    "Comput. 26, 2005.",
]
_CF4 = [
    "M. Thalhammer. A fourth-order commutator-free exponential integrator for nonautonomous "
    "differential "
    "equations. SIAM J. Numer. Anal. 44, 2006.",
    "S. Blanes, P. C. Moan. Fourth- and sixth-order commutator-free Magnus integrators for linear "
    "and "
    "non-linear dynamical systems. Appl. Numer. Math. 56, 2006.",
]
_STRANG = [
    "G. Strang. On the construction and comparison of difference schemes. SIAM J. Numer. Anal. 5, "
    "1968."
]
_WANG_CHIZAT = [
    "G. Wang, L. Chizat. An exponentially converging particle method for the mixed Nash "
    "equilibrium of continuous games. Open J. Math. Optim. 6, 2025."
]
_KIM = [
    "J. Kim, K. Yamamoto, K. Oko, Z. Yang, T. Suzuki. Symmetric mean-field Langevin dynamics for "
    "distributional minimax problems. ICLR, 2024."
]
SOURCES = {
    "galerkin": _ETD,
    "harmonics": _ETD,
    "finite-volume": [
        "D. L. Scharfetter, H. K. Gummel. Large-signal analysis of a silicon Read diode "
        "oscillator. "
        "IEEE Trans. Electron Devices 16, 1969.",
        *_CF4,
    ],
    "staggered": [
        *_CF4,
        "H. Tal-Ezer, R. Kosloff. An accurate and efficient scheme for propagating the time "
        "dependent "
        "Schroedinger equation. J. Chem. Phys. 81, 1984.",
    ],
    "muscl": [
        "B. van Leer. Towards the ultimate conservative difference scheme V: a second-order "
        "sequel to Godunov's "
        "method. J. Comput. Phys. 32, 1979."
    ],
    "best-response": [
        "G. W. Brown. Iterative solution of games by fictitious play. Activity Analysis of "
        "Production and "
        "Allocation, 1951.",
        "C. Harris. On the rate of convergence of continuous-time fictitious play. Games and "
        "Economic Behavior 22, "
        "1998.",
    ],
    "particles": [
        "J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw. Parallel random numbers: as easy as "
        "1, 2, 3. SC11, 2011."
    ],
    "strang": _STRANG,
    "splitting": _STRANG,
    "mirror-prox": _WANG_CHIZAT,
    "alternating": [
        "R.-A. Lascu, M. B. Majka, L. Szpruch. Mirror descent-ascent for mean-field min-max "
        "problems. arXiv:2402.08106, 2024."
    ],
    "primal-dual": [
        "S. Ding, H. Dong, C. Fang, Z. Lin, T. Zhang. PAPAL: a provable particle-based primal-dual "
        "algorithm for mixed Nash equilibrium. arXiv:2303.00970, 2023.",
        "A. Chambolle, T. Pock. On the ergodic convergence rates of a first-order primal-dual "
        "algorithm. Math. Program. 159, 2016.",
    ],
    "averaged gradients": _KIM,
    "anchored best response": _KIM,
    "discounted gradients": [
        "Y. Lu, P. Monmarche. Convergence of time-averaged mean field gradient descent dynamics "
        "for continuous "
        "multi-player zero-sum games. arXiv:2505.07642, 2025."
    ],
    "two time scales": [
        "Y. Lu. Two-scale gradient descent ascent dynamics finds mixed Nash equilibria of "
        "continuous games: a "
        "mean-field perspective. ICML, 2023."
    ],
    "kernel density": [
        "F. R. Crucinio, S. Pathiraja. Sequential Monte Carlo approximations of Wasserstein-"
        "Fisher-Rao gradient flows. arXiv:2506.05905, 2025."
    ],
    "consensus": [
        "H. Huang, J. Qiu, K. Riedl. Consensus-based optimization for saddle point problems. SIAM "
        "J. Control Optim. 62, 2024."
    ],
    "quasistatic": [
        "C. Ma, L. Ying. Provably convergent quasistatic dynamics for mean-field two-player "
        "zero-sum games. ICLR, 2022."
    ],
    "entropic best response": [
        "R.-A. Lascu, M. B. Majka, L. Szpruch. Entropic mean-field min-max problems via best "
        "response flow. "
        "arXiv:2306.03033, 2023."
    ],
    "double oracle": [
        "H. B. McMahan, G. J. Gordon, A. Blum. Planning in the presence of cost functions "
        "controlled by an "
        "adversary. ICML, 2003."
    ],
    "continuation": [
        "H. B. Keller. Numerical solution of bifurcation and nonlinear eigenvalue problems. "
        "Applications of Bifurcation Theory, 1977."
    ],
    "circle": [
        "J. Delon, J. Salomon, A. Sobolevski. Fast transport optimization for Monge costs on the "
        "circle. "
        "SIAM J. Appl. Math. 70, 2010."
    ],
    "Wang-Chizat": _WANG_CHIZAT,
}
TOOLS = [
    "C. R. Harris et al. Array programming with NumPy. Nature 585, 2020.",
    "P. Virtanen et al. SciPy 1.0: fundamental algorithms for scientific computing in Python. "
    "Nature Methods 17, 2020.",
    "S. K. Lam, A. Pitrou, S. Seibert. Numba: a LLVM-based Python JIT compiler. LLVM-HPC, 2015.",
]


def methods(result: Any) -> list[str]:
    """The keys of SOURCES that stand behind a result, by its provenance."""
    about, field = getattr(result, "provenance", {}), getattr(result, "field", None)
    found = [str(about.get("engine", ""))]
    if about.get("level") == "particles" or hasattr(result, "samples"):
        found += ["particles", str(about.get("scheme", ""))]
    found += _of_flow(getattr(result, "flow", None))
    if about.get("bandwidth"):
        found += ["kernel density"]
    if about.get("exploration") is not None:
        found += ["consensus"]
    if about.get("inner") and "entropic best response" in found:
        found += ["anchored best response"]
    if field is not None:
        found += methods(field)
        found += ["circle"] if any(m.manifold.dim == 1 for m in field[0]) else []
    if hasattr(result, "certified"):
        found += ["double oracle"]
    if hasattr(result, "period") or hasattr(result, "periods"):  # orbits, by spectral engines
        found += ["galerkin"]
    if hasattr(result, "folds") or hasattr(result, "changes"):
        found += ["continuation"]
    game = getattr(result, "game", None) or getattr(field, "game", None)
    if "Wang-Chizat" in str(getattr(game, "name", "")):
        found += ["Wang-Chizat"]
    return [key for key in dict.fromkeys(found) if key in SOURCES]


def _of_flow(flow: Any) -> list[str]:
    """What a flow takes from later work."""
    found = []
    if memory := getattr(flow, "memory", None):
        found += ["averaged gradients" if memory.rate is None else "discounted gradients"]
    if getattr(flow, "quasistatic", False):
        return [*found, "quasistatic"]
    if getattr(flow, "diffuses", False) and flow.gamma[0] != flow.gamma[1]:
        found += ["two time scales"]
    return [*found, "entropic best response"] if getattr(flow, "softens", False) else found


def cite(result: Any) -> str:
    """The paper and the sources of the methods behind a result, a line each.

    Parameters
    ----------
    result
        A run, a comparison, an equilibrium or any other result.

    Returns
    -------
    str

    Raises
    ------
    TypeError
        For what is no result.
    """
    if not isinstance(result, Shown):
        raise TypeError(f"cite takes a result, such as a run, got {result!r}")
    return "\n".join([PAPER, *(line for key in methods(result) for line in SOURCES[key]), *TOOLS])
