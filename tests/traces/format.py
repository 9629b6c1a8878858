#!/usr/bin/python3
"""Is a trace what CTF says it is? babeltrace2 and orrery-trace read the same from one folder: each event with its time, CPU, number, fields and words. And
what stands in a folder: recordings of one seed are the same bytes, a broken one is told in a line and takes no other's place."""
import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from tap import Tap  # noqa: E402

ENV = os.environ | {"ORRERY_NO_BUILD": "1"}
TRACE = ROOT / "build/orrery-trace"
NUMBER = r"0x[0-9A-Fa-f]+|\d+"
EVENT = re.compile(r"\[(\d+)\] (\w+): \{ first_sequence = \d+, cpu_id = (\d+) \}, \{ bytes = (\d+), sequence = (\d+) \}, \{ (.*) \}$")
NAMED = re.compile(r'\( (?:"(\w+)"|<unknown>) : container = (\d+) \)')
WORD = re.compile(rf'word = \( "(\w+)" : container = \d+ \), value = ({NUMBER}) ')
SHOWN = re.compile(r"(\d+) tsc (\d+) cpu (\d+) (\w+)((?: \w+=\w*)*)$")
Event = tuple[int, int, int, str, dict[str, int | str]]


def call(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, errors="replace", env=ENV)


def babeltrace(folder: Path) -> tuple[list[Event], str]:
    """Events in the order of their numbers, and what babeltrace2 has to complain of."""
    done = call("babeltrace2", "--clock-cycles", "--no-delta", folder)
    found = []
    for line in done.stdout.splitlines():
        match = EVENT.match(line)
        if not match:
            return found, f"not understood: {line}"
        tsc, name, cpu, size, sequence, payload = match.groups()
        fields: dict[str, int | str] = {"bytes": int(size)}
        head, _, tail = payload.partition(", small_count = ")
        for key, value in re.findall(rf"(\w+) = ({NUMBER})(?:,|$| )", NAMED.sub(lambda m: m.group(2), head.split(", count = ")[0])):
            fields[key] = int(value, 0)
        fields |= {word: int(value, 0) for word, value in WORD.findall(tail)}
        if name == "value":
            fields["data"] = "".join(f"{int(value, 0):02x}" for value in re.findall(rf"\[\d+\] = ({NUMBER})", head))
        found.append((int(sequence), int(tsc), int(cpu), name, fields))
    return sorted(found, key=lambda event: event[0]), done.stderr + ("" if done.returncode == 0 else f"exit status {done.returncode}")


def shown(folder: Path) -> list[Event]:
    """The same from orrery-trace."""
    found = []
    for line in call(TRACE, "show", folder, "--raw").stdout.splitlines():
        sequence, tsc, cpu, name, rest = SHOWN.match(line).groups()
        pairs = [pair.split("=") for pair in rest.split()]
        found.append((int(sequence) & 0xFFFFFFFF, int(tsc), int(cpu), name, {key: value if key == "data" else int(value, 0) for key, value in pairs}))
    return found


def difference(one: list[Event], other: list[Event]) -> str:
    """The first one, or nothing."""
    for a, b in zip(one, other):
        if a != b:
            return f"{a}\n{b}"
    return f"{len(one)} and {len(other)} events" if len(one) != len(other) else ""


def all_events(folder: Path) -> Path:
    """A trace that no machine wrote, with an event of each kind: made here, from the specification of packets."""
    sys.path.insert(0, str(ROOT / "tests/fuzz"))
    import run as fuzz
    stream = folder.with_suffix(".raw")
    fuzz.seeds("trace_fuzz", stream.parent)
    stream.write_bytes((stream.parent / "each").read_bytes()[1:])
    call(TRACE, "save", stream, "-o", folder, "--env", "scenario=a \"b\" \\ c", "--env", "seed=0")
    return folder


def equal_readings(tap: Tap, folder: Path, what: str, kinds: int) -> None:
    theirs, complaint = babeltrace(folder)
    ours = shown(folder)
    tap.check(not complaint, f"babeltrace2 reads {what} without a word", complaint[:800])
    differs = difference(theirs, ours)
    tap.check(not differs and len({event[3] for event in ours}) >= kinds, f"babeltrace2 and orrery-trace read the same of {what}: {len(ours)} events",
              differs or str({event[3] for event in ours}))


