#!/usr/bin/python3
"""Does the binary with the Unicorn engine do what it says: user mode, guests, determinism, refusals, replay, the gdb commands?

Run by running it, as no unit test may link the library. Needs the binary and the bundles; prints TAP."""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from tap import Tap  # noqa: E402

BINARY = ROOT / "build" / "orrery-unicorn"
BUNDLES = ROOT / "build" / "bundle"


def bundle(name: str) -> str:
    return str(BUNDLES / f"{name}.bundle")


def start(*args: str, binary: Path = BINARY) -> subprocess.CompletedProcess[str]:
    """A run of the binary; one that does not end has status 124, as timeout(1) has it."""
    return subprocess.run(["timeout", "-k", "1", "60", str(binary), *args], capture_output=True, text=True, errors="replace")


def run(scratch: Path, name: str, *args: str) -> tuple[subprocess.CompletedProcess[str], dict[str, object]]:
    """A run of a scenario and the JSON it wrote."""
    result = scratch / "result.json"
    result.unlink(missing_ok=True)
    done = start("run", bundle(name), "--json", str(result), *args)
    return done, json.loads(result.read_text()) if result.exists() else {}


def scenarios(tap: Tap, scratch: Path) -> None:
    """Each on each vendor; the guests' exits are the same on both."""
    exits: dict[str, list[object]] = {}
    for name, cpus in (("hello", 1), ("pingpong", 2), ("hostile-user", 2), ("guest-hello", 1), ("guest-modes", 1), ("guest-smp", 2)):
        for vendor in ("vmx", "svm") if name.startswith("guest") else ("none", "vmx", "svm"):
            done, result = run(scratch, name, "--vendor", vendor, "--cpus", str(cpus))
            exits.setdefault(name, []).append(result.get("exits"))
            tap.check(done.returncode == 0 and result.get("end") == "shutdown" and "SCENARIO: OK" in done.stdout, f"{name} on {vendor}",
                      done.stdout[-600:] + done.stderr[-300:])
    tap.check(bool(exits["guest-hello"][0]) and exits["guest-hello"][0] == exits["guest-hello"][1], "guest-hello exits alike on VMX and SVM", str(exits["guest-hello"]))


def determinism(tap: Tap, scratch: Path) -> None:
    """The same question, the same answer, to the last step."""
    hashes = set()
    for name, seed in (("guest-hello", 0), ("guest-smp", 0), ("guest-smp", 1), ("guest-smp", 2), ("hostile-user", 3)):
        pair = [run(scratch, name, "--cpus", "2", "--seed", str(seed), "--vendor", "svm")[1] for _ in range(2)]
        tap.check(bool(pair[0]) and pair[0] == pair[1], f"{name} with seed {seed} twice", f"{pair[0]}\n{pair[1]}")
        if name == "guest-smp":
            hashes.add(pair[0].get("event_hash"))
    tap.check(len(hashes) > 1, "another seed is another run", str(hashes))


def ends(tap: Tap, scratch: Path) -> None:
    done, result = run(scratch, "guest-hello", "--steps", "2000")
    tap.check(done.returncode == 1 and result.get("end") == "budget", "a used-up step budget is status 1", done.stderr)
    done, result = run(scratch, "guest-hello", "--vendor", "none")
    tap.check(done.returncode == 1, "a guest without virtualization is status 1", done.stdout[-300:] + done.stderr)


def bad_input(tap: Tap, scratch: Path) -> None:
    """One line on stderr that names file, field and offset; status 2."""
    good = bytearray((BUNDLES / "hello.bundle").read_bytes())
    table, programs = 64, 64 + 64 * int.from_bytes(good[12:16], "little")
    cases = {"magic": (0, b"X"), "version": (8, b"\2"), "file_count": (12, b"\0"), "program_count": (16, b"\x7f"), "cpus": (20, b"\0"),
             "bytes": (24, b"\1"), "reserved": (32, b"\1"), "file.name": (table, b"x" * 40), "file.offset": (table + 40, b"\1"),
             "file.bytes": (table + 55, b"\x7f"), "file.reserved": (table + 56, b"\1"), "program.name": (programs, b"x" * 32),
             "program.args": (programs + 32, b"x" * 128), "program.file": (programs + 160, b"\x63"), "program.cpu": (programs + 164, b"\x63"),
             "program.priority": (programs + 168, b"\xff"), "program.flags": (programs + 172, b"\x80"),
             "program.guest_file": (programs + 192, b"\x63"), "program.reserved": (programs + 200, b"\1")}
    for field, (offset, value) in cases.items():
        changed = bytearray(good)
        changed[offset:offset + len(value)] = value
        refused(tap, scratch, f"bundle with a bad {field}", bytes(changed), rf"bad: {re.escape(field)} at offset 0x[0-9a-f]+: ")
    refused(tap, scratch, "a truncated bundle", bytes(good[:50]), r"bad: header at offset 0x32: truncated")
    for args in ((), ("fly",), ("run",), ("run", "/nonexistent"), ("run", bundle("hello"), "--cpus", "65"), ("run", bundle("hello"), "--vendor", "arm"),
                 ("run", bundle("hello"), "--memory"), ("run", bundle("hello"), "more"), ("replay", bundle("hello")), ("run", bundle("hello"), "--color", "1")):
        done = start(*args)
        tap.check(done.returncode == 2 and len(done.stderr.splitlines()) == 1, f"refused: {' '.join(Path(a).name for a in args) or 'no arguments'}", done.stderr)


