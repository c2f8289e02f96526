"""Philox4x32-10 by whole numbers, to hold the kernels' words against."""

LOW = 0xFFFFFFFF


def philox(counter, key):
    """Four words of a counter of four under a key of two."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        p, q = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (q >> 32) ^ b ^ k, q & LOW, (p >> 32) ^ d ^ m, p & LOW
        k, m = (k + 0x9E3779B9) & LOW, (m + 0xBB67AE85) & LOW
    return a, b, c, d


def words(pair, tick, stream, replica, key):
    """Those of a pair of particles in a run under a seed of 64 bits."""
    return philox((pair, tick, stream, replica), (key & LOW, key >> 32))
