"""Record a scenario's VM exits into a folder, and replay such a folder in the process."""
from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from . import bundle as bundles
from . import machines, manifest, run, trace
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


def load(folder: Path) -> dict[str, object]:
    """The environment of a recording, checked."""
    env = trace.environment(folder)
    missing = [key for key in ("scenario", "vendor", "cpus") if key not in env]
    if missing or not env["cpus"].isdecimal():
        raise BadInput(f"{folder / 'metadata'}: env: {missing[0] if missing else 'cpus'}: {'missing' if missing else 'no number'}")
    return {**env, "cpus": int(env["cpus"])}


def replay(folder: Path, vendor: str | None) -> int:
    """Run the kernel and the VMM against the recorded exits; the exit status of the runner."""
    meta = load(folder)
    scenario = manifest.load(str(meta["scenario"]))
    chosen, cpus = machines.resolve(scenario, "sim", vendor or str(meta["vendor"]), int(str(meta["cpus"])))
    machines.prepare("sim")
    with tempfile.TemporaryDirectory(prefix="orrery-") as scratch:
        file = Path(scratch) / "bundle"
        file.write_bytes(bundles.build(scenario))
        argv = [str(machines.SIM_BINARY), "replay", str(file), str(folder), "--vendor", chosen, "--cpus", str(cpus), "--memory",
                str(scenario.memory_mb), *machines.sim_line(scenario)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        try:
            output = process.communicate()[0].decode("utf-8", "replace")
        finally:
            run.stop(process)
        sys.stdout.write(run.escape(output))
        return process.returncode if process.returncode in (0, 1, 2) else 1
