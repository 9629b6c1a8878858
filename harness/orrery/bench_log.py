"""What QEMU executes, instruction by instruction: `-singlestep -d exec` lists the address of each and its CPU, in the parts of memory asked for. A program marks
what it wants to be looked at by two functions, mark_begin and mark_end."""
from __future__ import annotations

import os
import re
import subprocess
import tempfile
import threading
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Callable, Iterable, Iterator, TypeVar

from . import machines, manifest, run
from .base import BUILD, BadInput

T = TypeVar("T")
LINE = re.compile(rb"Trace (\d+): \S+ \[[0-9a-f]+/([0-9a-f]{16})/")
PLACE = re.compile(r"^([0-9a-f]{16}) [tT] (\S+)$", re.M)
LEAVES = re.compile(r"^\s*([0-9a-f]+):\s+(?:sysretq?|iretq?|vmrun|vmlaunch|vmresume|hlt)\b", re.M)
TIMES = re.compile(r"^\s*([0-9a-f]+):\s+rdtsc\b", re.M)
STRINGS = re.compile(r"^\s*([0-9a-f]+):\s+rep ", re.M)
LOCKED = re.compile(r"^\s*([0-9a-f]+):\s+(?:lock |xchg +.*\()", re.M)
CHUNK = 1 << 20
PAGE = 0x1000
BEGIN, END, LOOK, LEAVE, LAST, LOCK, IPI, TIME, STRING = range(9)


@dataclass
class Image:
    """What the kernel's and the program's files say of addresses."""

    starts: list[int]
    names: list[str]
    special: dict[bytes, int]   # BEGIN .. by address, as QEMU writes it
    filter: str

    def name(self, address: int) -> str:
        """The function there, without what the compiler put behind its name."""
        return self.names[bisect_right(self.starts, address) - 1].split(".")[0]


def _tool(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise BadInput(f"{argv[0]} {argv[-1]}: {done.stderr.strip() or 'failed'}")
    return done.stdout


def _function(places: list[tuple[int, str]], name: str) -> tuple[int, int]:
    """Where a function begins, and the next one."""
    for (start, found), (end, _) in zip(places, [*places[1:], (places[-1][0] + PAGE, "")]):
        if found.split(".")[0] == name:
            return start, end
    raise BadInput(f"bench: no function '{name}' to look for")


def _instructions(file: Path, which: re.Pattern[str]) -> list[int]:
    return [int(a, 16) for a in which.findall(_tool("objdump", "-d", "--no-show-raw-insn", str(file)))]


def image(program: str, kinds: dict[str, int], leaves: bool, times: bool = False) -> Image:
    """kinds: the kernel's functions that matter. leaves: the instructions that leave the kernel matter, and of the program only the marks are listed; else
    locked ones of both, and all of both is. times: a program without marks, its reads of
    the TSC matter, and string instructions (once). The kernel's wait for the PIT at boot is left out: millions of instructions."""
    kernel, user = machines.KERNEL, Path(os.environ.get("ORRERY_USER", BUILD / "user")) / f"{program}.elf"
    ours, theirs = ([(int(a, 16), n) for a, n in PLACE.findall(_tool("nm", "-n", str(f)))] for f in (kernel, user))
    ours = [p for p in ours if p[0] >> 63]
    if not ours or not theirs:
        raise BadInput(f"{kernel if not ours else user}: no functions")
    found = [(a, LEAVE) for a in _instructions(kernel, LEAVES)] if leaves else [(a, LOCK) for f in (kernel, user) for a in _instructions(f, LOCKED)]
    marks = [(_function(theirs, name)[0], kind) for name, kind in (("mark_begin", BEGIN), ("mark_end", END)) if not times]
    if times:
        found = [(a, TIME) for a in _instructions(user, TIMES)] + [(a, STRING) for f in (kernel, user) for a in _instructions(f, STRINGS)]
    found += marks + [(_function(ours, name)[0], kind) for name, kind in kinds.items()]
    wait = _function(ours, "mach_clock")
    ranges = [f"{ours[0][0]:#x}..{wait[0] - 1:#x}", f"{wait[1]:#x}..{ours[-1][0] + PAGE - 1:#x}"]
    ranges += [f"{m:#x}+0x1" for m, _ in marks] if leaves else [f"{theirs[0][0]:#x}..{theirs[-1][0] + PAGE - 1:#x}"]
    named = theirs + ours
    return Image([p[0] for p in named], [p[1] for p in named], {b"%016x" % a: kind for a, kind in found}, ",".join(ranges))


def executed(stream: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """CPU and address of each line."""
    rest = b""
    while data := stream.read(CHUNK):
        lines, _, rest = (rest + data).rpartition(b"\n")
        yield from LINE.findall(lines)
    yield from LINE.findall(rest)


def once(addresses: Iterable[bytes], special: dict[bytes, int]) -> Iterator[bytes]:
    """Without what was listed and not executed: an instruction that was begun again because it reaches a device."""
    before = b""
    for address in addresses:
        if address != before or special.get(address) == STRING:
            yield address
        before = address


def listed(scenario: str, places: Image, read: Callable[[IO[bytes]], T]) -> tuple[str, T]:
    """Run a scenario while read gets what it executes: its console, and what read made of it."""
    m = manifest.load(scenario)
    made: list[T] = []
    with tempfile.TemporaryDirectory(prefix="orrery-") as scratch:
        pipe = Path(scratch) / "executed"
        os.mkfifo(pipe)

        def reader() -> None:
            with pipe.open("rb") as stream:
                made.append(read(stream))

        thread = threading.Thread(target=reader, daemon=True)
        thread.start()
        more = ["-singlestep", "-d", "exec,nochain", "-dfilter", places.filter, "-D", str(pipe)]
        outcome = run.run(dict(manifest=m, on="qemu", vendor="svm", cpus=m.cpus, counted=True, more=more))
        os.close(os.open(pipe, os.O_RDWR))   # QEMU may never have opened it
        thread.join()
    if not outcome.ok:
        raise BadInput(f"{scenario} on qemu: {outcome.why}")
    return outcome.console, made[0]
