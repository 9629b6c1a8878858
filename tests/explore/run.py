#!/usr/bin/python3
"""The command line of build/explore/orrery-explore as docs/exploration.md has it: statuses, JSON, jobs, schedule files, replay, minimiser.

What strategies find is the business of `orrery-explore selftest` and of the worlds' own tests.
"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "harness"))
from orrery import sites  # noqa: E402
from tap import Tap  # noqa: E402

BINARY = ROOT / "build/explore/orrery-explore"
BUG = ("lost_wakeup", "--model", "tso")   # found at 1 preemption, 1 delay

KEYS = {"test": str, "strategy": str, "status": str, "end": str, "rule": str, "message": str, "model": str, "seed": int, "first": int, "bound": dict,
        "reached": dict, "runs": int, "complete": int, "blocked": int, "steps": int, "points": dict, "distinct": int, "coverage": float,
        "store_buffer": int, "schedule": str, "hash": str}

BAD_ARGUMENTS = (
    (), ("frobnicate",), ("run",), ("run", "no-such-test"), ("run", "message", "more"), ("run", "message", "--strategy", "best"),
    ("run", "message", "--preemptions", "-1"), ("run", "message", "--preemptions", "256"), ("run", "message", "--delays", "2x"),
    ("run", "message", "--faults", ""), ("run", "message", "--runs", "0"), ("run", "message", "--runs", "99999999999999999999"),
    ("run", "message", "--depth", "10"), ("run", "message", "--model", "arm"), ("run", "message", "--prefix", "1,,2"), ("run", "message", "--prefix", "1,"),
    ("run", "message", "--prefix", "a"), ("run", "message", "--prefix", "0", "--strategy", "random"), ("run", "message", "--split", "2", "--strategy", "pct"),
    ("run", "message", "--split", "0"), ("run", "message", "--frobnicate"), ("run", "message", "--seed"), ("run", "message", "--raw"),
    ("run", "message", "--strategy", "bytes"), ("run", "message", "--input", "/dev/null"), ("run", "message", "--strategy", "bytes", "--input", "/nonexistent"),
    ("run", "message", "--strategy", "bytes", "--input", "/dev/zero"), ("run", "message", "--mode", "strict"), ("list", "--seed", "1"), ("list", "message"), ("replay",), ("replay", "/nonexistent"), ("replay", "/"),
    ("minimise", "/dev/null"), ("replay", "/dev/null"), ("run", *BUG, "-o", "/nonexistent/file"), ("run", *BUG, "--events", "/nonexistent/file"))

# What is done to a good schedule file, and the line that must be named.
GARBAGE = (
    ("another magic", lambda s: s.replace("orrery-schedule 1", "orrery-trace 1"), 1), ("another version", lambda s: s.replace("schedule 1", "schedule 2"), 1),
    ("nothing", lambda s: "", 1), ("one byte", lambda s: "\0", 1), ("zeros", lambda s: "\0" * 5000, 1), ("no newline", lambda s: "a" * 100000, 1),
    ("a NUL inside", lambda s: s.replace("seed ", "seed \0"), 6), ("no test", lambda s: re.sub("test .*\n", "", s), 2),
    ("a test with spaces", lambda s: re.sub("test .*", "test a b", s), 2), ("a long test", lambda s: re.sub("test .*", "test " + "a" * 64, s), 2),
    ("a model", lambda s: s.replace("model tso", "model arm"), 3), ("a vendor", lambda s: s.replace("vendor none", "vendor via"), 4),
    ("a negative seed", lambda s: re.sub("seed .*", "seed -1", s), 6), ("a large seed", lambda s: re.sub("seed .*", "seed " + "9" * 20, s), 6),
    ("no verdict", lambda s: re.sub("verdict .*", "verdict fine", s), 7), ("a good verdict", lambda s: re.sub("verdict .*", "verdict shutdown: x", s), 7),
    ("a long message", lambda s: re.sub("verdict .*", "verdict finding: " + "x" * 600, s), 7), ("a hash", lambda s: re.sub("hash .*", "hash xyz", s), 8),
    ("a long hash", lambda s: re.sub("hash .*", "hash " + "1" * 17, s), 8), ("cut in the header", lambda s: s[:s.index("seed")], 6),
    ("no empty line", lambda s: s.replace("\n\n", "\n"), 9), ("no step", lambda s: re.sub(r"step \d+:", "step :", s), 10),
    ("a large step", lambda s: re.sub(r"step \d+:", "step 4294967296:", s), 10), ("no arrow", lambda s: s.replace(" -> ", " => "), 10),
    ("an agent", lambda s: re.sub(r": (critical: )?cpu \d+ at", ": cpu 64 at", s), 10), ("an operation", lambda s: s.replace(" store ", " stare "), 10),
    ("occurrence 0", lambda s: re.sub("#[0-9.]+", "#0", s), 10), ("visit 0", lambda s: re.sub("#[0-9.]+", "#1.0", s), 10),
    ("an action", lambda s: s.replace("DRAIN", "BRAIN"), 10), ("answer 0", lambda s: s.replace("DRAIN 1", "DRAIN 0"), 10),
    ("a step as data", lambda s: s.replace("DRAIN 1", "STEP 1"), 10), ("words too many", lambda s: s.rstrip("\n") + " and" * 40 + "\n", 10))


def explore(*arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout, stderr."""
    done = subprocess.run([str(BINARY), *arguments], capture_output=True, text=True, errors="replace", timeout=120)
    return done.returncode, done.stdout, done.stderr


