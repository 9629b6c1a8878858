#!/usr/bin/python3
"""What if the command is used wrongly, or its input is broken? One clear line, exit status 2, nothing left behind."""
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "harness"))
sys.path.insert(0, str(ROOT / "tests/command"))
import bench_cases  # noqa: E402
import mutate_cases  # noqa: E402
from tap import Tap  # noqa: E402
from orrery import bundle, machines, manifest  # noqa: E402
from orrery import run as runs  # noqa: E402
from orrery.base import BadInput  # noqa: E402

ENV = os.environ | {"ORRERY_NO_BUILD": "1"}
GOOD = 'title = "t"\nexpect = ["x"]\n[[program]]\nname = "p"\nsource = "hello"\n'


def call(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(ROOT / "orrery"), *args], capture_output=True, text=True, env=ENV)


def bad_arguments(tap: Tap) -> None:
    for what, args, word in (
            ("no verb", [], "VERB"), ("unknown verb", ["walk"], "walk"), ("unknown scenario", ["run", "nowhere"], "nowhere"),
            ("path as a scenario", ["run", "../scenarios/hello"], "unknown scenario"), ("unknown machine", ["run", "hello", "--on", "vax"], "vax"),
            ("unknown vendor", ["run", "hello", "--vendor", "arm"], "arm"), ("vmx on qemu", ["run", "hello", "--on", "qemu", "--vendor", "vmx"], "qemu has no vmx"),
            ("no CPU", ["run", "hello", "--cpus", "0"], "--cpus"), ("too many CPUs", ["run", "hello", "--cpus", "65"], "--cpus"),
            ("CPUs that are no number", ["run", "hello", "--cpus", "two"], "two"), ("negative seed", ["run", "hello", "--seed", "-1"], "seed"),
            ("a seed for qemu", ["run", "hello", "--on", "qemu", "--seed", "3"], "--seed"), ("record without a folder", ["record", "hello"], "--output"),
            ("replay of nothing", ["replay", "/nonexistent"], "no recording"), ("gdb on bochs", ["run", "hello", "--on", "bochs", "--gdb"], "bochs"),
            ("arguments of no program", ["run", "hello", "--args", "nobody=x"], "nobody"), ("arguments that are no assignment", ["run", "hello", "--args", "hello"], "PROGRAM=TEXT"),
            ("long arguments", ["run", "hello", "--args", "hello=" + "x" * 128], "at most 127")):
        done = call(*args)
        lines = done.stderr.strip().splitlines()
        tap.check(done.returncode == 2 and 1 <= len(lines) <= 3 and word in done.stderr and "Traceback" not in done.stderr, f"{what}: one line, status 2",
                  f"status {done.returncode}\n{done.stdout[-300:]}\n{done.stderr[-600:]}")


def bad_manifests(tap: Tap) -> None:
    for what, text, word in (
            ("no TOML", "title = ", "TOML"), ("wrong key", GOOD.replace("title", "titel"), "titel"), ("missing key", GOOD.replace('expect = ["x"]\n', ""), "expect"),
            ("wrong type", GOOD.replace('"t"', "3"), "title"), ("wrong program key", GOOD + "colour = 3\n", "colour"), ("CPU out of range", GOOD + "cpu = 1\n", "cpu"),
            ("bad regular expression", GOOD.replace('["x"]', '["("]'), "regular expression"), ("unknown machine", 'machines = ["vax"]\n' + GOOD, "machines"),
            ("two of a name", GOOD + '[[program]]\nname = "p"\nsource = "hello"\n', "same name"), ("memory that is no page", GOOD + "memory_kb = 3\n", "memory_kb"),
            ("a command line with quotes", 'kernel = "a\\"b"\n' + GOOD, "kernel"), ("program without source", GOOD.replace('source = "hello"\n', ""), "source"), ("bytes that are no text", None, "TOML")):
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "x.toml"
            path.write_bytes(b"\xff\xfe\x00") if text is None else path.write_text(text)
            try:
                manifest.load("x", Path(scratch))
                tap.fail(f"manifest: {what}", "accepted")
            except BadInput as error:
                tap.check(word in str(error) and "x.toml" in str(error) and "\n" not in str(error), f"manifest: {what}: named", str(error))


