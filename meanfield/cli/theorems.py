"""What `meanfield check`, `figure` and `gan` take and say of themselves; what they do is in
`meanfield.cli.check`, `meanfield.cli.figure` and `meanfield.cli.gan`.
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


GAN_HELP = """Sections of the file; all keys are in the reference:

  [data]                     [generator]                [critic]
  kind = "ring"              kind = "mlp"               kind = "mlp"
  modes = 8                  depth = 1                  depth = 2

  [gan]                      [flow]                     [train]
  noise = 16                 name = "WassersteinFisherRao"   steps = 1200
  clip = 0.3                 gamma = [1.0, 3.0]         step = 0.001
                             alpha = 10.0               generators = 5
                                                        critics = 5
train FILE.toml     trains, keeps RUN.h5 and, beside it, RUN.csv and RUN.png up to date;
                    stopped or killed, the same command goes on to the same bits
sample RUN.h5       writes outputs of the mixture to SAMPLES.npz
evaluate RUN.h5     scores: with --data FOLDER for images
show RUN.h5         a summary, and the picture beside the file; needs no PyTorch

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


def add_gan(command: Any, quiet: Any) -> None:
    """The options of `meanfield gan`."""
    add = command("gan", "train, sample, evaluate or show a mixture of GANs", "", GAN_HELP)
    add("action", choices=("train", "sample", "evaluate", "show"), help="what to do")
    add("file", metavar="FILE", help="a FILE.toml for train, else a RUN.h5")
    changes(add)
    add("--out", metavar="FILE", help="where the result goes (default: named after the file)")
    add("--count", type=int, default=2500, help="how many outputs (default: 2500)")
    add("--seed", type=int, default=0, help="of the outputs (default: 0)")
    add("--data", metavar="FOLDER", help="evaluate: where the files of the images are")
    add("--quiet", **quiet)
