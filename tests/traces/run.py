#!/usr/bin/python3
"""Does what is recorded anywhere replay in the process on both models, and is a changed VMM caught, and a broken file named?"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from tap import Tap  # noqa: E402

ENV = os.environ | {"ORRERY_NO_BUILD": "1"}
MACHINES = (("sim", "vmx"), ("sim", "svm"), ("qemu", "svm"), ("bochs", "vmx"))


def orrery(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(ROOT / "orrery"), *args], capture_output=True, text=True, errors="replace", env=ENV | env)


def changed_vmm(scratch: Path) -> Path:
    """A copy of the user programs with a VMM that answers CPUID leaf 0 differently; the change is made in a scratch copy of its source."""
    tree, user = scratch / "tree", scratch / "user"
    tree.mkdir()
    for part in ("kernel", "scenarios", "Makefile"):
        (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, tree / part)
    source = tree / "scenarios/vmm/identity.c"
    good, changed = "{ 0x00000000, 1,", "{ 0x00000000, 2,"
    text = source.read_text()
    assert text.count(good) == 1
    source.write_text(text.replace(good, changed))
    subprocess.run(["make", "-s", "-C", str(tree), "build/user/vmm.elf"], check=True, capture_output=True)
    shutil.copytree(ROOT / "build/user", user, ignore=shutil.ignore_patterns("scenarios"))
    shutil.copy(tree / "build/user/vmm.elf", user / "vmm.elf")
    return user


def record_and_replay(tap: Tap, scratch: Path, scenario: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda m: orrery("record", scenario, "--on", m[0], "--vendor", m[1], "-o", str(scratch / "-".join(m))), MACHINES))
    for (on, vendor), result in zip(MACHINES, done):
        if not tap.check(result.returncode == 0, f"record {scenario} on {on} {vendor}", result.stdout[-500:] + result.stderr[-500:]):
            continue
        for model in ("vmx", "svm"):
            replay = orrery("replay", str(scratch / f"{on}-{vendor}"), "--vendor", model)
            tap.check(replay.returncode == 0 and "no difference" in replay.stdout, f"{scenario} recorded on {on} {vendor} replays on {model}",
                      replay.stdout[-800:] + replay.stderr[-500:])


def instructions(tap: Tap, folder: Path) -> None:
    """Bytes that the machine gives of an instruction are those its VMM reads there, through a walk of its own."""
    count, now = 0, ""
    wrong = []
    for event in map(json.loads, orrery("trace", "show", "--json", str(folder)).stdout.splitlines()):
        if event["event"] == "exit":
            now = event.get("instruction", "")
        elif event["event"] == "value" and now and len(event["data"]) == 30:   # 15 bytes: no word of a page table
            count += 1
            wrong += [f"exit {event['n']}: {now}, read {event['data']}"] if event["data"] != now else []
    tap.check(count > 0 and not wrong, f"{count} instructions that SVM gives are what the VMM reads", "\n".join(wrong[:3]))


def page_end(tap: Tap, folder: Path) -> None:
    """An instruction at the end of a page, with nothing behind it: the bytes end there (the last of rule 9 in scenarios/vcpu-rules.c)."""
    done = orrery("record", "vcpu-rules", "--on", "sim", "--vendor", "svm", "-o", str(folder))
    shown = orrery("trace", "show", "--json", str(folder)).stdout
    given = [event["instruction"] for event in map(json.loads, shown.splitlines()) if event.get("instruction")]
    tap.check(done.returncode == 0 and [len(i) // 2 for i in given] == [15, 15, 4] and given[2] == "ff260030",
              "an instruction's bytes end where its page does if there is none behind it", f"{given}" + done.stderr[-300:])


def planted_difference(tap: Tap, scratch: Path) -> None:
    user = changed_vmm(scratch)
    for on, vendor in MACHINES:
        replay = orrery("replay", str(scratch / f"{on}-{vendor}"), ORRERY_USER=str(user))
        named = any(line.startswith("exit ") and "field" in line for line in replay.stdout.splitlines())
        tap.check(replay.returncode == 1 and named, f"a changed CPUID answer against the recording of {on} {vendor} is caught, exit and field named",
                  f"status {replay.returncode}\n{replay.stdout[-600:]}{replay.stderr[-300:]}")


def broken_files(tap: Tap, scratch: Path) -> None:
    good = scratch / "sim-vmx"
    data = (good / "cpu0").read_bytes()
    packet = int.from_bytes(data[44:52], "little") // 8
    for what, changed in (("truncated in an event", data[:len(data) // 2 + 3]), ("truncated in the first header", data[:20]), ("empty", b""),
                          ("of a foreign magic", b"X" + data[1:]), ("with an event of no size", data[:78] + b"\0\0" + data[80:]),
                          ("without its end", data[:packet] if packet < len(data) else data[:-16])):
        bad = scratch / "bad"
        shutil.rmtree(bad, ignore_errors=True)
        shutil.copytree(good, bad)
        (bad / "cpu0").write_bytes(changed)
        done = orrery("replay", str(bad))
        lines = done.stderr.strip().splitlines()
        tap.check(done.returncode == 2 and len(lines) == 1 and "offset" in lines[0], f"trace {what}: one line with the offset, status 2",
                  f"status {done.returncode}\n{done.stderr[-500:]}")


def parts(tap: Tap, scratch: Path) -> None:
    """What has no beginning cannot be replayed with its VMM, but without it."""
    part = scratch / "part"
    cut = orrery("trace", "cut", str(scratch / "sim-svm"), "--from", "20", "--to", "60", "-o", str(part))
    tap.check(cut.returncode == 0, "cut a part", cut.stderr[-300:])
    done = orrery("replay", str(part))
    tap.check(done.returncode == 2 and "part of a trace" in done.stderr and len(done.stderr.splitlines()) == 1, "a part is refused with one line", done.stderr[-300:])
    for vendor in ("vmx", "svm"):
        for mode in ("--kernel-only", "--load"):
            done = orrery("replay", str(part), "--vendor", vendor, mode, "--json")
            tap.check(done.returncode == 0 and json.loads(done.stdout)["end"] == "same", f"and replayed on {vendor} with {mode}", done.stdout + done.stderr)


def go_on(tap: Tap, scratch: Path) -> None:
    """--continue names every difference of a changed VMM, and comes to the end."""
    done = orrery("replay", str(scratch / "sim-vmx"), "--continue", "--json", ORRERY_USER=str(scratch / "user"))
    found = json.loads(done.stdout or "{}")
    tap.check(done.returncode == 1 and found["end"] == "different" and found["seen"] == found["exits"] and found["differences"] >= 1, "--continue goes on to the end",
              done.stdout + done.stderr)


def run(tap: Tap) -> None:
    """All of this file's checks."""
    with tempfile.TemporaryDirectory(prefix="orrery-test-") as name:
        record_and_replay(tap, Path(name), "guest-modes")
        record_and_replay(tap, Path(name), "guest-smp")
        record_and_replay(tap, Path(name), "guest-hello")
        instructions(tap, Path(name) / "sim-svm")
        page_end(tap, Path(name) / "rules")
        planted_difference(tap, Path(name))
        go_on(tap, Path(name))
        broken_files(tap, Path(name))
        parts(tap, Path(name))


if __name__ == "__main__":
    result = Tap()
    run(result)
    sys.exit(result.finish())