def result(*arguments: str) -> dict[str, object]:
    return json.loads(explore("run", *arguments, "--json")[1])


def header(text: str, key: str) -> str:
    return re.search(rf"^{key} (.*)$", text, re.M).group(1)


def decisions(text: str) -> list[str]:
    return re.findall(r"^step .*$", text, re.M)


def one_line(done: tuple[int, str, str]) -> str:
    """What is wrong with a refusal; empty: nothing."""
    status, out, error = done
    good = status == 2 and not out and error.count("\n") == 1 and error.startswith("orrery-explore: ")
    return "" if good else f"status {status}, stdout {out[:200]!r}, stderr {error[:300]!r}"


def command_line(tap: Tap) -> None:
    tests = json.loads(explore("list", "--json")[1])
    tap.check({"message", "lost_wakeup"} <= {t["test"] for t in tests} and all(t["question"] and 1 <= t["cpus"] <= 8 for t in tests), "explore: list", str(tests)[:500])
    wrong = "\n".join(f"{' '.join(a) or '(nothing)'}: {why}" for a in BAD_ARGUMENTS if (why := one_line(explore(*a))))
    tap.check(not wrong, f"explore: {len(BAD_ARGUMENTS)} bad command lines: status 2 and one line", wrong)
    for name, arguments, status in (("clean", ("message",), 0), ("bug", BUG, 1), ("budget", ("message", "--runs", "3"), 3), ("stale", ("message", "--prefix", "9"), 2)):
        got, out, error = explore("run", *arguments, "--json")
        found = json.loads(out)
        wrong = [k for k, kind in KEYS.items() if k not in found or not (found[k] is None or isinstance(found[k], kind))] + sorted(found.keys() - KEYS.keys())
        tap.check(got == status and found["status"] == name and out.count("\n") == 1 and not error and not wrong, f"explore: JSON of a run that ends {name}", f"{got}: {wrong} {out}")
    for strategy in ("random", "pct", "bounded"):
        arguments = ("run", *BUG, "--strategy", strategy, "--seed", "7", "--json")
        tap.check(explore(*arguments) == explore(*arguments), f"explore: {strategy}: the same options twice, the same line")
    out = [explore("run", "message", "--strategy", "random", "--runs", "300", "--first", first, "--json")[1] for first in ("0", "1000")]
    tap.check(out[0] != out[1], "explore: --first makes other runs")


def jobs(tap: Tap) -> None:
    """Prefixes cover the search once; whoever makes the jobs finds the same."""
    for arguments, bug in ((BUG, True), (("lost_wakeup", "--model", "sc"), False), (("message",), False)):
        for answers in (1, 3, 6):
            lines = explore("run", *arguments, "--split", str(answers))[1].splitlines()
            prefixes = [tuple(json.loads(line)["prefix"]) for line in lines]
            twice = [p for p in prefixes for q in prefixes if p is not q and q[:len(p)] == p]
            found = [explore("run", *arguments, "--json", "--prefix", ",".join(map(str, p))) for p in prefixes]
            statuses = {status for status, _, _ in found}
            good = len(prefixes) > 1 and not twice and max(map(len, prefixes)) <= answers and statuses == ({0, 1} if bug and answers > 1 else {1} if bug else {0})
            tap.check(good, f"explore: {' '.join(arguments)} in jobs of {answers} answers", f"{len(prefixes)} prefixes, {statuses}, one in another: {twice}")


def reductions(tap: Tap) -> None:
    """What the bounded search leaves out must add no order of steps."""
    for test, *options in (("message",), ("mcs_2",), ("mcs_2", "--preemptions", "1", "--delays", "3"), ("mcs_3", "--preemptions", "1", "--delays", "1"), ("third",),
                           ("ring", "--preemptions", "1", "--delays", "2"), ("sm_wake", "--preemptions", "0", "--delays", "1")):
        less, all_runs = result(test, *options), result(test, *options, "--unreduced")
        good = less["status"] == all_runs["status"] == "clean" and less["distinct"] == all_runs["distinct"] > 1 and less["runs"] <= all_runs["runs"]
        tap.check(good, f"explore: {' '.join((test, *options))}: {less['runs']} runs find the orders of {all_runs['runs']}", f"{less['distinct']} of {all_runs['distinct']}")


