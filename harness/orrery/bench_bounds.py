"""./orrery bench --bounds: for how many instructions at most does the kernel not look whether an interrupt is pending?

scenarios/bounds drives each way as far as it goes. QEMU steps through it one instruction at a time and lists each that lies in the kernel's text (-d exec), with
its CPU; here they are counted: from an entry or a look (mach_preempt_pending) to the next look, or to the instruction that leaves the kernel. A row is what lies
between two marks of the program, on any CPU; its figure is the longest stretch, and where that was spent. The kernel takes no part in it.
Not seen: how long an instruction takes, and what the list cannot hold, VMX among it (QEMU has SVM).
"""
from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import threading
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Iterator

from . import bench_table, machines, manifest, run
from .base import BUILD, BadInput
from .bench_bounds_rows import BOUNDS, Bound

LINE = re.compile(rb"Trace (\d+): \S+ \[[0-9a-f]+/([0-9a-f]{16})/")
LEAVES = re.compile(r"^\s*([0-9a-f]+):\s+(?:sysretq?|iretq?|vmrun|vmlaunch|vmresume|hlt)\b", re.M)
PLACE = re.compile(r"^([0-9a-f]{16}) [tT] (\S+)$", re.M)
CHUNK = 1 << 20
TOP = 3   # functions named in a row
BEGIN, END, LOOK, LEAVE, LAST = range(5)


@dataclass
class Image:
    """What the kernel's and the program's files say of addresses."""

    starts: list[int]
    names: list[str]
    special: dict[bytes, int]   # BEGIN .. LAST by address, as QEMU writes it
    filter: str

    def name(self, address: int) -> str:
        """The function there, without what the compiler put behind its name."""
        return self.names[bisect_right(self.starts, address) - 1].split(".")[0]


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


def _tool(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise BadInput(f"{argv[0]} {argv[-1]}: {done.stderr.strip() or 'failed'}")
    return done.stdout


def _address(places: list[tuple[int, str]], name: str) -> tuple[int, int]:
    """Where a function begins, and the next one."""
    for at, (start, found) in enumerate(places[:-1]):
        if found.split(".")[0] == name:
            return start, places[at + 1][0]
    raise BadInput(f"bench --bounds: no function '{name}'")


def image(kernel: Path, program: Path) -> Image:
    """Read both files. The wait for the PIT at boot is left out of the list: millions of instructions."""
    ours, theirs = ([(int(a, 16), n) for a, n in PLACE.findall(_tool("nm", "-n", str(f)))] for f in (kernel, program))
    ours = [p for p in ours if p[0] >> 63]
    if not ours:
        raise BadInput(f"{kernel}: no kernel")
    special = {int(a, 16): LEAVE for a in LEAVES.findall(_tool("objdump", "-d", "--no-show-raw-insn", str(kernel)))}
    special[_address(ours, "mach_preempt_pending")[0]] = LOOK
    special[_address(ours, "sys_shutdown")[0]] = LAST
    marks = [_address(theirs, name)[0] for name in ("mark_begin", "mark_end")]
    special |= dict(zip(marks, (BEGIN, END)))
    wait = _address(ours, "mach_clock")
    ranges = [f"{ours[0][0]:#x}..{wait[0] - 1:#x}", f"{wait[1]:#x}..{ours[-1][0] + 0xfff:#x}", *(f"{m:#x}+0x1" for m in marks)]
    return Image([p[0] for p in ours], [p[1] for p in ours], {b"%016x" % a: kind for a, kind in special.items()}, ",".join(ranges))


def executed(stream: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """CPU and address of each line."""
    rest = b""
    while data := stream.read(CHUNK):
        lines, _, rest = (rest + data).rpartition(b"\n")
        yield from LINE.findall(lines)
    yield from LINE.findall(rest)


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
    places = image(machines.KERNEL, Path(os.environ.get("ORRERY_USER", BUILD / "user")) / "bounds.elf")
    m = manifest.load("bounds")
    read: list[tuple[list[list[bytes]], list[bytes]]] = []
    with tempfile.TemporaryDirectory(prefix="orrery-") as scratch:
        pipe = Path(scratch) / "executed"
        os.mkfifo(pipe)

        def reader() -> None:
            with pipe.open("rb") as stream:
                read.append(stretches(stream, places.special))

        thread = threading.Thread(target=reader, daemon=True)
        thread.start()
        log = ["-singlestep", "-d", "exec,nochain", "-dfilter", places.filter, "-D", str(pipe)]
        outcome = run.run(dict(manifest=m, on="qemu", vendor="svm", cpus=m.cpus, counted=True, more=log))
        os.close(os.open(pipe, os.O_RDWR))   # QEMU may never have opened it
        thread.join()
    if not outcome.ok:
        raise BadInput(f"bench --bounds: bounds on qemu: {outcome.why}")
    return results(outcome.console, *read[0], places)


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
