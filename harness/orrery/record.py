"""Record a scenario's VM exits into a folder."""
from __future__ import annotations

import tempfile
from pathlib import Path

from . import run, trace
from .base import BadInput


def save(outcome: run.Outcome, folder: Path) -> None:
    """Write the recording. An existing one is replaced only by a whole one."""
    if not outcome.trace:
        raise BadInput(f"scenario '{outcome.scenario}' on {outcome.on} wrote no trace: it runs no guest")
    with tempfile.TemporaryDirectory(prefix="orrery-") as scratch:
        raw = Path(scratch) / "trace"
        raw.write_bytes(outcome.trace)
        env = {"scenario": outcome.scenario, "machine": outcome.on, "vendor": outcome.vendor, "cpus": outcome.cpus, "seed": outcome.seed}
        trace.save(raw, folder, env)
