"""What the cases of `benchmarks.fuzz` begin from: right texts and files, and changes at random."""

from __future__ import annotations

import random
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

# ruff: noqa: SIM905  (words are easier read than lists of words)
TOKENS = {
    "formula": (
        "x y x1 x2 y1 y2 sin( cos( exp( log( sqrt( tan( asin( abs( tanh( ) ( + - * / ** 2 0.5 1e3 "
        "1e-9 64 pi 0 -1 x999 cos(x-y) 2*x (x+y) 1/(2+cos(x)) 1e99 __class__ import"
    ).split(),
    "toml": (
        "[game] [flow] [start] [run] [compare] [check] [gibbs] [nash] [output] [sweep] [figure] = "
        "name expression constants X Y torus sphere period coupling beta gamma alpha ratio memory "
        "cooling kind power rate level field particles time step save_every record cells engine "
        "tol seed replica refine placement x y center std density points masses command range "
        'linspace logspace replicas "uniform" "Langevin" "oscillator" true nan inf -inf 1e308 '
        '-1 0 1e-300 9223372036854775807 [1,2] {} [] {a=1} "\\u0000" 1979-05-27 "../../x.h5"'
    ).split(),
}
TOKENS["grammar"] = TOKENS["formula"]


@cache
def known(target: str) -> tuple[bytes, ...]:
    """Texts and files that are right, or were wrong once."""
    if target in ("grammar", "formula"):
        texts = ("cos(x - y) + 0.3*sin(2*x)*cos(y)", "exp(cos(x - y))/(2 + sin(x))",
                 "x1*y1 + x2**2", "(1 + cos(x)**2)**0.5", "log(3 + cos(x)*sin(y + x))",
                 "sin(2*pi*x)*y1")  # fmt: skip
        first = [bytes([k]) if target == "formula" else b"" for k in range(len(texts))]
        return tuple(k + text.encode() for k, text in zip(first, texts, strict=True))
    if target == "toml":
        from meanfield.cli.examples import shipped

        return tuple(text.encode() for text in shipped().values())
    return tuple(_results(target))


def _results(target: str) -> list[bytes]:
    import meanfield as mf

    game, flow, wide = mf.games.oscillator(), mf.Langevin(5.0), mf.Start(mf.concentrated(1.0, 0.6))
    formula = mf.games.expression("exp(cos(x - y))")
    how: Any = {"time": 0.02, "step": 0.01, "save_every": 0.01, "progress": False}
    made = [
        mf.simulate(game, flow, mf.Start(), particles=3, **how),
        mf.simulate(formula, mf.WassersteinFisherRao(), mf.Start(), particles=(2, 3), **how),
        mf.solve(game, flow, wide, time=0.02, cells=16, save_every=0.01),
        mf.gibbs(game, 1.0, cells=16),
        mf.nash(mf.games.polynomial("a", 3)),
        mf.compare(game, flow, wide, time=0.02, particles=(2, 3), replicas=2,
                   cells=16, threads=1),
        mf.sweep(mf.gibbs, mf.games.oscillator, over={"beta": [1.0, 2.0]}, cells=16),
        mf.uniform(mf.Torus(1)),
    ]  # fmt: skip
    if target == "bytes":
        made = [made[k] for k in (0, 3, 7)]
    with tempfile.TemporaryDirectory() as folder:
        return [_content(mf.save(one, Path(folder) / f"{k}.h5")) for k, one in enumerate(made)]


def _content(path: Path) -> bytes:
    """What HDF5 wrote, without our digests."""
    from meanfield.storage.seal import read_seal

    return path.read_bytes()[: read_seal(path).length]


def mutated(rng: random.Random, target: str) -> bytes:
    """A case at random: a few changes of something known."""
    if target == "structure":
        return rng.randbytes(rng.randrange(4, 40))
    data = bytearray(rng.choice(known(target)))
    tokens = TOKENS.get(target, ["\0", "\xff", "\x01"])
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 1:
            data[at : at + rng.randrange(1, 9)] = b""
        elif kind == 2 and target == "bytes" and at < len(data):
            data[at : at + 8] = rng.choice([b"\xff" * 8, b"\0" * 8, rng.randbytes(8)])
        elif target != "bytes":
            data[at:at] = rng.choice(tokens).encode() + b" " * rng.randrange(2)
    return bytes(data)
