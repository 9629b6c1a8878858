"""./orrery bench: runs scenarios/bench where its ticks are instructions, reads its lines, and compares with bench_rows.py.

The machines are those of ./orrery run, QEMU with -icount. The process is run, too: not for ticks, but for what each operation does that is dear
(bench_counts.py). Nothing is left out silently: what cannot be measured is BadInput.
"""
from __future__ import annotations

import argparse
import json
import re
import subprocess
from dataclasses import dataclass, field

from . import bench_boot, bench_bounds, bench_counts, bench_cross, bench_hosted, bench_table, bench_where, machines, manifest, run
from .base import BadInput, make
from .bench_rows import HOSTED, ROWS, Row

FIGURE = re.compile(r"^figure: (\S+) (\d+) (\d+) (\d+) (\d+)$", re.M)
EPILOG = """example: ./orrery bench
         ./orrery bench ipc ipc-cross --json
exit status: 0 every row is better than its gate, 1 not, 2 bad input, or a machine that is missing"""


@dataclass
class Figure:
    """A row's samples: least and most, and the low half of the TSC around the last one."""

    least: float
    most: float
    start: int = 0
    end: int = 0


@dataclass
class Result:
    """A measured row."""

    row: Row
    figure: Figure
    counts: dict[str, int] | None = None
    extra: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The stable object of --json."""
        row, value = self.row, self.figure.least
        return {"id": row.id, "what": row.what, "machine": row.machine, "unit": row.unit, "value": value, "most": self.figure.most, "gate": row.gate,
                "goal": row.goal, "below_gate": row.better(value), "met": row.met(value), "others": row.others, "counts": self.counts, **self.extra}


def figures(console: str) -> dict[str, Figure]:
    """The lines of scenarios/bench; BadInput if one makes no sense."""
    found: dict[str, Figure] = {}
    for line in console.replace("\r", "").splitlines():
        if not line.startswith("figure:"):
            continue
        match = FIGURE.match(line)
        if not match:
            raise BadInput(f"console of bench: no figure: '{line}'")
        name, (least, most, start, end) = match.group(1), map(int, match.groups()[1:])
        if least > most or name in found:
            raise BadInput(f"console of bench: impossible figure: '{line}'")
        found[name] = Figure(least, most, start, end)
    return found


def scenario(on: str, vendor: str, **more: object) -> run.Outcome:
    """One run of scenarios/bench."""
    machines.needs(on)
    machines.prepare(on)
    outcome = run.run(dict(manifest=manifest.load("bench"), on=on, vendor=vendor, cpus=1, counted=True, **more))
    if not outcome.ok:
        raise BadInput(f"bench on {on} {vendor}: {outcome.why}")
    return outcome


def _scenario_rows(rows: list[Row], machine: str) -> list[Result]:
    """Rows of one machine, with what the process counts for the same vendor."""
    on, _, vendor = machine.partition("-")
    vendor = vendor or machines.VENDORS[on][0]
    found = figures(scenario(on, vendor).console)
    counted = scenario("sim", vendor)
    where, counts = figures(counted.console), bench_counts.parse(counted.counts)
    for row in rows:
        if row.figure not in found or row.figure not in where:
            raise BadInput(f"bench on {machine}: no figure '{row.figure}'")
    return [Result(row, found[row.figure], bench_counts.between(counts, where[row.figure].start, where[row.figure].end)) for row in rows]


def _text(rows: list[Row]) -> list[Result]:
    machines.prepare("qemu")
    done = subprocess.run(["size", str(machines.KERNEL)], capture_output=True, text=True)
    words = done.stdout.split()
    if done.returncode or len(words) < 7 or not words[6].isdigit():
        raise BadInput(f"size {machines.KERNEL}: {done.stderr.strip() or 'no table'}")
    return [Result(row, Figure(int(words[6]), int(words[6]))) for row in rows]


def measure(rows: list[Row]) -> list[Result]:
    """All these rows, each machine started once."""
    by_machine: dict[str, list[Row]] = {}
    for row in rows:
        by_machine.setdefault(row.machine, []).append(row)
    results: dict[str, Result] = {}
    for machine, group in by_machine.items():
        if machine == "file":
            found = _text(group)
        elif machine == "boot":
            boot = bench_boot.measure()
            found = [Result(row, Figure(boot.work, boot.work), extra={"wait": boot.wait}) for row in group]
        elif machine == "hosted":
            found = [Result(row, Figure(value, value), extra=extra) for row, value, extra in bench_hosted.measure(group)]
        else:
            found = _scenario_rows(group, machine)
        results |= {r.row.id: r for r in found}
    return [results[row.id] for row in rows]


def choose(names: list[str], hosted: bool) -> list[Row]:
    """The rows asked for, in the order of their table."""
    table = HOSTED if hosted else ROWS
    for name in names:
        if name not in {row.id for row in table}:
            raise BadInput(f"unknown row '{name}'; there are: {', '.join(row.id for row in table)}")
    return [row for row in table if not names or row.id in names]


def status(results: list[Result]) -> int:
    """The exit status: is every row better than its gate?"""
    return 0 if all(r.row.better(r.figure.least) for r in results) else 1


def options(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.epilog = EPILOG
    parser.add_argument("row", nargs="*", help="rows (default: all)")
    parser.add_argument("--hosted", action="store_true", help="the process instead: time, and how often faster than what Linux does alike")
    parser.add_argument("--bounds", action="store_true", help="instead: for how long the kernel does not look for interrupts, at most; 1 if a bound is broken")
    parser.add_argument("--cross", action="store_true", help="instead: what calls to a handler on another CPU cost both CPUs")
    parser.add_argument("--where", action="store_true", help="instead: in which source files the instructions of these rows are")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write", action="store_true", help="put the tables into bench/RESULTS.md, too")


def verb(args: argparse.Namespace) -> int:
    """The command."""
    if args.hosted + args.bounds + args.cross + args.where > 1 or args.row and (args.bounds or args.cross):
        raise BadInput("--bounds, --cross, --where and --hosted go alone, the first two without rows")
    if args.write and args.row:
        raise BadInput("--write takes no rows: the page has all of them")
    if args.where:
        return bench_where.verb(args.row, args.json, args.write)
    if args.bounds or args.cross:
        return (bench_bounds if args.bounds else bench_cross).verb(args.json, args.write)
    rows = choose(args.row, args.hosted)
    results = measure(rows)
    if args.write:
        bench_table.write(results, args.hosted)
    if args.json:
        print(json.dumps({"rows": [r.as_json() for r in results]}))
    else:
        print(bench_table.text(results))
    return status(results)