def freed(tap: Tap) -> None:
    """Memory that one CPU frees is shared with every access to it, by whoever alone makes it."""
    for options in (("--preemptions", "1", "--delays", "1"), ("--strategy", "dpor")):
        found = result("freed", "--model", "tso", *options)
        tap.check(found["status"] == "bug", f"explore: freed {' '.join(options)}: a use of freed memory is found", str(found))


def schedules(tap: Tap, folder: Path) -> None:
    """Write, replay, edit, minimise."""
    for strategy in ("bounded", "random", "pct"):
        raw, small = str(folder / f"{strategy}.raw"), str(folder / f"{strategy}.small")
        found = result(*BUG, "--strategy", strategy, "-o", raw, "--raw")
        text = Path(raw).read_text()
        tap.check(found["schedule"] == text and header(text, "hash") == found["hash"], f"explore: {strategy}: the file is what JSON says")
        status, out, _ = explore("replay", raw, "--json")
        again = json.loads(out)
        tap.check(status == 1 and again["hash"] == found["hash"] and again["schedule"] == text and again["runs"] == 1, f"explore: {strategy}: strict replay makes the same run", out)
        status = explore("minimise", raw, "-o", small)[0]
        text = Path(small).read_text()
        tap.check(status == 1 and len(decisions(text)) <= 3 and text.count("critical:") == 1, f"explore: {strategy}: minimised to P + A + 1 decisions", text)
        status, out, _ = explore("replay", small, "--json")
        tap.check(status == 1 and json.loads(out)["schedule"] == text, f"explore: {strategy}: the minimised schedule replays", out)
        twice = str(folder / f"{strategy}.twice")
        tap.check(explore("minimise", small, "-o", twice)[0] == 1 and Path(twice).read_text() == text, f"explore: {strategy}: minimised again it is the same")
        needed = [line for line in decisions(text) if explore_text(folder, text.replace(line, "#"), "tolerant")[0] != 0]
        tap.check(not needed, f"explore: {strategy}: no decision can be left out", "\n".join(needed))


def explore_text(folder: Path, text: str, mode: str) -> tuple[int, str, str]:
    path = folder / "edited"
    path.write_bytes(text.encode("latin-1"))
    return explore("replay", str(path), "--mode", mode)


def edits(tap: Tap, folder: Path) -> None:
    """What changes in code does to a schedule: steps move, functions get other names, occurrences shift."""
    text = result(*BUG, "--strategy", "random")["schedule"]
    for what, edited in (("other steps", re.sub(r"step (\d+)", lambda m: f"step {int(m.group(1)) + 40}", text)), ("another function", text.replace("lost_program", "renamed")),
                         ("a later occurrence", re.sub("#[0-9.]+", "#3", text)), ("a comment", text.replace("\n\n", "\n\n# edited\n\n"))):
        strict, tolerant = explore_text(folder, edited, "strict")[0], explore_text(folder, edited, "tolerant")[0]
        tap.check(strict == (1 if what == "a comment" else 2) and tolerant == 1, f"explore: {what}: strict replay refuses, tolerant replay fails again", f"{strict} {tolerant}")
    lost = re.sub("^step.*\n", "", text, flags=re.M)
    statuses = [explore_text(folder, lost, mode)[0] for mode in ("strict", "tolerant", "continue")]
    tap.check(statuses == [2, 0, 1], "explore: decisions are lost: strict is stale, tolerant clean, a neighbour fails", str(statuses))
    other = text.replace(header(text, "hash"), "1")
    tap.check(explore_text(folder, other, "strict")[0] == 2 and explore_text(folder, other, "tolerant")[0] == 1, "explore: another hash: only strict replay minds")
    path = folder / "other"
    path.write_text(text.replace("both missed", "neither missed"))
    status, out, _ = explore("minimise", str(path), "-o", str(folder / "none"))
    tap.check(status == 2 and "does not fail as its verdict says" in out and not (folder / "none").exists(), "explore: minimise keeps to the verdict", out)
    for what, edited in (("test", re.sub("test .*", "test gone", text)), ("mutant", text.replace("mutant -", "mutant x")), ("vendor", text.replace("vendor none", "vendor vmx"))):
        why = one_line(explore_text(folder, edited, "tolerant"))
        tap.check(not why, f"explore: a schedule for another {what} is refused", why)


def garbage(tap: Tap, folder: Path) -> None:
    text = result(*BUG)["schedule"]
    wrong = []
    for what, edit, line in GARBAGE:
        done = explore_text(folder, edit(text), "strict")
        if (why := one_line(done)) or f"edited:{line}: " not in done[2] or edit(text) == text:
            wrong.append(f"{what}: wants line {line}: {why or done[2]}")
    tap.check(not wrong, f"explore: {len(GARBAGE)} kinds of garbage in a schedule file: one line that names the line", "\n".join(wrong))


