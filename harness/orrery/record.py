"""Record a scenario's VM exits into a folder, and replay such a folder in the process."""
from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from . import bundle as bundles
from . import machines, manifest, run, trace
from .base import BadInput

META = "recording.json"
TRACE = "trace.bin"


def save(outcome: run.Outcome, folder: Path) -> None:
    """Write the recording: trace.bin and recording.json. An existing recording is replaced only by a whole one."""
    if not outcome.trace:
        raise BadInput(f"scenario '{outcome.scenario}' on {outcome.on} wrote no trace: it runs no guest")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TRACE).write_bytes(outcome.trace)
    meta = {"scenario": outcome.scenario, "on": outcome.on, "vendor": outcome.vendor, "cpus": outcome.cpus, "seed": outcome.seed,
            "exits": outcome.exits}
    (folder / META).write_text(json.dumps(meta, indent=2) + "\n")


def load(folder: Path) -> dict[str, object]:
    """The meta data of a recording, checked; its trace is read to the end."""
    path = folder / META
    if not path.is_file() or not (folder / TRACE).is_file():
        raise BadInput(f"{folder}: no recording ({META} and {TRACE} are wanted)")
    try:
        meta = json.loads(path.read_text())
        wanted = {"scenario": str, "on": str, "vendor": str, "cpus": int}
        for key, kind in wanted.items():
            if not isinstance(meta[key], kind):
                raise BadInput(f"{path}: '{key}' must be of type {kind.__name__}")
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: {type(error).__name__}: {error}") from None
    trace.exits(folder / TRACE)
    return meta


def replay(folder: Path, vendor: str | None) -> int:
    """Run the kernel and the VMM against the recorded exits; the exit status of the runner."""
    meta = load(folder)
    scenario = manifest.load(str(meta["scenario"]))
    chosen, cpus = machines.resolve(scenario, "sim", vendor or str(meta["vendor"]), int(str(meta["cpus"])))
    machines.prepare("sim")
    with tempfile.TemporaryDirectory(prefix="orrery-") as scratch:
        file = Path(scratch) / "bundle"
        file.write_bytes(bundles.build(scenario))
        argv = [str(machines.SIM_BINARY), "replay", str(file), str(folder / TRACE), "--vendor", chosen, "--cpus", str(cpus), "--memory",
                str(scenario.memory_mb), *machines.sim_line(scenario)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        try:
            output = process.communicate()[0].decode("utf-8", "replace")
        finally:
            run.stop(process)
        sys.stdout.write(run.escape(output))
        return process.returncode if process.returncode in (0, 1, 2) else 1
