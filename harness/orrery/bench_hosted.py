"""./orrery bench --hosted: how fast the process is. Nanoseconds of CPU time from bench/hosted.c, beside what Linux does alike in the same run; and from
scenarios/bench with nothing but CPUID exits, a run of many less one of none."""
from __future__ import annotations

import os
import re
import resource
import subprocess
from dataclasses import replace

from . import bench_replay, machines, manifest, run
from .base import BUILD, BadInput, make
from .bench_rows import Row

EXITS = 300_000
LINES = re.compile(r"ipc (?P<ipc>[\d.]+) (?P<pipe>[\d.]+)\nmap (?P<map>[\d.]+) (?P<mmap>[\d.]+)\nexit (?P<exit>[\d.]+)\nboot (?P<boot>[\d.]+)\n\Z")


def parse(text: str) -> dict[str, float]:
    """What bench/hosted prints, by name; BadInput if it is something else, or takes no time."""
    match = LINES.match(text)
    if not match:
        raise BadInput(f"bench/hosted: no figures: {text[:80]!r}")
    found = {name: float(value) for name, value in match.groupdict().items()}
    if not all(found.values()):
        raise BadInput(f"bench/hosted: a figure is 0: {text!r}")
    return found


def _program() -> dict[str, float]:
    binary = BUILD / "bench" / "hosted"
    if not os.environ.get("ORRERY_NO_BUILD"):
        make(str(binary.relative_to(BUILD.parent)))
    done = subprocess.run([str(binary)], capture_output=True, text=True)
    if done.returncode:
        raise BadInput(f"bench/hosted: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return parse(done.stdout)


def _cpu_seconds(exits: int) -> float:
    """Of one run with so many exits."""
    m = manifest.load("bench")
    m = replace(m, expect=[], programs=[replace(p, args=f"exits {exits}") for p in m.programs])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    outcome = run.run(dict(manifest=m, on="sim", vendor="vmx", cpus=1, counted=True))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not outcome.ok:
        raise BadInput(f"bench on sim: {outcome.why}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _exit_us() -> float:
    machines.prepare("sim")
    return (_cpu_seconds(EXITS) - _cpu_seconds(0)) / EXITS * 1e6


def measure(rows: list[Row]) -> list[tuple[Row, float, dict[str, float]]]:
    """Row, value, and what it was made of."""
    of_traces = [row for row in rows if row.id in bench_replay.IDS]
    rows = [row for row in rows if row not in of_traces]
    ns = _program() if any(row.id != "hosted-exit" for row in rows) else {}
    results = bench_replay.measure(of_traces) if of_traces else []
    for row in rows:
        if row.id == "hosted-exit":
            results.append((row, _exit_us(), {}))
        elif row.id == "hosted-boot":
            results.append((row, ns["boot"] / 1e6, {}))
        elif row.id == "hosted-vcpu":
            results.append((row, ns["exit"] / 1e3, {}))
        else:
            ours, theirs = ("ipc", "pipe") if row.id == "hosted-ipc" else ("map", "mmap")
            results.append((row, ns[theirs] / ns[ours], {"ours_ns": ns[ours], "linux_ns": ns[theirs]}))
    return results
