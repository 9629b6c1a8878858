#!/usr/bin/python3
"""`./orrery explore`: exit statuses, bad input, files of a finding; and whether it matters who runs the jobs: one process, two workers, workers
that die. Where a job has to fail in a certain way the explorer is a script. Not checked: a scheduler on another machine.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "harness"))
from orrery import cluster, explore_finding, job, jobs  # noqa: E402
from orrery.base import BadInput  # noqa: E402
from tap import Tap  # noqa: E402

BINARY = ROOT / "build/explore/orrery-explore"
ENV = os.environ | {"ORRERY_NO_BUILD": "1"}
BUG = ("lost_wakeup", "--model", "tso")

BAD = (
    (), ("no-such-test",), ("message", "more"), ("message", "--list"), ("--all", "--selftest"), ("message", "--strategy", "best"), ("message", "--preemptions", "-1"),
    ("message", "--delays", "256"), ("message", "--faults", "one"), ("message", "--runs", "0"), ("message", "--seed", "-1"), ("message", "--depth", "0", "--strategy", "pct"),
    ("message", "--depth", "3"), ("message", "--preemptions", "1", "--strategy", "pct"), ("message", "--seed", "3", "--strategy", "bounded"), ("message", "--model", "arm"),
    ("message", "--mutant", "nobody"), ("message", "--mode", "strict"), ("message", "--gdb-at", "3"), ("message", "--jobs", "0"), ("message", "--jobs", "many"),
    ("message", "--budget", "0"), ("message", "--scheduler", "here"), ("message", "--scheduler", "tcp://127.0.0.1:1"), ("message", "--strategy"), ("message", "--frobnicate"),
    ("--all", "-o", "x"), ("--all", "--strategy", "pct"), ("--list", "--jobs", "2"), ("--selftest", "--mutant", "nobody"), ("--list", "--scheduler", "tcp://127.0.0.1:1"), ("--replay", "/nonexistent"),
    ("--replay", "/"), ("--replay", "/dev/null"), ("--replay", "/dev/null", "--runs", "3"), ("--replay", "/dev/null", "--model", "sc"),
    ("--replay", "/dev/null", "--gdb-at", "1", "--json"), (*BUG, "-o", "/proc/nothing/file"), (*BUG, "--report", "/proc/nothing/file"), (*BUG, "--events", "/"))

# An explorer that makes no runs. What it does at --first 5000, 10000, 15000 is in $STUB.
STUB = r"""#!/bin/bash
case "$1" in
    list) echo '[{"test": "stub", "unbounded": false}]'; exit;;
    selftest) echo '[{"gate": "a", "good": true, "wanted": "1", "got": "1"}, {"gate": "b", "good": false, "wanted": "1", "got": "2"}]'; exit 1;;
esac
while [ $# -gt 0 ]; do [ "$1" = --first ] && first=$2; [ "$1" = --runs ] && runs=$2; shift; done
status=budget; number=3
case "$STUB:$first" in
    *slow*:10000) sleep 1.5; status=bug; number=1;;
    *slow*:15000) status=bug; number=1;;
    *crash*:5000) kill -SEGV $$;;
    *deadly*:5000) kill -KILL $PPID; sleep 9;;
    *once*:5000) mkdir "$STUB_FOLDER/once" 2>/dev/null && { kill -KILL $PPID; sleep 9; };;
    *silent*:5000) exit 2;;
esac
echo "{\"test\": \"stub\", \"strategy\": \"random\", \"status\": \"$status\", \"end\": null, \"rule\": null, \"message\": \"at $first\", \"model\": \"tso\", \"seed\": 1,
 \"first\": $first, \"bound\": null, \"reached\": null, \"runs\": $runs, \"complete\": $runs, \"blocked\": 0, \"steps\": 7, \"points\": {\"min\": 1, \"max\": $runs}, \"distinct\": 2,
 \"coverage\": 0.5, \"store_buffer\": 8, \"schedule\": null, \"hash\": null}"
