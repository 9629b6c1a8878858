"""./orrery bench --cross: what does a call to a handler on another CPU cost both CPUs? scenarios/xcall.c makes CALLS calls of each kind between two marks; QEMU lists
what kernel and program execute (bench_log.py), here it is counted: instructions by CPU, locked ones, IPIs. In the process the same program is counted by the models, on both
vendors. A figure is that of one call, the last digit rounded; what a CPU does behind the last call is missing, what it did behind the one before the first is in."""
from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import IO

from . import bench_counts, bench_table, machines, manifest, run
from .base import BadInput
from .bench_log import BEGIN, END, IPI, LOCK, executed, image, listed

ROW = re.compile(r"^cross: (\S+) (\d+) (\d+) (\d+)\s*$", re.M)
SHOWN = ("lock", "ipi", "cr3", "wrmsr")   # of what the process counts


@dataclass
class Cost:
    """Of one call."""

    id: str
    here: float              # instructions of the caller's CPU
    there: float             # of the other one
    user: float              # of both, in user mode
    lock: float
    ipi: float
    process: dict[str, float]

    def as_json(self) -> dict[str, object]:
        """The stable object of --json."""
        return {"id": self.id, "here": self.here, "there": self.there, "user": self.user, "lock": self.lock, "ipi": self.ipi, "process": self.process}


def count(stream: IO[bytes], special: dict[bytes, int]) -> list[Counter[str]]:
    """Between each pair of marks."""
    found: list[Counter[str]] = []
    now: Counter[str] | None = None
    for cpu, address in executed(stream):
        kind = special.get(address)
        if kind == BEGIN:
            now = Counter()
        elif now is None:
            continue
        elif kind == END:
            found.append(now)
            now = None
        else:
            now["here" if cpu == b"0" else "there"] += 1
            now["user"] += address[:1] == b"0"
            now["lock"] += kind == LOCK
            now["ipi"] += kind == IPI
    return found


def _process() -> dict[str, dict[str, float]]:
    """What the models count, by row."""
    machines.prepare("sim")
    m = manifest.load("xcall")
    outcome = run.run(dict(manifest=m, on="sim", vendor="vmx", cpus=m.cpus, counted=True))
    if not outcome.ok:
        raise BadInput(f"xcall on sim: {outcome.why}")
    counts = bench_counts.parse(outcome.counts)
    return {name: {what: n / int(calls) for what, n in bench_counts.between(counts, int(start), int(end)).items()}
            for name, calls, start, end in ROW.findall(outcome.console)}


def measure() -> list[Cost]:
    """All rows."""
    machines.needs("qemu")
    machines.prepare("qemu")
    places = image("xcall", {"icr_send": IPI}, leaves=False)
    console, found = listed("xcall", places, lambda stream: count(stream, places.special))
    rows, process = ROW.findall(console), _process()
    if len(rows) != len(found) or {row[0] for row in rows} != process.keys():
        raise BadInput(f"bench --cross: {len(found)} pairs of marks, {len(rows)} rows, {len(process)} in the process")
    return [Cost(name, *(c[key] / int(calls) for key in ("here", "there", "user", "lock", "ipi")), process[name]) for (name, calls, _, _), c in zip(rows, found)]


def text(costs: list[Cost]) -> str:
    """The table."""
    rows = [[c.id, *(f"{v:,.0f}" for v in (c.here + c.there, c.here, c.there, c.user)), f"{c.lock:.1f}", f"{c.ipi:.1f}", *(f"{c.process[name]:.1f}" for name in SHOWN)] for c in costs]
    return bench_table.table(["row", "instructions", "here", "there", "in user mode", "lock", "ipi", *(f"process: {name}" for name in SHOWN)], rows)


def verb(as_json: bool, write: bool) -> int:
    """The command."""
    costs = measure()
    if write:
        bench_table.put("./orrery bench --cross", "Calls to another CPU", text(costs))
    print(json.dumps({"rows": [c.as_json() for c in costs]}) if as_json else text(costs))
    return 0
