#!/usr/bin/python3
"""Every scenario on every machine it names, both vendors, the same guest console everywhere: run.py [--quick].

--quick: the process only. Also checked here: determinism by event_hash, other builds of the kernel, booting from CD.
A machine that is not installed is a failure, not a skip.
"""
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "harness"))
from tap import Tap  # noqa: E402
from orrery import manifest  # noqa: E402

WORKERS = 2
LONG = {"kill-backend", "lifecycle"}   # so many exits that to trace them over a serial port takes minutes
BUILT = {"ORRERY_NO_BUILD": "1"}


def orrery(*args: str, **env: str) -> tuple[int, dict, str]:
    """Run ./orrery run ARGS --json: exit status, the JSON object, everything printed to standard error."""
    done = subprocess.run([str(ROOT / "orrery"), "run", *args, "--json"], capture_output=True, text=True, env=os.environ | BUILT | env)
    try:
        return done.returncode, json.loads(done.stdout), done.stderr
    except ValueError:
        return done.returncode, {}, done.stdout + done.stderr


def machines_of(m: manifest.Manifest) -> list[tuple[str, str]]:
    pairs = {"sim": ("vmx", "svm"), "qemu": ("svm",), "bochs": ("vmx",)}
    others = [("bochs", "svm")] if m.name == "vcpu-rules" else []
    return [(on, vendor) for on in m.machines for vendor in pairs[on]] + others


def guest_console(text: str, programs: bool) -> list[str]:
    """The lines of guests, and of programs where one CPU makes their order certain; not what kernel and firmware say of the machine, not what was
    measured on it."""
    lines = [line for line in text.replace("\r", "").splitlines() if line.strip() and not line.startswith(("orrery:", "figure:"))]
    return lines if programs else [line for line in lines if line.startswith("guest-")]


def every_scenario(tap: Tap, quick: bool) -> None:
    work = []
    for name in manifest.names():
        m = manifest.load(name)
        work += [(m, on, vendor) for on, vendor in machines_of(m) if on == "sim" or not quick]
    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(lambda w: orrery(w[0].name, "--on", w[1], "--vendor", w[2], *(["--no-exits"] if w[0].name in LONG else [])), work))
    consoles: dict[str, dict[str, list[str]]] = {}
    for (m, on, vendor), (status, result, errors) in zip(work, results):
        ok = tap.check(status == 0 and result.get("ok") is True, f"{m.name} on {on} {vendor}", f"{result.get('why', '')}\n{errors}\n{result.get('console', '')[-1500:]}")
        if ok:
            consoles.setdefault(m.name, {})[f"{on} {vendor}"] = guest_console(result["console"], m.cpus == 1)
    for name, by_machine in consoles.items():
        if len(by_machine) > 1 and any(by_machine.values()):
            first = next(iter(by_machine.values()))
            different = [machine for machine, lines in by_machine.items() if lines != first]
            tap.check(not different, f"{name}: the same console on {', '.join(by_machine)}", f"different: {different}\n{by_machine}")


def determinism(tap: Tap, quick: bool) -> None:
    for vendor in ("vmx", "svm"):
        for scenario in ("guest-hello", "guest-smp"):
            seeds = ("7",) if quick else ("0", "7", "8")
            hashes = {}
            for seed in seeds:
                with ThreadPoolExecutor(WORKERS) as pool:
                    a, b = pool.map(lambda _: orrery(scenario, "--vendor", vendor, "--seed", seed), range(2))
                same = a[1].get("event_hash") is not None and a[1]["event_hash"] == b[1].get("event_hash")
                tap.check(same and a[0] == 0, f"{scenario} {vendor} --seed {seed}: the same event_hash twice", f"{a}\n{b}")
                hashes[seed] = a[1].get("event_hash")
            if not quick and scenario == "guest-smp":
                tap.check(len(set(hashes.values())) == len(seeds), f"{scenario} {vendor}: another seed, another event_hash", str(hashes))