def changed(tap: Tap, folder: Path, scratch: Path) -> None:
    """Not the same after any one byte of an event's fields was changed."""
    original, missed = shown(folder), []
    data = bytearray((folder / "cpu0").read_bytes())
    shutil.copytree(folder, scratch / "changed")
    offset = 76 + 36 + 12   # the first event after `machine`: its fields
    for at in range(offset, offset + 26):
        (scratch / "changed/cpu0").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
        theirs, _ = babeltrace(scratch / "changed")
        if not difference(theirs, original):
            missed.append(at)
    tap.check(not missed, "a changed byte is another reading", str(missed))


def seeds(tap: Tap, scratch: Path) -> None:
    for vendor in ("vmx", "svm"):
        for name, seed in (("a", 7), ("b", 7), ("c", 8)):
            done = call(ROOT / "orrery", "record", "guest-smp", "--all", "--vendor", vendor, "--seed", seed, "-o", scratch / vendor / name)
            if not tap.check(done.returncode == 0, f"record guest-smp, {vendor}, seed {seed}", done.stdout[-300:] + done.stderr[-300:]):
                return
        files = sorted(path.name for path in (scratch / vendor / "a").iterdir())
        same = filecmp.cmpfiles(scratch / vendor / "a", scratch / vendor / "b", files, shallow=False)[0]
        tap.check(sorted(same) == files == ["cpu0", "cpu1", "metadata"], f"two recordings of one seed are the same bytes, {vendor}", f"{files} {same}")
        other = filecmp.cmpfiles(scratch / vendor / "a", scratch / vendor / "c", files, shallow=False)[1]
        tap.check("cpu0" in other, f"those of two seeds are not, {vendor}", str(other))


def registers(folder: Path) -> dict[tuple[int, int], tuple[int, int, int]]:
    """RIP, RAX and the selector of CS at each exit of each vCPU, from the words of --raw."""
    words: dict[int, dict[str, int]] = {}
    found: dict[tuple[int, int], tuple[int, int, int]] = {}
    counts: dict[int, int] = {}
    for _, _, _, name, fields in shown(folder):
        if name in ("state", "exit", "entry"):
            vcpu = fields["vcpu"]
            words[vcpu] = (words[vcpu] if name != "state" else {}) | fields
        if name == "exit":
            found[vcpu, counts.get(vcpu, 0)] = tuple(words[vcpu].get(word, 0) for word in ("rip", "rax", "cs_selector"))
            counts[vcpu] = counts.get(vcpu, 0) + 1
    return found


def views(tap: Tap, folder: Path) -> None:
    """Objects, lines and figures of one trace say the same."""
    objects = [json.loads(line) for line in call(TRACE, "show", folder, "--json").stdout.splitlines()]
    figures = json.loads(call(TRACE, "stat", folder, "--json").stdout)
    exits = [o for o in objects if o["event"] == "exit"]
    reasons = Counter(o["reason"] for o in exits)
    tap.check(figures["exits"] == len(exits) > 100 and {key: row["exits"] for key, row in figures["by_reason"].items()} == reasons
              and {key: n for key, n in figures["by_event"].items() if n} == Counter(o["event"] for o in objects), "stat counts what show --json shows", str(figures))
    now: dict[int, dict[str, str]] = {}
    found = {}
    for o in objects:
        if "changes" in o:
            now.setdefault(o["vcpu"], {}).update(o["changes"])
        if o["event"] == "exit":
            found[o["vcpu"], o["n"]] = tuple(int(now[o["vcpu"]].get(key, "0"), 0) for key in ("rip", "rax", "cs.selector"))
    tap.check(found == registers(folder), "changes add up to the registers of each exit", f"{len(found)} exits")
    out = [o for o in exits if o["reason"] == "IO" and o["details"]["direction"] == "out"]
    tap.check(len(out) > 50 and all(int(o["details"]["value"], 0) == found[o["vcpu"], o["n"]][1] & (1 << 8 * o["details"]["size"]) - 1 for o in out),
              "the value of an OUT is that of RAX", str(out[:1]))
    lines = call(TRACE, "show", folder).stdout.splitlines()
    tap.check(sorted((int(line.split()[2]), int(line.split()[0])) for line in lines) == sorted(found), "show has a line for each exit", f"{len(lines)}")
    tap.check(sum("  IO out port 0x3f8 size 1 value 0x" in line for line in lines) > 50, "an OUT reads as one", lines[5])
    some = call(TRACE, "show", folder, "--vcpu", 1, "--from", 3, "--to", 5).stdout.splitlines()
    tap.check(some == [line for line in lines if re.match(r"[345] vcpu 1 ", line)] and len(some) == 3, "show of some exits of one vCPU", "\n".join(some))
    for words, what in ((("--vcpu", 2), "--vcpu"), (("--raw", "--json"), "--raw")):
        done = call(TRACE, "show", folder, *words)
        tap.check(done.returncode == 2 and done.stderr.startswith(f"orrery: {what}: ") and not done.stdout, f"show {' '.join(map(str, words))} is refused", done.stderr)


