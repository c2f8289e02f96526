"""What `meanfield check` takes and says of itself; what it does is in `meanfield.cli.check`."""

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
