#!/usr/bin/python3
"""A bounded number of inputs through every fuzz target: run.py [RUNS]. A target that is not built is a failure.

Seeds are made here: what the format's specification calls a good input, so that mutations start behind the first check.
"""
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/fuzz")]
import trace_seeds  # noqa: E402
from tap import Tap  # noqa: E402

BLOB = 0x100000   # where boot_fuzz.c puts its input
SHARE = {"bundle_fuzz": 4, "vmm_fuzz": 2, "replay_fuzz": 8}   # of the runs: a whole boot per input gets fewer, or two
OF_TRACES = ("replay_fuzz", "vmm_fuzz")


def multiboot2() -> bytes:
    """Module, memory map, old RSDP, end (Multiboot 2.0, 3.6)."""
    module = struct.pack("<IIII8s", 3, 24, 0x200000, 0x210000, b"bundle\0\0")
    memory = struct.pack("<IIII", 6, 40, 24, 0) + struct.pack("<QQII", 0x100000, 0xF00000, 1, 0)
    rsdp = struct.pack("<II", 14, 28) + rsdp_at(BLOB + 0x400)[:20]
    tags = module + memory + rsdp + bytes(4) + struct.pack("<II", 0, 8)
    return struct.pack("<II", 8 + len(tags), 0) + tags


def pvh() -> bytes:
    """hvm_start_info version 1 with one module and one map entry (Xen's PVH start of day)."""
    info = struct.pack("<IIIIQQQQII", 0x336EC578, 1, 0, 1, BLOB + 64, 0, 0, BLOB + 96, 1, 0)
    return info.ljust(64, b"\0") + struct.pack("<QQQQ", 0x200000, 0x10000, 0, 0) + struct.pack("<QQII", 0x100000, 0xF00000, 1, 0)


def bundle() -> bytes:
    """A bundle (kernel/include/abi/bundle.h) whose root program is one page of code (ELF-64 Object File Format 1.5)."""
    elf = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, 0x400000, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    elf += struct.pack("<IIQQQQQQ", 1, 5, 0x100, 0x400000, 0x400000, 16, 16, 4096)
    elf = elf.ljust(0x100, b"\0") + b"\x0f\x0b" * 8
    head = struct.pack("<8sIIIIQ32x", b"ORRERYB1", 1, 1, 0, 1, 8192) + struct.pack("<40sQQQ", b"root", 4096, len(elf), 0)
    return head.ljust(4096, b"\0") + elf.ljust(4096, b"\0")


def checked(table: bytes, at: int) -> bytes:
    """Set the checksum byte so that all bytes add up to 0."""
    return table[:at] + bytes([-sum(table) & 0xFF]) + table[at + 1:]


def rsdp_at(rsdt: int) -> bytes:
    return checked(struct.pack("<8sB6sBI", b"RSD PTR ", 0, b"ORRERY", 0, rsdt), 8)


def acpi() -> bytes:
    """RSDP, RSDT, MADT with two local APICs (ACPI 6.5, 5.2)."""
    def table(signature: bytes, body: bytes) -> bytes:
        head = struct.pack("<4sIBB6s8sIII", signature, 36 + len(body), 1, 0, b"ORRERY", b"ORRERY  ", 1, 0, 1)
        return checked(head + body, 9)
    madt = table(b"APIC", struct.pack("<II", 0xFEE00000, 1) + struct.pack("<BBBBI", 0, 8, 0, 0, 1) + struct.pack("<BBBBI", 0, 8, 1, 1, 1))
    return rsdp_at(BLOB + 64).ljust(64, b"\0") + table(b"RSDT", struct.pack("<I", BLOB + 128)).ljust(64, b"\0") + madt


def trace_packet(cpu: int, sequence: int, tsc: int, events: list[tuple[int, bytes]]) -> bytes:
    """A packet of kernel/include/abi/trace.h: events of one CPU, one tick and one number apart."""
    body = b"".join(struct.pack("<HIHI", kind, tsc + i & 0xFFFFFFFF, 12 + len(rest), sequence + i) + rest for i, (kind, rest) in enumerate(events))
    bits = 8 * (76 + len(body))
    return struct.pack("<I16sIQQQQQQI", 0xC1FC1FC1, b"orrery@\2\x80\0trace2", 0, tsc, tsc + len(events) - 1, bits, bits, 0, sequence, cpu) + body