def broken(tap: Tap, folder: Path, scratch: Path) -> None:
    """One line and status 2; a good folder stays as it is."""
    data = (folder / "cpu0").read_bytes()
    end = len(data) - 16
    for what, bad, line in (("cut in an event", data[:-3], rf"offset {end:#x}: event: "), ("cut in a packet's header", data[:50], r"offset 0x0: packet: "),
                            ("no CTF", b"X" + data[1:], r"offset 0x0: magic: "), ("empty", b"", r"offset 0x0: packet: ")):
        raw, target = scratch / "bad.raw", scratch / "target"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)
        raw.write_bytes(bad)
        for verb in (("check", raw), ("save", raw, "-o", target)):
            done = call(TRACE, *verb)
            good = done.returncode == 2 and done.stderr.count("\n") == 1 and re.search(f"bad.raw: {line}", done.stderr)
            tap.check(bool(good), f"{verb[0]} of a trace that is {what}: one line, status 2", f"{done.returncode}: {done.stderr}")
        tap.check((target / "cpu0").read_bytes() == data, f"a trace that is {what} takes no other's place", "")
    raw.write_bytes(data[:-3])
    done = call(TRACE, "save", raw, "-o", scratch / "kept")
    kept = call(TRACE, "check", scratch / "kept")
    tap.check(done.returncode == 2 and "truncated" in kept.stderr and len(shown(scratch / "kept")) == len(shown(folder)) - 1, "what could be read of it is kept",
              done.stderr + kept.stderr)
    (scratch / "notes").mkdir()
    (scratch / "notes/letter").write_text("dear")
    done = call(TRACE, "save", folder / "cpu0", "-o", scratch / "notes")
    tap.check(done.returncode == 2 and done.stderr.count("\n") == 1 and [p.name for p in (scratch / "notes").iterdir()] == ["letter"],
              "a folder of other files is left alone", done.stderr)


def run(tap: Tap) -> None:
    """All of this file's checks."""
    with tempfile.TemporaryDirectory(prefix="orrery-test-") as name:
        scratch = Path(name)
        each = all_events(scratch / "each-dir")
        equal_readings(tap, each, "a trace with each kind of event", 13)
        seeds(tap, scratch)
        for vendor in ("vmx", "svm"):
            equal_readings(tap, scratch / vendor / "a", f"a recording, {vendor}", 8)
        done = call(ROOT / "orrery", "record", "guest-smp", "--all", "--on", "qemu", "-o", scratch / "qemu")
        if tap.check(done.returncode == 0, "record guest-smp on qemu", done.stdout[-300:] + done.stderr[-300:]):
            equal_readings(tap, scratch / "qemu", "a recording of QEMU", 8)
        views(tap, scratch / "vmx/a")
        changed(tap, each, scratch)
        broken(tap, each, scratch)


if __name__ == "__main__":
    result = Tap()
    run(result)
    sys.exit(result.finish())
