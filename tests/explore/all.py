#!/usr/bin/python3
"""Every world, as far as a test can go: straight, some PCT runs, then its own bound, or without one where it is small enough. All budgets are numbers
of runs, so the result is the same everywhere; a search that its budget cuts says so in its name. `make explore` goes to the end.
"""
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests/explore"))
sys.path.insert(0, str(ROOT / "harness"))
import schedules  # noqa: E402
from orrery import explore  # noqa: E402
from tap import Tap  # noqa: E402

BINARY = ROOT / explore.EXPLORER
PCT_RUNS, SEARCH_RUNS = 2000, 15000


def call(args: tuple[str, ...]) -> tuple[int, str]:
    """Exit status and output of the explorer."""
    done = subprocess.run([str(BINARY), *args], capture_output=True, text=True, errors="replace")
    return done.returncode, done.stdout + done.stderr


def ways(test: dict[str, object]) -> list[tuple[str, ...]]:
    """The calls for a test, cheapest first."""
    run = ("run", str(test["test"]), "--json", "--strategy")
    return [(*run, "straight"), (*run, "pct", "--runs", str(PCT_RUNS)), (*run, "dpor" if test["unbounded"] else "bounded", "--runs", str(SEARCH_RUNS))]


def judge(tap: Tap, args: tuple[str, ...], status: int, text: str) -> None:
    """One TAP line for a call."""
    name, strategy = args[1], args[4]
    again = f"./orrery explore {name} --strategy {strategy} {' '.join(args[5:])}"
    try:
        found = json.loads(text)
    except ValueError:
        tap.fail(f"{name}: {strategy}", f"exit status {status}: {text[-500:]}\n{again}")
        return
    bound = ",".join(str(found["bound"][key]) for key in ("preemptions", "delays", "faults")) if found["bound"] else ""
    cut = f", cut at {found['runs']:,} runs" if status == 3 and strategy != "pct" else f", {found['runs']:,} runs"
    good = status == 0 or (status == 3 and strategy != "straight")
    tap.check(good, f"{name}: {strategy}{f' ({bound})' if bound else ''}{cut}", f"{found['status']}: {found['end']}: {found['message']}\n{again}")


def run(tap: Tap) -> None:
    """Everything; the binary must be built."""
    status, text = call(("selftest", "--json"))
    gates = json.loads(text) if status in (0, 1) else []
    tap.check(status == 0 and len(gates) > 0, f"explore self-test: {len(gates)} gates", text[-1500:])
    calls = [way for test in explore.tests(BINARY) for way in ways(test)]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for args, (status, text) in zip(calls, pool.map(call, calls)):
            judge(tap, args, status, text)
    schedules.run(tap)


if __name__ == "__main__":
    whole = Tap()
    run(whole)
    sys.exit(whole.finish())