def occurrences(tap: Tap, folder: Path) -> None:
    """The third of five equal stores: found again when its count has changed, and not taken for another."""
    third = ("third", "--model", "tso")
    text = result(*third)["schedule"]
    tap.check(re.findall(r"store round0 #\S+ -> DRAIN 1", text) == ["store round0 #3 -> DRAIN 1"] and len(decisions(text)) == 1, "explore: the third store is #3", text)
    again = explore_text(folder, text.replace("#3 ", "#4 "), "tolerant")
    tap.check(again[0] == 0, "explore: the fourth store is not the third", again[1])
    for seed in ("1", "2", "3"):
        path = str(folder / "third")
        found = result(*third, "--strategy", "random", "--seed", seed, "-o", path, "--raw")
        many, hidden = decisions(found["schedule"]), json.loads(explore("replay", path, "--json")[1])
        small = result(*third, "--strategy", "random", "--seed", seed)["schedule"]
        tap.check(hidden["hash"] == found["hash"] and len(decisions(small)) <= 3 < len(many) and " #3" in small, f"explore: seed {seed}: {len(many)} decisions minimised to {len(decisions(small))}, as late as can be", small)
        late = re.sub(r"#3 ", "#900 ", small)
        tap.check(late != small and explore_text(folder, late, "strict")[0] == 2, f"explore: seed {seed}: an occurrence that never comes is stale", late)


def events(tap: Tap, folder: Path) -> None:
    path = folder / "events"
    status, _, _ = explore("run", *BUG, "--events", str(path))
    data, other = json.loads(path.read_text()), json.loads(path.read_text())
    for row in other["events"]:
        row["function"] = "gone"
    sites.fill(other)
    tap.check({(e["file"], e["line"]) for e in other["events"]} == {(None, 0)}, "explore: events of another binary get no lines")
    sites.fill(data)
    stores = [e for e in data["events"] if e["op"] == "store"]
    good = status == 1 and [e["name"] for e in stores] == ["wish0", "wish1"] and all(e["function"] == "lost_program" for e in stores)
    tap.check(good, "explore: events with labels and functions", str(stores))
    source = (ROOT / "tests/explore/litmus_world.c").read_text().splitlines()
    lines = [f"{e['file']}:{e['line']}" for e in stores if e["file"] != "tests/explore/litmus_world.c" or "atomic_store(wish" not in source[e["line"] - 1]]
    tap.check(not lines, "explore: events with file and line", " ".join(lines))
    tap.check([d["critical"] for d in data["decisions"]].count(True) == 1 and data["verdict"] == "finding" and data["agents"][-1]["id"] == 65, "explore: events: decisions, verdict, agents")


def strange_names(tap: Tap, folder: Path) -> None:
    """What the user names comes back in JSON: quotes, line ends, bytes that are no UTF-8."""
    name = bytes(folder) + b'/a"b\\c\n\x01\xff\xe2\x82\xac\xed\xa0\x80'
    subprocess.run([str(BINARY), "run", *BUG, "--events", name], capture_output=True, timeout=120)
    command = json.loads(Path(name.decode("utf-8", "surrogateescape")).read_bytes().decode("utf-8", "strict"))["command"]
    tap.check('/a"b\\c\n\x01\ufffd\u20ac\ufffd\ufffd\ufffd' in command, "explore: JSON of strange names", repr(command))


def stop(tap: Tap, folder: Path) -> None:
    """A debugger's breakpoint must be hit at the step, and change nothing."""
    path = str(folder / "stop")
    whole = result(*BUG, "-o", path)
    script = ("-batch", "-ex", "break world_stop_here", "-ex", "run", "-ex", "bt 3", "-ex", "continue", "--args", str(BINARY), "replay", path, "--stop-at", "3", "--json")
    done = subprocess.run(["gdb", *script], capture_output=True, text=True, timeout=120)
    tap.check("#0  world_stop_here" in done.stdout and f'"hash": "{whole["hash"]}"' in done.stdout, "explore: --stop-at stops once and the run goes on", done.stdout[-800:] + done.stderr[-400:])


def run(tap: Tap) -> None:
    """Everything; the binary must be built."""
    if not BINARY.is_file():
        tap.fail("explore: build/explore/orrery-explore is built")
        return
    command_line(tap)
    jobs(tap)
    reductions(tap)
    freed(tap)
    with tempfile.TemporaryDirectory() as scratch:
        for part in (schedules, edits, occurrences, garbage, events, strange_names, stop):
            part(tap, Path(scratch))


if __name__ == "__main__":
    whole = Tap()
    run(whole)
    sys.exit(whole.finish())
