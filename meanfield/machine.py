"""Where and with what a result was made, for its provenance."""

from __future__ import annotations

import platform
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np


def made() -> dict[str, str]:
    """Date, processor, operating system, Python, linear algebra and, in a checkout, its commit.

    Results do not depend on the first, and the same bits are promised on processors of one kind.
    """
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"), **_here()}


@cache
def _here() -> dict[str, str]:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    found = {"processor": processor(), "system": platform.platform(), "python": python}
    found["blas"] = blas()
    return {**found, **({"commit": at} if (at := commit()) else {})}


def processor() -> str:
    """The processor's architecture and model, as far as the system tells."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return f"{platform.machine()}, {line.split(':', 1)[1].strip()}"
    return ", ".join(filter(None, (platform.machine(), platform.processor())))


def blas() -> str:
    """The library that numpy multiplies matrices with."""
    with suppress(TypeError, KeyError, AttributeError):
        held: Any = np.show_config(mode="dicts")
        library = held["Build Dependencies"]["blas"]
        return f"{library['name']} {library['version']}"
    return "unknown"


def commit() -> str:
    """The commit of the package's own checkout, with "+" where files differ from it; else empty."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    ask = ["git", "-C", str(root), "--no-optional-locks"]
    how: Any = {"capture_output": True, "text": True, "timeout": 10, "check": True}
    with suppress(OSError, subprocess.SubprocessError):
        at = subprocess.run([*ask, "rev-parse", "HEAD"], **how).stdout.strip()
        changed = subprocess.run([*ask, "status", "--porcelain", "--", "meanfield"], **how).stdout
        return at + ("+" if changed.strip() else "")
    return ""
