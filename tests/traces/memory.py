#!/usr/bin/python3
"""trace=memory on QEMU, whose RAM is a file and outlives it: a first start without a trace port, a second with one. What comes out is a whole trace, once,
and the same bytes stand in the image of the memory."""
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from tap import Tap  # noqa: E402

ADDRESS, MAGIC, HEAD = 0x4000000, b"ORRRYTM2", 64   # kernel/include/abi/trace.h
MEMORY_MB, SCENARIO = 256, "guest-hello"


def start(scratch: Path, line: str, port: Path | None) -> str:
    """The console of one start."""
    console = scratch / "console.txt"
    argv = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max,pku=off,pks=off,smap=off", "-m", str(MEMORY_MB), "-machine", "memory-backend=m", "-object",
            f"memory-backend-file,id=m,size={MEMORY_MB}M,mem-path={scratch / 'memory'},share=on", "-display", "none", "-nodefaults", "-no-reboot",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", str(ROOT / "build/bare/kernel.elf"), "-append", line,
            "-initrd", str(ROOT / f"build/bundle/{SCENARIO}.bundle"), "-serial", f"file:{console}", *(["-serial", f"file:{port}"] if port else [])]
    subprocess.run(argv, timeout=300, capture_output=True, check=False)
    return console.read_text(errors="replace")


def kept(scratch: Path) -> tuple[bytes, bool]:
    """The trace in the image of the memory; was it read?"""
    with (scratch / "memory").open("rb") as file:
        file.seek(ADDRESS)
        magic, count, total, read = struct.unpack("<8sQQQ", file.read(32))
        file.seek(ADDRESS + HEAD)
        data = file.read(count) if magic == MAGIC else b""
    found = 0xCBF29CE484222325
    for byte in data:
        found = (found ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return (data, read != 0) if found == total else (b"", False)


def whole(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(ROOT / "build/orrery-trace"), "check", str(path)], capture_output=True, text=True)


def run(tap: Tap) -> None:
    """All of this file's checks."""
    with tempfile.TemporaryDirectory(prefix="orrery-test-") as name:
        scratch = Path(name)
        out, image = scratch / "out.bin", scratch / "image.bin"
        console = start(scratch, "trace=memory", None)
        tap.check("SCENARIO: OK" in console, "trace=memory without a trace port: the scenario runs", console[-500:])
        data, read = kept(scratch)
        image.write_bytes(data)
        done = whole(image)
        tap.check(done.returncode == 0 and "whole" in done.stdout and not read, "what stands in memory then is a whole trace", done.stdout + done.stderr)
        console = start(scratch, "trace=memory", out)
        tap.check("SCENARIO: OK" in console and out.read_bytes() == data, "the next start writes it to its trace port, and nothing else",
                  f"{len(data)} bytes kept, {out.stat().st_size} came out")
        second = kept(scratch)[0]
        tap.check(len(second) > 10000 and second != data, "and keeps its own instead")
        start(scratch, "trace=memory", out)
        tap.check(out.read_bytes() == second, "which the one after it writes")
        console = start(scratch, "trace=disk", None)
        tap.check("boot: trace= takes memory" in console, "trace=disk: one line that says what there is", console[-300:])


if __name__ == "__main__":
    TAP = Tap()
    run(TAP)
    sys.exit(TAP.finish())