def kill_backend(tap: Tap, quick: bool) -> None:
    """On four CPUs: the survivors make the same exits everywhere, and where order is certain requests were cut short in the middle of each."""
    few = "kill-backend=rounds 80 restarts 20 seed 1"
    runs = [("sim", "vmx", ()), ("sim", "svm", ())] + ([] if quick else [("qemu", "svm", ()), ("sim", "vmx", ("--args", few)), ("bochs", "vmx", ("--args", few))])
    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(lambda r: orrery("kill-backend", "--on", r[0], "--vendor", r[1], "--cpus", "4", "--no-exits", *r[2]), runs))
    exits: dict[tuple[str, ...], list[str]] = {}
    for (on, vendor, args), (status, result, errors) in zip(runs, results):
        console = result.get("console", "").replace("\r", "")
        survivors = re.findall(r"^kill-backend: (VM [12]: \d+ exits, hash 0x\w{16})", console, re.M)
        aborted = [int(n) for n in re.findall(r"^figure: VM [12]: (\d+) requests aborted", console, re.M)]
        name = f"kill-backend on {on} {vendor}, four CPUs, {'20' if args else '200'} restarts"
        tap.check(status == 0 and len(survivors) == 4 and survivors[0] == survivors[1] and survivors[2] == survivors[3] and
                  survivors == exits.setdefault(args, survivors), f"{name}: the same exits", f"{result.get('why')}\n{errors}\n{console[-1500:]}")
        if on == "sim":
            tap.check(len(aborted) == 2 and min(aborted) > 0, f"{name}: calls aborted", console[-1500:])


def lifecycle(tap: Tap) -> None:
    """More of it where CPUs run for real."""
    args = ("--args", "lifecycle=cells 2 cycles 500", "--no-exits")
    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(lambda m: (*m, *orrery("lifecycle", "--on", m[0], "--vendor", m[1], *args)), (("qemu", "svm"), ("bochs", "vmx"))))
    for on, vendor, status, result, errors in results:
        console = result.get("console", "").replace("\r", "")
        numbers = [re.findall(text, console, re.M) for text in (r"^lifecycle: (\d+ cells):", r" (\d+ refusals);", r"^lifecycle: (\d+ lives of each of \d+ kinds);")]
        tap.check(status == 0 and all(numbers), f"lifecycle on {on} {vendor}: {', '.join(found[-1] for found in numbers if found)}",
                  f"{result.get('why')}\n{errors}\n{console[-1500:]}")


def other_builds(tap: Tap) -> None:
    for build in ("clang", "tsan", "tsan-gcc"):
        for vendor in ("vmx", "svm"):
            for scenario in ("guest-hello", "vcpu-rules", "hostile-user", "pingpong"):   # instrumented builds see every plain access of the kernel
                status, result, errors = orrery(scenario, "--vendor", vendor, ORRERY_SIM=str(ROOT / f"build/orrery-unicorn-{build}"))
                tap.check(status == 0, f"{scenario} on the {build} build, {vendor}", f"{result.get('why')}\n{errors}")
    for on in ("qemu", "bochs"):
        status, result, errors = orrery("guest-hello", "--on", on, ORRERY_KERNEL=str(ROOT / "build/bare-clang/kernel.elf"))
        tap.check(status == 0, f"guest-hello on {on}, kernel built by clang", f"{result.get('why')}\n{errors}")


def from_cd(tap: Tap) -> None:
    iso = ROOT / "build/orrery-hello.iso"
    command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "128", "-display", "none", "-nodefaults", "-no-reboot", "-serial", "stdio",
               "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-cdrom", str(iso), "-boot", "d"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
        output = done.stdout.decode("utf-8", "replace")
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b"").decode("utf-8", "replace")
    tap.check(re.search(r"^orrery: shutdown code 0", output, re.M) is not None, "make iso: QEMU boots the image from CD", output[-800:])


def run(tap: Tap, quick: bool) -> None:
    """All of this file's checks."""
    every_scenario(tap, quick)
    determinism(tap, quick)
    kill_backend(tap, quick)
    if not quick:
        lifecycle(tap)
        other_builds(tap)
        from_cd(tap)


if __name__ == "__main__":
    result = Tap()
    run(result, "--quick" in sys.argv)
    sys.exit(result.finish())
