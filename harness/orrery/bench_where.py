"""./orrery bench --where: in which source files are the instructions of a row? scenarios/bench runs on QEMU, which lists what it executes (bench_log.py); the shortest sample of
each row is taken apart by the debug information: an instruction counts for the function it was inlined from, those of the seam and of atomics for their user. The sums are
the figures of ./orrery bench on QEMU; rows of other machines have none, but exit-svm has QEMU's."""
from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from typing import IO

from . import bench_table, machines
from .base import BadInput
from .bench_log import TIME, Image, executed, image, listed, once
from .bench_rows import ROWS, Row

THROUGH = ("mach_ops.h", "atomic_ops.h", "base.h", "machine.h", "atomic.h")   # the caller's line is what says something
USER = "user level"
EMPTY = "empty"
FIGURE = re.compile(r"^figure: (\S+) (\d+) ", re.M)
KERNEL_HALF = b"8"   # from this first digit on


@dataclass
class Where:
    """A row's least sample."""

    id: str
    files: dict[str, int]   # instructions, the most first

    @property
    def value(self) -> int:
        """All of them."""
        return sum(self.files.values())

    def as_json(self) -> dict[str, object]:
        """The stable object of --json."""
        return {"id": self.id, "value": self.value, "where": self.files}


def begins(places: Image) -> dict[bytes, str]:
    """Rows by the address of their function, which takes one sample."""
    return {b"%016x" % address: name.removeprefix("row_").replace("_", "-") for address, name in zip(places.starts, places.names) if name.startswith("row_")}


def samples(stream: IO[bytes], special: dict[bytes, int], rows: dict[bytes, str]) -> dict[str, dict[int, list[bytes]]]:
    """What lies between two reads of the TSC in user mode behind a row's beginning, by length."""
    found: dict[str, dict[int, list[bytes]]] = {}
    row = ""
    now: list[bytes] | None = None
    for address in once((a for _, a in executed(stream)), special):
        if address in rows:
            row, now = rows[address], None
        elif special.get(address) == TIME:
            if now is not None:
                found.setdefault(row, {})[len(now)] = now
            now = []
        elif now is not None:
            now.append(address)
    return found


def files(addresses: set[bytes], places: Image) -> dict[bytes, str]:
    """Source file of each instruction of the kernel; the function's name where the compiler has lost it."""
    order = sorted(addresses)
    done = subprocess.run(["addr2line", "-a", "-i", "-e", str(machines.KERNEL)], input="".join(f"0x{a.decode()}\n" for a in order), capture_output=True, text=True)
    if done.returncode:
        raise BadInput(f"addr2line {machines.KERNEL}: {done.stderr.strip() or 'failed'}")
    found: dict[bytes, str] = {}
    address = b""
    for line in done.stdout.splitlines():
        if re.fullmatch(r"0x[0-9a-f]{16}", line):
            address = line[2:].encode()
            continue
        name = line.rsplit(":", 1)[0].rsplit("/", 1)[-1]
        if found.get(address, THROUGH[0]) in THROUGH:
            found[address] = name if "." in name else places.name(int(address, 16))
    return found


def parts(found: dict[str, dict[int, list[bytes]]], figures: dict[str, int], rows: list[Row], places: Image) -> list[Where]:
    """Each row by file: the sample that is as long as the program says the shortest was."""
    beside = figures.get(EMPTY, 0) - 1   # what a read of the TSC takes besides
    best = {row.id: found.get(row.figure, {}).get(figures[row.figure] + beside) if row.figure in figures else None for row in rows}
    missing = [name for name, sample in best.items() if sample is None]
    if missing or beside < 0:
        raise BadInput(f"bench --where: no sample as long as its figure: {', '.join(missing) or EMPTY}")
    place = files({a for sample in best.values() for a in sample or () if a[:1] >= KERNEL_HALF}, places)
    made = []
    for name, sample in best.items():
        counted = Counter(place.get(a, USER) for a in sample or ())
        counted[USER] -= beside
        made.append(Where(name, dict((+counted).most_common())))
    return made


def measure(names: list[str]) -> list[Where]:
    """These rows, or all that QEMU has."""
    able = [row for row in ROWS if row.machine == "qemu" or row.id == "exit-svm"]
    for name in names:
        if name not in {row.id for row in able}:
            raise BadInput(f"bench --where: no row '{name}'; there are: {', '.join(row.id for row in able)}")
    machines.needs("qemu")
    machines.prepare("qemu")
    places = image("bench", {}, leaves=False, times=True)
    console, best = listed("bench", places, lambda stream: samples(stream, places.special, begins(places)))
    figures = {name: int(least) for name, least in FIGURE.findall(console)}
    return parts(best, figures, [row for row in able if not names or row.id in names], places)


def text(found: list[Where]) -> str:
    """The table."""
    rows = [[w.id, f"{w.value:,}", ", ".join(f"{name} {n:,}" for name, n in w.files.items())] for w in found]
    return bench_table.table(["row", "instructions", "where"], rows, left=(0, 2))


def verb(names: list[str], as_json: bool, write: bool) -> int:
    """The command."""
    found = measure(names)
    if write:
        bench_table.put("./orrery bench --where", "Where the instructions are", text(found))
    print(json.dumps({"rows": [w.as_json() for w in found]}) if as_json else text(found))
    return 0
