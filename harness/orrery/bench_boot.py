"""How many instructions from the kernel's entry to the first one of user mode? QEMU counts them while it records (`rr=record`, `info replay`); its
debugger interface stops it at a place. So the kernel is told nothing of it, and is the one that is always built. (The TSC would not do: QEMU sets the
clock forward to the next timer while it stands still.)

Places: the ELF's PVH entry; mach_clock's first call and its return (the wait for the PIT, which is given apart); root's entry point.
The protocol is that of gdb's manual, "Remote Protocol": packets $...#sum, + as answer.
"""
from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from . import bundle, machines, manifest
from .base import BUILD, BadInput

SECONDS = 60
PVH_NOTE = re.compile(rb"\x04\0\0\0\x08\0\0\0\x12\0\0\0Xen\0(.{8})", re.S)
RSP, RIP = 7, 16   # numbers of registers, x86-64


@dataclass
class Boot:
    """Instructions."""

    work: int
    wait: int


class _Stub:
    """The machine, stopped, at the other end of a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.buffer = connection, b""

    def packet(self) -> str:
        """The next one that comes."""
        while not (match := re.search(rb"\$([^#]*)#..", self.buffer, re.S)):
            data = self.connection.recv(65536)
            if not data:
                raise BadInput("bench boot: QEMU has ended")
            self.buffer += data
        self.buffer = self.buffer[match.end():]
        self.connection.sendall(b"+")
        return match.group(1).decode()

    def ask(self, packet: str) -> str:
        self.connection.sendall(f"${packet}#{sum(packet.encode()) & 0xff:02x}".encode())
        return self.packet()

    def must(self, packet: str, answer: str) -> None:
        got = self.ask(packet)
        if not got.startswith(answer):
            raise BadInput(f"bench boot: QEMU answers '{got}' to '{packet}'")

    def register(self, number: int) -> int:
        return _word(self.ask("g")[16 * number:])

    def until(self, address: int) -> int:
        """Run to a place: the instructions executed by then."""
        self.must(f"Z1,{address:x},1", "OK")
        self.must("c", "T")
        self.must(f"z1,{address:x},1", "OK")
        if self.register(RIP) != address:
            raise BadInput(f"bench boot: stopped at {self.register(RIP):#x}, not at {address:#x}")
        return self.instructions()

    def instructions(self) -> int:
        """Output of the monitor's command comes in packets O..., then OK."""
        text, packet = "", self.ask("qRcmd," + b"info replay".hex())
        while packet.startswith("O") and packet != "OK":
            text += bytes.fromhex(packet[1:]).decode()
            packet = self.packet()
        match = re.search(r"instruction count = (\d+)", text)
        if not match:
            raise BadInput(f"bench boot: QEMU says '{text.strip()}' to 'info replay'")
        return int(match.group(1))


def _word(digits: str) -> int:
    return struct.unpack("<Q", bytes.fromhex(digits[:16]))[0]


def _symbol(kernel: Path, name: str) -> int:
    done = subprocess.run(["nm", str(kernel)], capture_output=True, text=True)
    match = re.search(rf"^([0-9a-f]+) \w {name}$", done.stdout, re.M)
    if not match:
        raise BadInput(f"{kernel.name}: no symbol {name}")
    return int(match.group(1), 16)


def _entry(kernel: Path) -> int:
    match = PVH_NOTE.search(kernel.read_bytes())
    if not match:
        raise BadInput(f"{kernel.name}: no PVH entry")
    return struct.unpack("<Q", match.group(1))[0]


def _connect(path: Path, process: subprocess.Popen[bytes]) -> socket.socket:
    deadline = time.monotonic() + SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(SECONDS)
        try:
            connection.connect(str(path))
            return connection
        except OSError:
            connection.close()
            if process.poll() is not None or time.monotonic() > deadline:
                raise BadInput("bench boot: QEMU does not start its debugger interface") from None
            time.sleep(0.02)


def _places() -> tuple[int, int, int]:
    """Kernel entry, mach_clock, root's entry."""
    root = Path(os.environ.get("ORRERY_USER", BUILD / "user")) / "root.elf"
    return _entry(machines.KERNEL), _symbol(machines.KERNEL, "mach_clock"), struct.unpack_from("<Q", root.read_bytes(), 24)[0]


def _measure(stub: _Stub, entry: int, clock: int, user: int) -> Boot:
    stub.must("?", "T")
    start = stub.until(entry)
    wait_start = stub.until(clock)
    wait_end = stub.until(_word(stub.ask(f"m{stub.register(RSP):x},8")))
    end = stub.until(user)
    return Boot(end - start - (wait_end - wait_start), wait_end - wait_start)


def measure() -> Boot:
    """Boot scenarios/bench once on QEMU."""
    machines.needs("qemu")
    machines.prepare("qemu")
    places = _places()
    with tempfile.TemporaryDirectory(prefix="orrery-") as scratch:
        folder = Path(scratch)
        m = manifest.load("bench")
        (folder / "bundle").write_bytes(bundle.build(m))
        command = machines.command(machines.Request(m, "qemu", "svm", 1, folder), folder / "bundle")
        argv = [*command.argv, "-icount", f"shift=0,sleep=off,rr=record,rrfile={folder}/record", "-S", "-gdb", f"unix:{folder}/gdb,server=on,wait=off"]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                with _connect(folder / "gdb", process) as connection:
                    return _measure(_Stub(connection), *places)
            except TimeoutError:
                raise BadInput(f"bench boot: QEMU is silent for {SECONDS} s") from None
            finally:
                process.kill()
