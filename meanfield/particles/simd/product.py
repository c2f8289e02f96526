"""Products of a small matrix with a block of lanes, held in registers.

The compiler's own vectors add one row at a time and wait for memory. Here a tile of rows times 16
lanes stays in registers while the columns pass by, and one load serves several rows. Each entry is
one sum, first column to last, whatever the sizes; two replicas in two threads share nothing, unlike
a BLAS with threads of its own.
"""

from __future__ import annotations

from meanfield.checks import Array
from meanfield.jit import apart, fma, kernel, smaller
from meanfield.lanes import Lanes, fused, load, nothing, store, total
from meanfield.registers import BITS

TILE = 16  # lanes come in multiples of it
# Rows at a time: their sums and what these take in must fit in 16 registers of 4 lanes (AVX2), in
# 32 of 8 (AVX-512) or in 32 of 2 (ARM). With 2 rows a Zen 3 does 40 Gflop/s, with 3 or more 19. No
# sum depends on it.
_ROWS = 4 if BITS == 512 else 2
# Lanes of a product of two rows that are taken together: all four of its factors fit in registers.
_PIECE = 8 if BITS == 128 else TILE


@kernel
def _two_rows(A: Array, F: Array, out: Array, k: int, i: int, j: int) -> None:
    """out[q, j : j + TILE] = sum_m A[q, m] F[m, i : i + TILE] for q = k, k + 1; a row past the last
    repeats it.
    """
    l = smaller(k + 1, len(A) - 1)
    a, b = A[k], A[l]
    p = q = nothing(TILE)
    for m in range(A.shape[1]):
        f = load(TILE, F, m, i)
        p, q = fused(a[m], f, p), fused(b[m], f, q)
    store(p, out, k, j)
    store(q, out, l, j)


@kernel
def _four_rows(A: Array, F: Array, out: Array, k: int, i: int, j: int) -> None:
    """The same for q = k, ..., k + 3."""
    last = len(A) - 1
    l, m, n = smaller(k + 1, last), smaller(k + 2, last), smaller(k + 3, last)
    a, b, c, d = A[k], A[l], A[m], A[n]
    p = q = r = s = nothing(TILE)
    for h in range(A.shape[1]):
        f = load(TILE, F, h, i)
        p, q, r, s = fused(a[h], f, p), fused(b[h], f, q), fused(c[h], f, r), fused(d[h], f, s)
    store(p, out, k, j)
    store(q, out, l, j)
    store(r, out, m, j)
    store(s, out, n, j)


_rows = _four_rows if _ROWS == 4 else _two_rows


@kernel(forceinline=True)
def complex_product(a: Lanes, b: Lanes, c: Lanes, d: Lanes) -> tuple[Lanes, Lanes]:
    """Real and imaginary part of (a + i b) (c + i d)."""
    return fused(a, c, -(b * d)), fused(b, c, a * d)


@kernel
def times(
    U: Array, u: int, t: int, sign: float, V: Array, v: int, s: int, W: Array, w: int, r: int,
    i: int,
) -> None:  # fmt: skip
    """W[w] + i W[r] = (U[u] + i sign U[t]) (V[v] + i V[s]) on lanes i, ..., i + TILE - 1.

    By itself the compiler would first compare the nine pairs of rows for overlap, and gives up at
    eight.
    """
    for j in range(i, i + TILE, _PIECE):
        a, b = load(_PIECE, U, u, j), load(_PIECE, U, t, j) * sign
        c, d = complex_product(a, b, load(_PIECE, V, v, j), load(_PIECE, V, s, j))
        store(c, W, w, j)
        store(d, W, r, j)


@kernel
def product(A: Array, F: Array, out: Array) -> None:
    """out = A F for A (r, K), F (K, lanes), lanes a multiple of TILE; all in C order."""
    apart()
    if len(A) == 1:
        combine(A[0], F, out[0])
        return
    for i in range(0, F.shape[1], TILE):
        for k in range(0, len(A), _ROWS):
            _rows(A, F, out, k, i, i)


@kernel
def combine(a: Array, F: Array, out: Array) -> None:
    """out = a F for a (K,), where `product` would compute several copies of the one row. The sums
    are the same, term by term.
    """
    for i in range(0, len(out), TILE):
        p = nothing(TILE)
        for k in range(len(a)):
            p = fused(a[k], load(TILE, F, k, i), p)
        store(p, out, 0, i)


@kernel
def products(A: Array, x: Array, out: Array) -> None:
    """The product with every block of x (blocks, K, lanes)."""
    for b in range(len(x)):
        product(A, x[b], out[b])


@kernel
def strip(A: Array, F: Array, i: int, out: Array) -> None:
    """out (r, TILE) = A F[:, i : i + TILE]."""
    for k in range(0, len(A), _ROWS):
        _rows(A, F, out, k, i, 0)


@kernel
def apply(M: Array, m: Array, out: Array) -> None:
    """out = M m; spelled out, so that no linear algebra library is loaded for a few numbers."""
    apart()
    whole = M.shape[1] // 8 * 8
    for i in range(len(M)):
        s = nothing(8)
        for j in range(0, whole, 8):
            s = fused(load(8, M, i, j), load(8, m, 0, j), s)
        out[i] = total(s)
        for j in range(whole, M.shape[1]):
            out[i] = fma(M[i, j], m[j], out[i])
