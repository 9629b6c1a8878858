"""./orrery bench --bounds: for how many instructions at most does the kernel not look whether an interrupt is pending?

scenarios/bounds drives each way as far as it goes. QEMU lists what the kernel executes (bench_log.py); here it is counted: from an entry or a look (mach_preempt_pending) to the next look, or to the instruction that leaves the kernel. A row is what lies
between two marks of the program, on any CPU; its figure is the longest stretch, and where that was spent. The kernel takes no part in it.
Not seen: how long an instruction takes, and what the list cannot hold, VMX among it (QEMU has SVM).
"""
from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import IO

from . import bench_table, machines
from .base import BadInput
from .bench_bounds_rows import BOUNDS, Bound
from .bench_log import BEGIN, END, LAST, LEAVE, LOOK, Image, executed, image, listed

TOP = 3   # functions named in a row


@dataclass
class Result:
    """A measured row."""

    row: Bound
    value: int
    where: dict[str, int] = field(default_factory=dict)   # instructions of the longest stretch, by function

    @property
    def kept(self) -> bool:
        return self.value <= self.row.bound

    def as_json(self) -> dict[str, object]:
        """The stable object of --json."""
        row = self.row
        return {"id": row.id, "of": list(row.of), "what": row.what, "bound": row.bound, "grows": row.grows, "value": self.value, "kept": self.kept, "where": self.where}


def stretches(stream: IO[bytes], special: dict[bytes, int]) -> tuple[list[list[bytes]], list[bytes]]:
    """The longest stretch between each pair of marks; and that of the machine's end, which is the last."""
    found: list[list[bytes]] = []
    runs: dict[bytes, list[bytes]] = {}
    best: list[bytes] | None = None
    last = b""
    for cpu, address in executed(stream):
        kind = special.get(address)
        stretch = runs.setdefault(cpu, [])
        if kind is None:
            stretch.append(address)
            continue
        if kind == LAST:
            last = cpu
        if kind in (LEAVE, LAST):
            stretch.append(address)
        if kind == LAST:
            continue
        if best is not None and len(stretch) > len(best):
            best = stretch
        runs[cpu] = [address] if kind == LOOK else []
        if kind == BEGIN:
            best = []
        elif kind == END and best is not None:
            found.append(best)
            best = None
    return found, runs.get(last, [])


def results(console: str, found: list[list[bytes]], last: list[bytes], places: Image) -> list[Result]:
    """A row for each pair of marks; BadInput if the program's rows are not the table's."""
    names = re.findall(r"^bound: (\S+)\s*$", console, re.M)
    if len(found) != len(names) or not last:
        raise BadInput(f"bench --bounds: {len(found)} pairs of marks, {len(names)} rows, {len(last)} instructions at the end")
    by_name = dict(zip(names, found)) | {"shutdown": last}
    if by_name.keys() != {row.id for row in BOUNDS}:
        raise BadInput(f"bench --bounds: rows differ: {', '.join(sorted(by_name.keys() ^ {row.id for row in BOUNDS}))}")
    made = []
    for row in BOUNDS:
        where = Counter(places.name(int(address, 16)) for address in by_name[row.id])
        made.append(Result(row, len(by_name[row.id]), dict(where.most_common())))
    return made


def measure() -> list[Result]:
    """Run it once, and read what it executes while it runs."""
    machines.needs("qemu")
    machines.prepare("qemu")
    places = image("bounds", {"mach_preempt_pending": LOOK, "sys_shutdown": LAST}, leaves=True)
    console, (found, last) = listed("bounds", places, lambda stream: stretches(stream, places.special))
    return results(console, found, last, places)


def text(found: list[Result]) -> str:
    """The table, for the terminal and for RESULTS.md."""
    lines = []
    for r in found:
        where = ", ".join(f"{name} {count:,}" for name, count in list(r.where.items())[:TOP])
        lines.append([r.row.id, ", ".join(r.row.of), r.row.what, f"{r.value:,}", f"{r.row.bound:,}" + ("" if r.kept else " BROKEN"), r.row.grows, where])
    return bench_table.table(["row", "of", "driven", "instructions", "bound", "grows with", "where"], lines, left=(0, 1, 2, 5, 6))


def verb(as_json: bool, write: bool) -> int:
    """The command."""
    found = measure()
    if write:
        bench_table.put("./orrery bench --bounds", "The longest stretches", text(found))
    print(json.dumps({"rows": [r.as_json() for r in found]}) if as_json else text(found))
    return 0 if all(r.kept for r in found) else 1
