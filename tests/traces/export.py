#!/usr/bin/python3
"""Does Perfetto's format, as protoc reads it, say what `orrery-trace show` says: each exit a slice of its reason with its details, each other event an
instant, slices that follow each other on every track?

The description of the messages is tests/traces/perfetto.proto. Not checked: what Perfetto's viewer makes of it.
"""
from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tests"))
from tap import Tap  # noqa: E402

TOOL = ROOT / "build/orrery-trace"


def tool(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(TOOL), *args], capture_output=True, text=True, errors="replace")


class Message:
    """A message as protoc --decode prints it: fields by name; one that is not there is None, repeated ones are in all()."""

    def __init__(self) -> None:
        self.fields: dict[str, list[Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return self.fields.get(name, [None])[-1]

    def all(self, name: str) -> list[Any]:
        return self.fields.get(name, [])


def decoded(file: Path) -> tuple[Message, str]:
    """The trace in a file; what protoc complains about, fields without a name among it."""
    done = subprocess.run(["protoc", f"-I{HERE}", "--decode=Trace", "perfetto.proto"], stdin=file.open("rb"), capture_output=True, text=True)
    top = Message()
    stack, complaints = [top], done.stderr
    for line in done.stdout.splitlines():
        name, _, value = line.strip().partition(" ")
        complaints += line if name[:1].isdigit() else ""
        if name == "}":
            stack.pop()
        elif value == "{":
            stack.append(Message())
            stack[-2].fields.setdefault(name, []).append(stack[-1])
        else:
            plain = value if not value.isdecimal() else int(value)
            stack[-1].fields.setdefault(name.removesuffix(":"), []).append(json.loads(value) if value.startswith('"') else plain)
    return top, complaints


def details(event: Any) -> dict[str, str]:
    """As show --json writes them: addresses as 0x.., numbers as they are."""
    return {d.name: f"{d.pointer_value:#x}" if d.pointer_value is not None else d.string_value if d.string_value is not None else str(d.uint_value)
            for d in event.all("debug_annotations")}


def slices(tap: Tap, name: str, packets: list[Any]) -> None:
    """On each track time never goes back, and what begins ends before the next begins."""
    last: Counter[int] = Counter()
    open_on: Counter[int] = Counter()
    good, balanced = True, True
    for packet in packets:
        track, kind = packet.track_event.track_uuid, packet.track_event.type
        good &= packet.timestamp >= last[track]
        last[track] = packet.timestamp
        open_on[track] += {"SLICE_BEGIN": 1, "SLICE_END": -1}.get(kind, 0)
        balanced &= open_on[track] in (0, 1)
    tap.check(good, f"{name}: time ascends on every track")
    tap.check(balanced and not any(open_on.values()), f"{name}: each slice ends, before the next begins", str(open_on))


def exits(tap: Tap, name: str, shown: list[dict[str, Any]], events: list[tuple[int, str, Any]]) -> None:
    """(ns, track, event) against the exits and entries of show."""
    made = [(ns, track, e.name, details(e)) for ns, track, e in events if e.type == "SLICE_BEGIN" and e.categories == "exit"]
    wanted = [e for e in shown if e["event"] == "exit"]
    tap.check(len(made) == len(wanted) > 100, f"{name}: each exit is a slice", f"{len(made)} {len(wanted)}")
    for (ns, track, reason, have), e in zip(made, wanted):
        want = {"exit": str(e["n"]), "vcpu": str(e["vcpu"]), **{key: str(value) for key, value in e["details"].items()}}
        rip = e["changes"].get("rip", have.get("rip"))
        if (ns, track, reason, rip) != (e["tsc"], f"vCPU {e['vcpu']}", e["reason"], have.get("rip")) or any(have.get(key) != value for key, value in want.items()):
            tap.fail(f"{name}: exits have their reason, time and details", f"{ns} {track} {reason} {have}\n{e}")
            break
    else:
        tap.ok(f"{name}: exits have their reason, time and details")
    following = {(e["vcpu"], e["n"]): e["reason"] for e in wanted}
    entries = [e for e in shown if e["event"] == "entry"]
    guests = [(ns, track, e.name) for ns, track, e in events if e.type == "SLICE_BEGIN" and e.categories == "guest"]
    tap.check([g for g in guests if g[1].startswith("vCPU")] == [(e["tsc"], f"vCPU {e['vcpu']}", "guest") for e in entries], f"{name}: each entry begins a slice of its vCPU")
    begun = {(e["tsc"], f"CPU {e['cpu']}", following.get((e["vcpu"], e["n"] + 1), "guest")) for e in entries}
    tap.check(begun <= set(guests), f"{name}: and one of its CPU, of the name of the exit that ends it", str(begun - set(guests))[:300])
    injected = [(e["tsc"], e["inject"]) for e in entries if "inject" in e]
    tap.check([(ns, details(e)["inject"]) for ns, _, e in events if e.type == "SLICE_END" and "inject" in details(e)] == injected != [], f"{name}: what is injected stands at the end of the exit's slice", str(injected))


def instants(tap: Tap, name: str, shown: list[dict[str, Any]], events: list[tuple[int, str, Any]]) -> None:
    made = [(ns, e.categories, e.name, details(e)) for ns, _, e in events if e.type == "INSTANT"]
    wanted = [e for e in shown if e["event"] not in ("state", "exit", "entry")]
    tap.check([(ns, kind) for ns, kind, _, _ in made] == [(e["tsc"], e["event"]) for e in wanted], f"{name}: every other event is an instant", f"{len(made)} {len(wanted)}")
    for (_, kind, title, have), e in zip(made, wanted):
        names = {"hypercall": e.get("name"), "ipc": e.get("name"), "interrupt": f"interrupt {e.get('vector')}", "exception": f"exception {e.get('vector')}", "value": e.get("kind")}
        fields = {key: str(value) for key, value in e.items() if key not in ("event", "sequence", "tsc", "cpu", "name", "n", "vcpu") and (kind, key) != ("value", "kind")}
        if title != names.get(kind, kind) or any(have.get(key) != value for key, value in fields.items()):
            tap.fail(f"{name}: instants have their names and fields", f"{kind} {title} {have}\n{e}")
            break
    else:
        tap.ok(f"{name}: instants have their names and fields")
    found = {kind for _, kind, _, _ in made}
    tap.check({"machine", "end", "hypercall", "interrupt", "schedule"} <= found if name.endswith("-all") else found <= {"machine", "end", "value"}, f"{name}: of the kinds that were recorded", str(found))


def whole(tap: Tap, name: str, folder: Path, scratch: Path) -> None:
    file = scratch / f"{name}.pftrace"
    for path in (file, scratch / "again.pftrace"):
        done = tool("export", str(folder), "--format", "perfetto", "-o", str(path))
        tap.check(done.returncode == 0 and not done.stderr, f"{name}: export", done.stderr)
    tap.check(file.read_bytes() == (scratch / "again.pftrace").read_bytes(), f"{name}: the same trace, the same bytes")
    trace, complaints = decoded(file)
    tap.check(not complaints, f"{name}: protoc decodes it, and no field is unknown", complaints[:300])
    shown = [json.loads(line) for line in tool("show", str(folder), "--json").stdout.splitlines()]
    tracks = {p.track_descriptor.uuid: p.track_descriptor for p in trace.all("packet") if p.track_descriptor}
    vcpus, cpus = {e["vcpu"] for e in shown if "vcpu" in e}, {e["cpu"] for e in shown}
    wanted = sorted([f"{'-'.join(name.split('-')[:2])} on sim", *(f"vCPU {v}" for v in vcpus), *(f"CPU {c}" for c in cpus), *(f"CPU {c}, lost events" for c in cpus)])
    tap.check(sorted(t.name for t in tracks.values()) == wanted, f"{name}: tracks", str([t.name for t in tracks.values()]))
    tap.check(all(p.trusted_packet_sequence_id == 1 for p in trace.all("packet")), f"{name}: one sequence of packets")
    packets = [p for p in trace.all("packet") if p.track_event]
    slices(tap, name, packets)
    events = [(p.timestamp, tracks[p.track_event.track_uuid].name, p.track_event) for p in packets]   # the process counts its TSC in ns
    exits(tap, name, shown, events)
    instants(tap, name, shown, events)
    counters = [(track, e.counter_value) for _, track, e in events if e.type == "COUNTER"]
    tap.check(sorted(counters) == sorted((f"CPU {c}, lost events", 0) for c in cpus), f"{name}: nothing was lost, and the counters say so", str(counters))


def bad_input(tap: Tap, folder: Path, scratch: Path) -> None:
    out = str(scratch / "bad.pftrace")
    for what, arguments, words in (("no format", [str(folder), "-o", out], "--format: perfetto"), ("another format", [str(folder), "--format", "json", "-o", out], "--format: perfetto"),
                                   ("no file", [str(folder), "--format", "perfetto"], "-o: "), ("no trace", [str(ROOT / "README.md"), "--format", "perfetto", "-o", out], "offset"),
                                   ("a full disk", [str(folder), "--format", "perfetto", "-o", "/dev/full"], "No space left"), ("no folder", [str(folder), "--format", "perfetto", "-o", "/proc/none/x"], "No such file")):
        done = tool("export", *arguments)
        tap.check(done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, f"export: {what}: one line, status 2", done.stderr)
    cut = scratch / "cut"
    cut.write_bytes((folder / "cpu0").read_bytes()[:20000])
    done = tool("export", str(cut), "--format", "perfetto", "-o", out)
    trace, _ = decoded(Path(out))
    tap.check(done.returncode == 2 and done.stderr.count("\n") == 1 and "offset 0x" in done.stderr and len(trace.all("packet")) > 100, "export: a truncated trace: one line, status 2, what could be read is there", done.stderr)


def run(tap: Tap) -> None:
    """All of this file's checks."""
    env = os.environ | {"ORRERY_NO_BUILD": "1"}
    with tempfile.TemporaryDirectory(prefix="orrery-test-") as name:
        scratch = Path(name)
        for scenario, vendor, more in (("guest-hello", "svm", []), ("guest-hello", "vmx", ["--all"]), ("guest-smp", "svm", ["--all"])):
            folder = scratch / f"{scenario}-{vendor}{'-all' if more else ''}"
            done = subprocess.run([str(ROOT / "orrery"), "record", scenario, "--on", "sim", "--vendor", vendor, "-o", str(folder), *more], capture_output=True, text=True, env=env)
            if tap.check(done.returncode == 0, f"record {folder.name}", done.stdout[-300:] + done.stderr[-300:]):
                whole(tap, folder.name, folder, scratch)
        bad_input(tap, folder, scratch)


if __name__ == "__main__":
    result = Tap()
    run(result)
    sys.exit(result.finish())
