"""What is read off machine code of other processors: inner loops, multiplications, the stack."""

from benchmarks.machine_code import loops
from benchmarks.processors import Row, _large, remarks

TEXT = """\
kernel:
\tpushq\t%rbp
.LBB0_1:
\tvmovupd\t(%rdi,%rcx,8), %ymm1
\tvmovupd\t%ymm2, 32(%rsp)
\tvmovupd\t%ymm3, 64(%rsp,%rcx,8)
\tvfmadd213pd\t96(%rsp), %ymm1, %ymm2
\tvmulpd\t%ymm1, %ymm2, %ymm4
\tvmulsd\t%xmm1, %xmm2, %xmm4
\tincq\t%rcx
\tjne\t.LBB0_1
.LBB0_2:
\tvmulpd\t%zmm1, %zmm2, %zmm4
\tvmulpd\t%zmm1, %zmm2, %zmm4
\tcallq\tother
\tjne\t.LBB0_2
\tretq
"""


def test_loops_are_read_off_with_what_they_do():
    first, second = loops(TEXT)
    assert (first.function, first.times, second.times) == ("kernel", 9, 16)
    # A place with an index is one of an array.
    assert (first.stored, first.loaded) == (1, 1)
    assert [loop.times for loop in _large([first, second])] == [9]  # the other calls


def test_what_is_behind_is_split_into_units_and_the_rest():
    best, slower = Row(0.1, 0.1, 0, 0), Row(0.3, 0.2, 2, 5)
    assert not list(remarks(best, [best, slower]))
    stack, behind = remarks(slower, [best, slower])
    assert "puts 2 vectors" in stack
    assert "3.0 times the best: 2.0 by its units, 1.5 beside" in behind