exit $number
"""


def call(*args: str, **env: str) -> tuple[int, str, str]:
    done = subprocess.run([str(ROOT / "orrery"), "explore", *args], capture_output=True, text=True, env=ENV | env, timeout=200)
    return done.returncode, done.stdout, done.stderr


def same(text: str) -> dict[str, object]:
    """JSON but for rates."""
    try:
        found = json.loads(text)
    except ValueError:
        return {"no JSON": text}
    found.pop("rate", None)
    return found


def no_time(tap: Tap) -> None:
    """A search for which the time was over before its first job."""
    merge = jobs.Merge(jobs.Search(Path("x"), "message", "bounded", (), 0))
    ended = merge.add(jobs.Job(("run", "message")), {"status": None})
    found = merge.result(0.0)
    words = explore_finding.headline(found)
    tap.check(ended and found["status"] == "budget" and found["jobs"] == 0 and words.startswith("message: budget"), "explore command: no time for a first job", words)


def statuses(tap: Tap, folder: Path) -> None:
    """Each way it can end, and what a finding leaves."""
    no_time(tap)
    for what, args, wanted in (("clean", ("message",), 0), ("clean within a bound", ("message", "--preemptions", "2"), 0), ("a bug", BUG, 1), ("a budget of runs", ("message", "--strategy", "bounded", "--runs", "3"), 3),
                               ("a budget of seconds", ("--all", "--budget", "1"), 3), ("list", ("--list",), 0)):
        got, out, error = call(*args)
        tap.check(got == wanted and out.strip() and not error, f"explore command: {what}: status {wanted}", f"{got} {out[-500:]} {error[-500:]}")
    schedule, page, events = folder / "a/x.schedule", folder / "x.html", folder / "x.json"
    got, out, _ = call(*BUG, "-o", str(schedule), "--report", str(page), "--events", str(events))
    good = got == 1 and schedule.read_text().startswith("orrery-schedule 1\n") and "<html" in page.read_text() and json.loads(events.read_text())["command"] in out
    tap.check(good and "reads stale" in out and "litmus_world.c:" in out, "explore command: a finding: report, schedule, page and events, where they were asked for", out)
    line = re.search(r"^again: \./orrery explore (.*)$", out, re.M)
    again = call(*line.group(1).split()) if line else (0, "", "")
    tap.check(again[0] == 1 and "both missed" in again[1], "explore command: the line that is printed replays the finding", str(again))
    text = schedule.read_text()
    for what, edited, mode, wanted in (("another hash", re.sub("^hash .*$", "hash 1", text, flags=re.M), "strict", 2), ("another hash", re.sub("^hash .*$", "hash 1", text, flags=re.M), "tolerant", 1),
                                       ("no decisions", re.sub("^step.*\n", "", text, flags=re.M), "tolerant", 0)):
        schedule.write_text(edited)
        got, out, _ = call("--replay", str(schedule), "--mode", mode, "--json")
        tap.check(got == wanted and jobs.STATUS[json.loads(out)["status"]] == wanted, f"explore command: {mode} replay, {what}: status {wanted}", out)
    schedule.write_text(text.replace("mutant -", "mutant nobody"))
    got, _, error = call("--replay", str(schedule))
    tap.check(got == 2 and "nobody" in error and error.count("\n") == 1, "explore command: a schedule of an unknown mutant: status 2", error)


def bad_input(tap: Tap) -> None:
    wrong = []
    for args in BAD:
        got, out, error = call(*args)
        if got != 2 or error.count("\n") != 1 or not error.startswith("orrery: "):
            wrong.append(f"{' '.join(args) or '(nothing)'}: status {got}, {error[-300:]!r}")
    tap.check(not wrong, f"explore command: {len(BAD)} kinds of bad input: status 2 and one line", "\n".join(wrong))


def prefixes(tap: Tap) -> None:
    """A search that is cut at once, and goes on by prefixes: does it still see all?"""
    whole, jobs.PROBE_RUNS = jobs.PROBE_RUNS, 1
    try:
        found = jobs.run(jobs.Search(BINARY, "lost_wakeup", "bounded", ("--model", "tso")), jobs.Local())
        tap.check(found["status"] == "bug" and found["jobs"] > 1 and found["schedule"], "explore command: a bug that a prefix has", str(found))
        alone = json.loads(subprocess.run([str(BINARY), "run", "message", "--json"], capture_output=True, text=True).stdout)
        parts = jobs.run(jobs.Search(BINARY, "message", "bounded"), jobs.Local())
        tap.check(parts["status"] == alone["status"] == "clean" and parts["reached"] == alone["bound"] and parts["distinct"] >= alone["distinct"] and parts["points"] == alone["points"],
                  "explore command: prefixes cover what the whole covers", f"{alone}\n{parts}")
        short = jobs.run(jobs.Search(BINARY, "message", "bounded", runs=9), jobs.Local())
        tap.check(short["status"] == "budget" and short["runs"] < alone["runs"] and 0 < short["coverage"] < 1, "explore command: a budget smaller than the number of prefixes", str(short))
    finally:
        jobs.PROBE_RUNS = whole


def workers(tap: Tap) -> None:
    """Two workers against one process."""
    for args in (("message", "--strategy", "bounded"), ("mpscone", "--strategy", "bounded", "--runs", "6000"), ("ring", "--strategy", "pct", "--runs", "12000", "--seed", "3"),
                 ("sm_wake", "--strategy", "bounded"), ("lost_wakeup", "--model", "tso", "--strategy", "random"), (*BUG, "--strategy", "bounded")):
        one, two = call(*args, "--json"), call(*args, "--json", "--jobs", "2")
        tap.check(one[0] == two[0] and same(one[1]) == same(two[1]) and "jobs" in same(one[1]) and not two[2], f"explore command: {' '.join(args)}: two workers give what one process gives",
                  f"{one}\n{two}")


def stub(tap: Tap, folder: Path) -> None:
    """Jobs that fail in all ways; the third job fails after the fourth. What a dying worker writes to stderr is its own."""
    path = folder / "explorer"
    path.write_text(STUB)
    path.chmod(0o755)
    env = {"ORRERY_EXPLORER": str(path), "STUB_FOLDER": str(folder)}
    args = ("stub", "--strategy", "random", "--runs", "24000", "--json")
    plain = call(*args, STUB="", **env)
    total = same(plain[1])
    tap.check(plain[0] == 3 and (total["runs"], total["jobs"], total["points"], total["coverage"]) == (24000, 5, {"min": 1, "max": 5000}, 0.5),
              "explore command: sums over five jobs", str(plain))
    for what, wanted in (("slow", "at 10000"), ("crash", "signal 11"), ("deadly", "the loss of its worker, 3 times")):
        found = {count: call(*args, "--jobs", count, STUB=what, **env) for count in ("1", "2", "4")[what == "deadly":]}
        results = [same(out) for _, out, _ in found.values()]
        good = all(status == 1 and (not error or what == "deadly") for status, _, error in found.values()) and all(one == results[0] for one in results)
        tap.check(good and wanted in str(results[0].get("message")) and results[0]["jobs"] == (3 if what == "slow" else 2),
                  f"explore command: {what}: the first job of the list that fails is reported, whoever runs it", str(found))
    once = call(*args, "--jobs", "2", STUB="once", **env)
    tap.check((folder / "once").exists() and once[0] == 3 and same(once[1]) == total, "explore command: a job that loses its worker once is run again", str(once))
    broken = call("--selftest", **env)
    tap.check(broken[0] == 1 and re.search("BROKEN b +wanted 1, got 2", broken[1]) and "2 gates, 1 broken" in broken[1], "explore command: a self-test that fails: status 1", str(broken))
    silent = call(*args, STUB="silent", **env)
    tap.check(silent[0] == 2 and silent[2].count("\n") == 1, "explore command: an explorer that says nothing: status 2", str(silent))
    refused = job.execute(str(path), "0" * 64, ("list",), lambda line: False)
    tap.check("another binary" in refused.get("refused", ""), "explore command: a worker with another binary refuses", str(refused))


def _children(pid: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{pid}/task").glob("*") for child in (task / "children").read_text().split()]


def _explorers(pid: int) -> list[tuple[int, int]]:
    """(worker, explorer) of every explorer below a process."""
    found = []
    for child in _children(pid):
        try:
            name = Path(f"/proc/{child}/comm").read_text().strip()
            found += [(pid, child)] if name == "orrery-explore" else _explorers(child)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def killed(tap: Tap) -> None:
    """Half-way a worker dies; so does its explorer. When the command itself is killed nothing goes on."""
    args = ("sm_wake", "--strategy", "bounded", "--json")
    wanted = same(call(*args)[1])
    process = subprocess.Popen([str(ROOT / "orrery"), "explore", *args, "--jobs", "2"], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    victim, seen, end = (0, 0), 0, time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end and seen < 8:
        for victim in _explorers(process.pid)[:1]:
            seen += 1
        time.sleep(0.05)
    if seen == 8:
        os.kill(victim[0], signal.SIGKILL)
    out, error = process.communicate(timeout=120)
    tap.check(seen == 8 and same(out) == wanted, "explore command: a worker is killed half-way: nothing changes", f"{seen} {out} {error[-500:]}")
    process = subprocess.Popen([str(ROOT / "orrery"), "explore", "mcs_5", "--strategy", "bounded", "--jobs", "2"], env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before, running, end = set(), set(), time.monotonic() + 60
    while not running and time.monotonic() < end:   # one that has been there for a while: the first prefix takes minutes
        now = set(_explorers(process.pid))
        before, running = now, before & now
        time.sleep(0.5)
    process.kill()
    process.wait()
    time.sleep(3)
    left = [pid for pair in running for pid in pair if Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()]
    tap.check(running and not left, "explore command: the command is killed: neither workers nor explorers go on", f"{running} {left}")


class _Future:
    """Of a job that ends as it is told."""

    def __init__(self, status: str) -> None:
        self.status = status

    def result(self) -> dict[str, int]:
        return {"status": 0}


def lost(tap: Tap) -> None:
    """A result that goes with its worker before it is fetched. When Dask does that is chance: a stand-in does it at will."""
    def results(*states: str) -> list[object]:
        coming = iter(states)
        one = cluster.Cluster.__new__(cluster.Cluster)
        one._scheduler, one._count = None, 1
        one._distributed = SimpleNamespace(wait=lambda futures, **_: SimpleNamespace(done=set(futures)), TimeoutError=TimeoutError)
        one._client = SimpleNamespace(nthreads=lambda: {"one": 1}, cancel=lambda *_, **__: None, submit=lambda *_, **__: _Future(next(coming)))
        one._distributed.scheduler = SimpleNamespace(KilledWorker=LookupError)
        one._distributed.client = SimpleNamespace(CancelledError=LookupError)
        try:
            return list(one.run(Path(sys.executable), [jobs.Job(("a",)), jobs.Job(("b",))], None, lambda *_: None))
        except BadInput as error:
            return [str(error)]
    good = {"status": 0}
    for states, wanted in ((("finished", "finished"), [good, good]), (("lost", "finished", "finished"), [good, good]), (("finished", "lost", "cancelled", "finished"), [good, good]),
                           (("lost", "lost", "lost"), ["--scheduler local: a job was lost 3 times"])):
        found = results(*states)
        tap.check(found == wanted, f"explore command: jobs that end {', '.join(states)}", str(found))


def run(tap: Tap) -> None:
    """Everything; the binary must be built."""
    with tempfile.TemporaryDirectory() as scratch:
        statuses(tap, Path(scratch))
        bad_input(tap)
        prefixes(tap)
        workers(tap)
        stub(tap, Path(scratch))
    lost(tap)
    killed(tap)


if __name__ == "__main__":
    whole = Tap()
    run(whole)
    sys.exit(whole.finish())