def wrong_machine(tap: Tap) -> None:
    only_qemu = manifest.Manifest("x", "t", machines=["qemu"])
    try:
        machines.resolve(only_qemu, "sim", None, None)
        tap.fail("a machine that the scenario is not for", "accepted")
    except BadInput as error:
        tap.check("does not run on sim" in str(error), "a machine that the scenario is not for: named", str(error))


def bad_modules(tap: Tap) -> None:
    m = manifest.load("hello")
    elf = (ROOT / "build/user" / f"{m.programs[0].source}.elf").read_bytes()
    changed = {"empty": b"", "no ELF": b"MZ" + elf[2:], "32-bit": elf[:4] + b"\x01" + elf[5:], "cut in the headers": elf[:100], "cut in a segment": elf[:0x1008],
               "entry outside": elf[:24] + bytes(8) + elf[32:], "program headers outside": elf[:32] + b"\xff" * 8 + elf[40:]}
    for what, data in changed.items():
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copy(ROOT / "build/user/root.elf", scratch)
            name = f"{m.programs[0].source}.elf"
            (Path(scratch) / name).write_bytes(data)
            try:
                bundle.build(m, Path(scratch))
                tap.fail(f"corrupt ELF ({what})", "accepted")
            except BadInput as error:
                tap.check(name in str(error) and "\n" not in str(error), f"corrupt ELF ({what}): named", str(error))
    with tempfile.TemporaryDirectory() as scratch:
        try:
            bundle.build(m, Path(scratch))
            tap.fail("missing module", "accepted")
        except BadInput as error:
            tap.check("missing module" in str(error), "missing module: named", str(error))


def same_name(tap: Tap) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        user = Path(scratch)
        (user / "guests").mkdir()
        for name in ("root", "x"):
            shutil.copy(ROOT / "build/user/hello.elf", user / f"{name}.elf")
        (user / "guests/x.bin").write_bytes(b"guest")
        data = bundle.build(manifest.Manifest("s", "t", programs=[manifest.Program("p", "x", guest="x")]), user)
        at, size = struct.unpack_from("<QQ", data, 64 + 2 * 64 + 40)
        tap.check(data[at:at + size] == b"guest", "a guest with the name of a program is itself", str((at, size)))


def json_output(tap: Tap) -> None:
    done = call("run", "guest-hello", "--json")
    keys = {"scenario", "on", "vendor", "cpus", "seed", "ok", "event_hash", "exits", "instructions", "wall_ms"}
    result = json.loads(done.stdout) if done.returncode == 0 else {}
    tap.check(keys <= set(result) and result["exits"].get("CPUID", 0) > 0 and re.fullmatch(r"0x[0-9a-f]{16}", result["event_hash"]) is not None,
              "--json: one object with every documented key", done.stdout[-500:] + done.stderr)
    done = call("list", "--json")
    tap.check({m["name"] for m in json.loads(done.stdout)} == set(manifest.names()), "list --json names every scenario")


def stopped(tap: Tap) -> None:
    """A machine that never ends is a failed run, although its trace ends anywhere."""
    endless = manifest.load("guest-smp")
    endless.seconds = 1
    manifest.arguments(endless, ["vmm=vcpus 1"])   # the first vCPU waits for the second for ever
    try:
        outcome = runs.run(dict(manifest=endless, on="sim", vendor="vmx", cpus=2, trace=True))
        tap.check(not outcome.ok and "no shutdown was seen within 1 s" in outcome.why, "a run that was stopped: says so", outcome.why)
    except BadInput as error:
        tap.fail("a run that was stopped: says so", str(error))


def interrupt(tap: Tap) -> None:
    for on in ("sim", "qemu", "bochs"):
        process = subprocess.Popen([str(ROOT / "orrery"), "run", "pingpong", "--on", on], env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   start_new_session=True)
        time.sleep(0.6)
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
        process.send_signal(signal.SIGINT)
        process.wait()
        time.sleep(0.1)
        left = [pid for pid in children if Path(f"/proc/{pid}").exists()]
        tap.check(not left, f"Ctrl-C on {on} leaves no process behind", f"left: {left}")


def run(tap: Tap) -> None:
    """All of this file's checks."""
    bad_arguments(tap)
    bad_manifests(tap)
    wrong_machine(tap)
    bad_modules(tap)
    same_name(tap)
    json_output(tap)
    bench_cases.run(tap)
    stopped(tap)
    mutate_cases.run(tap)
    interrupt(tap)


if __name__ == "__main__":
    result = Tap()
    run(result)
    sys.exit(result.finish())
