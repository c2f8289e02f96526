"""What `meanfield check` and `meanfield figure` take and say of themselves; what they do is in
`meanfield.cli.check` and `meanfield.cli.figure`.
"""

from __future__ import annotations

from typing import Any

CHECK_HELP = """The paper's theorems on a file's game: Theorem 1 (where (7) converges, it does to
the fixed point (9), a near-equilibrium; or does it cycle?) and Theorem 3 (n particles follow the
mean field) for Langevin flows, Theorem 2 (time averages of (8)) and 3 for WassersteinFisherRao.
Each verdict, "holds", "fails" or "inconclusive", is that of a 95% interval. One HTML page,
pictures, a table and the numbers go to a folder, named after the file. All keys of section [check]
may be left out:

  theorems = [1, 3]           time = 1.0                        particles = [100, 1000, 10000]
  step = 0.01                 replicas = 40                     cells = 256
  seed = 0                    threads = 2

The exit code is 1 where a theorem fails.

"""


FIGURE_HELP = """Pictures of the paper for a file's game, as PDF and PNG with a caption. Keys of
[figure]:

--kind page: the mean field over time with particles beside it, the orbit of their means, and
W2^2 between n particles and the mean field against n

  time = 20.0                 particles = 1000                  sizes = [100, 1000, 10000]
  compare_time = 2.0          replicas = [60, 40, 24]           cells = 256
  step = 0.005                save_every = 0.1                  seed = 0

--kind figure1: Nikaido-Isoda errors over iterations of mirror descent, L-DA and WFR-DA, and at the
end against n and beta; any dimension

  time = 10.0                 sizes = [50, 200]                 betas = [10.0, 30.0, 100.0]
  beta = 100.0                gamma = 1.0                       alpha = 1.0
  step = 0.002                replicas = 4                      saves = 20

"""


def add_figure(command: Any, quiet: Any) -> None:
    """The options of `meanfield figure`."""
    add = command("figure", "draw the paper's pictures for a game", "FILE.toml", FIGURE_HELP)
    changes(add)
    add("--kind", choices=("page", "figure1"), default="page", help="which (default: page)")
    add("--out", metavar="DIR", help="the folder to write to (default: named after the file)")
    add("--quiet", **quiet)


def add_check(command: Any, quiet: Any) -> None:
    """The options of `meanfield check`."""
    add = command("check", "put the paper's theorems to the test", "FILE.toml", CHECK_HELP)
    changes(add)
    add("--full", action="store_true", help="large sizes (default: quick ones, about a minute)")
    add("--out", metavar="DIR", help="the folder to write to (default: named after the file)")
    add("--quiet", **quiet)


def changes(add: Any) -> None:
    """The option --set."""
    add(
        "--set", metavar="SECTION.KEY=VALUE", action="append", default=[],
        help="change the file's value",
    )  # fmt: skip
