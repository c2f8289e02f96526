"""Values of matrix games by scipy's linear programs alone: the independent answer for exact equilibria."""

import numpy as np
from scipy.optimize import linprog


def grid_value(A):
    """Value of the matrix game A (rows minimise), with no code of the package's."""
    n, m = A.shape
    answer = linprog(
        np.r_[np.zeros(n), 1.0], A_ub=np.c_[A.T, -np.ones(m)], b_ub=np.zeros(m),
        A_eq=np.r_[np.ones(n), 0.0][None], b_eq=[1.0], bounds=[(0, None)] * n + [(None, None)],
    )  # fmt: skip
    return answer.fun
