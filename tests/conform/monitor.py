#!/usr/bin/python3
"""The running kernel as QEMU's monitor shows it: monitor.py. A scenario is stopped many times; at each stop every CPU is looked at.

Checked: SMEP, SMAP, UMIP, NX and CR0.WP on every CPU where the processor has them; no page of kernel or user level is writable and executable;
no frame of the kernel's code is writable under any kernel address. Not checked: guests' memory (their own tables decide), CPUs in a guest.
"""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from tap import Tap  # noqa: E402

KERNEL_HALF = 1 << 63
PG, WP, NXE = 1 << 31, 1 << 16, 1 << 11
CR4 = {"SMEP": 1 << 20, "SMAP": 1 << 21, "UMIP": 1 << 11}
STOPS, CPUS, SCENARIO = 40, 2, "pingpong"


@dataclass(frozen=True)
class Page:
    """A leaf of the tables: where, what, how large, rights."""

    address: int
    phys: int
    bytes: int
    write: bool
    execute: bool
    user: bool


@dataclass
class Seen:
    """What all stops together have shown."""

    started: bool = False
    registers: list[dict[str, int]] = field(default_factory=list)
    pages: set[Page] = field(default_factory=set)
    status: int = -1


class Monitor:
    """QEMU's machine protocol (QMP) on a socket."""

    def __init__(self, path: Path, machine: subprocess.Popen) -> None:
        deadline = time.monotonic() + 30
        self.socket = socket.socket(socket.AF_UNIX)
        while machine.poll() is None and time.monotonic() < deadline:
            try:
                self.socket.connect(str(path))
                break
            except OSError:
                time.sleep(0.02)
        self.socket.settimeout(30)
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.do("qmp_capabilities")

    def do(self, command: str, **arguments: object) -> object:
        """The answer to a command; EOFError when the machine is gone."""
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while line := self.file.readline():
            answer = json.loads(line)
            if "return" in answer or "error" in answer:
                return answer.get("return")
        raise EOFError

    def ask(self, line: str, cpu: int) -> str:
        """A line of the human monitor, about one CPU."""
        return str(self.do("human-monitor-command", **{"command-line": line, "cpu-index": cpu}))


def registers(text: str) -> dict[str, int]:
    return {name: int(value, 16) for name, value in re.findall(r"\b(CR0|CR4|EFER|CPL)=([0-9a-f]+)", text)}


def pages(text: str) -> set[Page]:
    """Lines of `info tlb`: address, frame, flags XGPDACTUW, where X says not executable, P large."""
    found = set()
    for address, phys, flags in re.findall(r"^([0-9a-f]{16}): ([0-9a-f]{16}) ([-XGPDACTUW]{9})\r?$", text, re.M):
        size = 2 << 20 if flags[2] == "P" else 4096
        found.add(Page(int(address, 16), int(phys, 16), size, flags[8] == "W", flags[0] != "X", flags[7] == "U"))
    return found


def look(monitor: Monitor, seen: Seen) -> None:
    """One stop. CPUs that are not in long mode yet, or were reset, are not looked at."""
    monitor.do("stop")
    for cpu in range(CPUS):
        r = registers(monitor.ask("info registers", cpu))
        if r["CR0"] & PG:
            found = pages(monitor.ask("info tlb", cpu))
            seen.started |= any(page.user for page in found)   # root runs, hence every CPU is through its boot
            if seen.started:
                seen.pages |= found
                seen.registers.append(r | {"cpu": cpu})
    monitor.do("cont")


def run_machine(folder: Path, model: str) -> Seen:
    """Boot the scenario on a processor model and look until it ends, STOPS times at most; then it runs to its end."""
    seen, path = Seen(), folder / "monitor"
    argv = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", model, "-m", "128", "-smp", str(CPUS), "-display", "none", "-nodefaults", "-no-reboot",
            "-serial", f"file:{folder / 'console.txt'}", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-qmp", f"unix:{path},server=on,wait=off",
            "-kernel", os.environ.get("ORRERY_KERNEL", str(ROOT / "build/bare/kernel.elf")), "-initrd", str(ROOT / f"build/bundle/{SCENARIO}.bundle")]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as machine:
        try:
            monitor = Monitor(path, machine)
            for _ in range(STOPS):
                time.sleep(0.01)
                look(monitor, seen)
        except (EOFError, OSError):
            pass
        try:
            seen.status = machine.wait(timeout=120)
        except subprocess.TimeoutExpired:
            machine.kill()
    return seen


def overlaps(page: Page, others: list[Page]) -> bool:
    return any(page.phys < other.phys + other.bytes and other.phys < page.phys + page.bytes for other in others)


def check(tap: Tap, model: str, offered: dict[str, int]) -> None:
    """All checks of one processor model, whose CPUID offers these bits of CR4."""
    with tempfile.TemporaryDirectory() as folder:
        seen = run_machine(Path(folder), model)
    name, every = f"QEMU -cpu {model}", sum(CR4.values())
    tap.check(seen.status == 1, f"{name}: {SCENARIO} runs to its end between the stops", f"exit status {seen.status}")
    tap.check({r["cpu"] for r in seen.registers} == set(range(CPUS)), f"{name}: every CPU was looked at", f"{len(seen.registers)} looks")
    wrong = [r for r in seen.registers if r["CR4"] & every != sum(offered.values()) or not r["CR0"] & WP or not r["EFER"] & NXE]
    tap.check(not wrong, f"{name}: CR0.WP, EFER.NXE and of CR4 {', '.join(offered) or 'nothing'} on every CPU", str(wrong[:3]))
    kernel, user = ([p for p in seen.pages if p.user == is_user] for is_user in (False, True))
    kinds = [(p.write, p.execute) for p in user]
    tap.check((True, False) in kinds and (False, True) in kinds and any(p.execute for p in kernel), f"{name}: code and data of both were seen", str(len(kinds)))
    both = [p for p in seen.pages if p.write and p.execute]
    tap.check(not both, f"{name}: no page of {len(seen.pages)} is writable and executable", str(both[:3]))
    code = [p for p in kernel if p.execute]
    alias = [p for p in kernel if p.write and overlaps(p, code)]
    tap.check(not alias, f"{name}: the kernel's code is writable under no address", str(alias[:3]))
    half = [p for p in seen.pages if p.user == (p.address >= KERNEL_HALF)]
    tap.check(not half, f"{name}: user pages in the lower half, the kernel's in the upper", str(half[:3]))


def run(tap: Tap) -> None:
    """With everything, and on a processor that offers none of it."""
    check(tap, "max,pku=off,pks=off", CR4)
    check(tap, "max,pku=off,pks=off,smep=off,smap=off,umip=off", {})


if __name__ == "__main__":
    result = Tap()
    run(result)
    sys.exit(result.finish())