def refused(tap: Tap, scratch: Path, what: str, data: bytes, expression: str) -> None:
    (scratch / "bad").write_bytes(data)
    done = start("run", str(scratch / "bad"))
    tap.check(done.returncode == 2 and len(done.stderr.splitlines()) == 1 and bool(re.search(expression, done.stderr)), what, done.stderr)


def self_test(tap: Tap, scratch: Path) -> None:
    """With any one of the replaced functions left as the library has it, the binary does not link or says so and stops."""
    tap.check(start("selftest").returncode == 0, "the self-test passes")
    wraps = (ROOT / "sim/unicorn/wrap").read_text().split()
    sources = [p for folder in ("harness", "harness/trace", "harness/replay", "sim/unicorn") for p in sorted((ROOT / folder).glob("*.c")) if p.name != "choose.c"]
    built = [ROOT / "build/plain" / p.relative_to(ROOT).with_suffix(".o") for p in sources]   # the explorer's are not, in this build
    objects = [str(p) for p in built if p.is_file()]
    for left_out in wraps:
        (scratch / "wrap").write_text("\n".join(w for w in wraps if w != left_out))
        binary = scratch / "partial"
        binary.unlink(missing_ok=True)
        link = subprocess.run(["gcc", "-no-pie", "-o", str(binary), *objects, str(ROOT / "build/plain/kernel.o"), str(ROOT / "build/plain/libsim.a"),
                               "/usr/lib/x86_64-linux-gnu/libunicorn.a", f"@{scratch / 'wrap'}", "-lm", "-lpthread"], capture_output=True, text=True)
        if link.returncode:
            tap.check("__real_" in link.stderr, f"without {left_out.split('=')[1]} it does not link", link.stderr[-300:])
            continue
        done = subprocess.run(["timeout", "-k", "1", "5", str(binary), "selftest"], capture_output=True, text=True, errors="replace")
        good = done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "unicorn 2.0.1" in done.stderr
        tap.check(good, f"without {left_out.split('=')[1]} it refuses", f"status {done.returncode} {done.stderr[-300:]}")


def replay(tap: Tap, scratch: Path) -> None:
    trace = scratch / "trace.bin"
    for name, cpus in (("guest-hello", "1"), ("guest-smp", "2")):
        for recorded in ("vmx", "svm"):
            run(scratch, name, "--vendor", recorded, "--cpus", cpus, "--trace", str(trace))
            for on in ("vmx", "svm"):
                done = start("replay", bundle(name), str(trace), "--vendor", on, "--cpus", cpus)
                tap.check(done.returncode == 0 and re.search(r"^replay: \d+ exits, no difference$", done.stdout, re.M) is not None,
                          f"{name} recorded on {recorded} replays on {on}", done.stdout[-300:] + done.stderr[-300:])
    changed_field(tap, scratch)


def changed_field(tap: Tap, scratch: Path) -> None:
    """One register of one entry changed in the file: named with exit, vCPU, field and both values."""
    trace = scratch / "trace.bin"
    run(scratch, "guest-hello", "--vendor", "vmx", "--trace", str(trace))
    data, at, entry = bytearray(trace.read_bytes()), 76, -1   # one packet: its header, then events (kernel/include/abi/trace.h)
    while at < len(data):
        kind, size = int.from_bytes(data[at:at + 2], "little"), int.from_bytes(data[at + 6:at + 8], "little")
        entry += kind == 5
        changes = range(at + 16, at + 16 + 5 * data[at + 14], 5) if kind == 5 else ()
        if place := next((c for c in changes if data[c] == 19), 0):   # RBX
            data[place + 1] ^= 0x10
            break
        at += size
    trace.write_bytes(data)
    done = start("replay", bundle("guest-hello"), str(trace), "--vendor", "svm")
    tap.check(done.returncode == 1 and re.search(rf"^exit {entry} vcpu 0: answer: field rbx recorded 0x[0-9a-f]+ got 0x[0-9a-f]+$", done.stdout, re.M) is not None,
              "a changed register in a recording is named", done.stdout[-300:] + done.stderr[-300:])


def debugger(tap: Tap, scratch: Path) -> None:
    script = scratch / "gdb"
    script.write_text("set pagination off\nset debuginfod enabled off\nbreak vcpu_trap\nrun\norrery cpus\norrery ec\norrery guest\nkill\n")
    done = subprocess.run(["gdb", "-q", "-batch", "-x", str(ROOT / "harness/orrery-gdb.py"), "-x", str(script), "--args", str(BINARY), "run", bundle("guest-hello")],
                          capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    wanted = (r"^\*  0  kernel +ec 0x", r"^ec 0x[0-9a-f]+  ready", r"^  cs [0-9a-f]{4} base", r"^rip [0-9a-f]{16}")
    tap.check(all(re.search(w, done.stdout, re.M) for w in wanted), "gdb shows CPUs, the current EC and the guest", done.stdout[-800:] + done.stderr[-300:])


def main() -> int:
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="orrery-test-") as name:
        for part in (self_test, scenarios, determinism, ends, bad_input, replay, debugger):
            part(tap, Path(name))
    return tap.finish()


sys.exit(main())
