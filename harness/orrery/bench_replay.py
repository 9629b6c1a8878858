"""./orrery bench --hosted: how fast recorded exits are replayed, and how long a recording is. guest-exits, 100,000 exits that the VMM
handles, is recorded in the process and replayed on the model it comes from: by bench/replay_rate.c without the VMM, by the runner with it. guest-hello is
recorded for its bytes."""
from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import tempfile
from pathlib import Path

from . import bundle, machines, manifest, run
from .base import BUILD, BadInput, make
from .bench_rows import Row
from .manifest import Manifest

MANY = "guest-exits"
VENDOR = "vmx"
RATES = re.compile(r"strict (?P<exits>\d+) (?P<strict>\d+)\nload \d+ (?P<load>\d+)\n\Z")
IDS = ("replay-kernel", "replay-vmm", "trace-bytes")


def rates(text: str) -> dict[str, float]:
    """What bench/replay_rate prints; BadInput if it is something else, or takes no time."""
    match = RATES.match(text)
    if not match:
        raise BadInput(f"bench/replay_rate: no figures: {text[:80]!r}")
    found = {name: float(value) for name, value in match.groupdict().items()}
    if not all(found.values()):
        raise BadInput(f"bench/replay_rate: a figure is 0: {text!r}")
    return found


def _output(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise BadInput(f"{argv[0]}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout


def _record(m: Manifest, file: Path) -> int:
    """How many exits."""
    outcome = run.run(dict(manifest=m, on="sim", vendor=VENDOR, cpus=1))
    if not outcome.ok or not outcome.trace:
        raise BadInput(f"{m.name} on sim: {outcome.why or 'no trace'}")
    file.write_bytes(outcome.trace)
    return sum((outcome.exits or {}).values())


def _kernel(trace: Path) -> tuple[float, dict[str, float]]:
    binary = BUILD / "bench" / "replay_rate"
    if not os.environ.get("ORRERY_NO_BUILD"):
        make(str(binary.relative_to(BUILD.parent)))
    found = rates(_output([str(binary), str(trace), VENDOR]))
    return found["strict"], {"load": found["load"]}


def _vmm(trace: Path, exits: int, scratch: Path) -> float:
    file, m = scratch / "bundle", manifest.load(MANY)
    file.write_bytes(bundle.build(m))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _output([str(machines.SIM_BINARY), "replay", str(file), str(trace), "--vendor", VENDOR, "--memory", str(m.memory_mb), *machines.sim_line(m)])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return exits / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _bytes(trace: Path) -> tuple[float, dict[str, float]]:
    if not os.environ.get("ORRERY_NO_BUILD"):
        make("build/orrery-trace")
    found = json.loads(_output([str(BUILD / "orrery-trace"), "stat", str(trace), "--json"]))
    return found["vcpu_bytes_per_exit"], {"all": found["bytes_per_exit"]}


def measure(rows: list[Row]) -> list[tuple[Row, float, dict[str, float]]]:
    """Row, value, and what it was made of."""
    machines.prepare("sim")
    results = []
    with tempfile.TemporaryDirectory(prefix="orrery-") as name:
        scratch = Path(name)
        many, hello = scratch / "many", scratch / "hello"
        exits = _record(manifest.load(MANY), many) if any(row.id != "trace-bytes" for row in rows) else 0
        for row in rows:
            if row.id == "replay-kernel":
                value, extra = _kernel(many)
            elif row.id == "replay-vmm":
                value, extra = _vmm(many, exits, scratch), {}
            else:
                _record(manifest.load("guest-hello"), hello)
                value, extra = _bytes(hello)
            results.append((row, value, extra))
    return results