def seeds(target: str, folder: Path) -> None:
    """Good inputs of a target into folder."""
    good: dict[str, bytes] = {}
    if target == "boot_fuzz":
        good = {"multiboot2": b"\0" + multiboot2(), "pvh": b"\1" + pvh(), "acpi": b"\2" + acpi()}
    elif target == "elf_fuzz":
        good = {"hello": (ROOT / "build/user/hello.elf").read_bytes()[:16384]}
    elif target == "bundle_fuzz":
        good = {"root": bundle()}
    elif target == "trace_fuzz":
        machine, end = (1, struct.pack("<IIIIQ", 2, 1, 2, 0x7FFF, 2000000)), (2, bytes(4))
        state = (3, struct.pack("<HBB", 0, 1, 1) + struct.pack("<BI", 32, 0x1000) + struct.pack("<BQ", 62, 0x80000000A0000011))
        exits = [(4, struct.pack("<HBB", 0, 1, 0) + struct.pack("<BI", 0, 2)), (6, struct.pack("<HBQB", 0, 1, 0x1000, 3) + b"abc"),
                 (5, struct.pack("<HBB", 0, 1, 0) + struct.pack("<BI", 32, 0x1002))]
        others = [(7, struct.pack("<BBQQQ", 13, 0, 0x1000, 1, 2)), (8, b"\x20"), (9, struct.pack("<BQQQ", 14, 0x1000, 6, 0x400000)),
                  (10, struct.pack("<BQQ", 1, 0x1000, 0x2000)), (11, struct.pack("<Q", 0)), (12, struct.pack("<QQ", 3, 1 << 63)), (13, struct.pack("<Q", 3))]
        good = {"one": b"\1" + trace_packet(0, 0, 5, [machine, state, *exits]) + trace_packet(0, 5, 90, [*exits, end]),
                "two": bytes([128 // 64 * 8]) + trace_packet(1, 5, 9, [(8, b"\x20"), (999, bytes(27))]) + trace_packet(0, 0, 5, [machine, state, *exits])
                + trace_packet(0, 7, 99, [end]),
                "each": b"\1" + trace_packet(0, 0, (1 << 40) - 5, [machine, state, *exits, *others, end])}
    elif target == "schedule_fuzz":
        head = b"orrery-schedule 1\ntest message\nmodel tso\nvendor none\nmutant -\nseed 0\nverdict finding: data before flag\nhash 8f0c\n\n"
        good = {"steps": head + b"step 12: cpu 0 at writer store flag #1 -> cpu 1\n# why\nstep 19: critical: cpu 1 at reader load data+8 #2.3 -> flush 0\n",
                "answers": head + b"step 14: cpu 0 at writer store data #1 -> DRAIN 1\nstep 15: flush 0 at - flush - #1 -> TRANSLATION 2\n"}
    elif target in ("iris_fuzz", "kvm_fuzz"):
        good = {path.name: path.read_bytes() for path in (ROOT / "tests/traces/samples").glob(target.removesuffix("_fuzz") + "*.txt")}
    elif target in OF_TRACES:
        trace_seeds.write(folder)
    for name, data in good.items():
        (folder / name).write_bytes(data)


def regressions(tap: Tap) -> None:
    """What once crashed a target (shrink.py)."""
    for folder in sorted((ROOT / "tests/fuzz/regressions").iterdir()):
        files = sorted(str(path) for path in folder.iterdir())
        binary = ROOT / "build/fuzzers" / folder.name
        done = subprocess.run([str(binary), *files], capture_output=True, text=True, errors="replace") if binary.is_file() else None
        tap.check(done is not None and done.returncode == 0, f"fuzz {folder.name}: {len(files)} earlier crashes", done.stderr[-1500:] if done else "not built")


def run(tap: Tap, runs: int) -> None:
    """Each target from its seeds with the same random seed each time."""
    for source in sorted((ROOT / "tests/fuzz").glob("*.c")):
        binary = ROOT / "build/fuzzers" / source.stem
        count = runs // SHARE.get(source.stem, 1)
        words = ["-max_len=4096", "-entropic=0", "-close_fd_mask=2"] if source.stem in OF_TRACES else ["-max_len=65536"]
        with tempfile.TemporaryDirectory() as scratch:
            seeds(source.stem, Path(scratch))
            done = subprocess.run([str(binary), f"-runs={count}", "-seed=1", *words, "-rss_limit_mb=2048", f"-artifact_prefix={ROOT}/build/fuzzers/", scratch],
                                  capture_output=True, text=True, errors="replace") if binary.is_file() else None
        tap.check(done is not None and done.returncode == 0, f"fuzz {source.stem}: {count} inputs", done.stderr[-1500:] if done else "not built")
    regressions(tap)
    hypercalls(tap, 5 * runs)   # they are quick


def hypercalls(tap: Tap, operations: int) -> None:
    """Hypercalls against the reference model; then what no sequence is."""
    binary = ROOT / "build/fuzzers/hypercall_fuzz"
    if not binary.is_file():
        tap.fail("fuzz hypercalls", "not built")
        return

    def call(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run([str(binary), *words], capture_output=True, text=True, errors="replace")
    done = call("--seed", "1", "--operations", str(operations))
    tap.check(done.returncode == 0, f"fuzz hypercalls: {operations} operations", done.stdout[-3000:] + done.stderr)
    with tempfile.NamedTemporaryFile("w", suffix=".ops") as file:
        for text, line in (("", 0), ("vendor=vmx cpus=9\n", 1), ("vendor=vmx cpus=1\ncpu=0 nothing\n", 2), ("vendor=svm cpus=1\ncpu=0 sm_up sm=x\n", 2)):
            file.seek(0)
            file.truncate()
            file.write(text)
            file.flush()
            done = call("--replay", file.name)
            good = done.returncode == 2 and done.stderr.count("\n") == 1 and f"{file.name}: line {line}: " in done.stderr
            tap.check(good, f"fuzz hypercalls: {text!r} is refused in one line", done.stdout + done.stderr)


if __name__ == "__main__":
    result = Tap()
    run(result, int(sys.argv[1]) if len(sys.argv) > 1 else 20000)
    sys.exit(result.finish())
