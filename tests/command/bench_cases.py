"""What if `orrery bench` reads lines that are no figures, is asked for what there is not, or a machine is missing? No figure is ever made up."""
import io
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from orrery import bench, bench_bounds, bench_counts, bench_cross, bench_hosted, bench_log, bench_replay, bench_table, bench_where
from orrery.base import BadInput
from orrery.bench_bounds_rows import BOUNDS
from orrery.bench_rows import HOSTED, ROWS, Row
from tap import Tap

ROOT = Path(__file__).resolve().parents[2]
ENV = os.environ | {"ORRERY_NO_BUILD": "1"}


def call(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["/usr/bin/python3", str(ROOT / "orrery"), "bench", *args], capture_output=True, text=True, env=ENV | env, timeout=300)


def refused(tap: Tap, what: str, word: str, act: Callable[[], object]) -> None:
    try:
        tap.fail(f"bench: {what}", f"accepted: {act()}")
    except BadInput as error:
        tap.check(word in str(error) and "\n" not in str(error), f"bench: {what}: named", str(error))


def lines(tap: Tap) -> None:
    good = "figure: up 179 180 1000 1182\r\nfigures are not read\nfigure: pd 5 5 0 5\n"
    found = bench.figures("SCENARIO: x\n" + good)
    tap.check(found == {"up": bench.Figure(179, 180, 1000, 1182), "pd": bench.Figure(5, 5, 0, 5)}, "bench: figures are read", str(found))
    for what, line in (("a figure without numbers", "figure: up"), ("a word for a number", "figure: up one 2 3 4"), ("a negative number", "figure: up -1 2 3 4"),
                       ("a number too many", "figure: up 1 2 3 4 5"), ("least above most", "figure: up 2 1 3 4"),
                       ("a figure twice", "figure: up 1 1 3 4\nfigure: up 1 1 3 4")):
        refused(tap, what, "figure: up", lambda line=line: bench.figures(line))


def counted(tap: Tap) -> None:
    text = f"tsc lock cr3\n10 1 0\n10 1 0\n{1 << 32 | 14} 5 2\n"
    done = bench_counts.between(bench_counts.parse(text), 10, 14)
    tap.check(done == {"lock": 4, "cr3": 2}, "bench: what was done between two reads of the TSC", str(done))
    refused(tap, "a count that is missing", "line 3", lambda: bench_counts.parse("tsc lock\n1 2\n3\n"))
    refused(tap, "a count that is no number", "line 2", lambda: bench_counts.parse("tsc lock\n1 x\n"))
    refused(tap, "a read that was not seen", "at 11", lambda: bench_counts.between(bench_counts.parse(text), 10, 11))


def hosted(tap: Tap) -> None:
    good = "ipc 300.5 4000.0\nmap 1500.0 7000.0\nexit 1000.0\nboot 250000.0\n"
    tap.check(bench_hosted.parse(good) == {"ipc": 300.5, "pipe": 4000, "map": 1500, "mmap": 7000, "exit": 1000, "boot": 250000}, "bench --hosted: figures are read")
    for what, text in (("nothing", ""), ("a line that is missing", good[:-14]), ("a word for a number", good.replace("4000.0", "fast")),
                       ("a time of 0", good.replace("300.5", "0.0"))):
        refused(tap, f"--hosted: {what}", "bench/hosted", lambda text=text: bench_hosted.parse(text))
    good = "strict 100 500000\nload 100 900000\n"
    tap.check(bench_replay.rates(good) == {"exits": 100, "strict": 500000, "load": 900000}, "bench --hosted: rates of replay are read")
    for what, text in (("no rate", ""), ("a rate that is missing", good[:-17]), ("a rate of 0", good.replace("500000", "0"))):
        refused(tap, f"--hosted: {what}", "bench/replay_rate", lambda text=text: bench_replay.rates(text))


def bounds(tap: Tap) -> None:
    def listed(*steps: tuple[int, int]) -> io.BytesIO:
        return io.BytesIO(b"".join(b"Trace %d: 0x7f00 [00000000/%016x/00000000/ff020201] \n" % step for step in steps) + b"no line of it\n")

    kinds = {0x1: bench_log.BEGIN, 0x2: bench_log.END, 0x3: bench_log.LOOK, 0x4: bench_log.LEAVE, 0x5: bench_log.LAST}
    special = {b"%016x" % a: kind for a, kind in kinds.items()}
    found, last = bench_bounds.stretches(listed((0, 0x10), (0, 0x1), (0, 0x11), (1, 0x21), (0, 0x12), (0, 0x3), (0, 0x13), (1, 0x22), (0, 0x4), (0, 0x2),
                                                (0, 0x1), (0, 0x14), (1, 0x23), (1, 0x24), (0, 0x4), (1, 0x25), (1, 0x4), (0, 0x2), (0, 0x5), (0, 0x15)), special)
    lengths = [[int(a, 16) for a in stretch] for stretch in found]
    tap.check(lengths == [[0x3, 0x13, 0x4], [0x21, 0x22, 0x23, 0x24, 0x25, 0x4]] and [int(a, 16) for a in last] == [0x5, 0x15],
              "bench --bounds: from entry or look to look or exit, on each CPU", f"{lengths} {last}")
    places = bench_log.Image([0x10], ["some.part.0"], special, "")
    rows = "".join(f"bound: {row.id}\r\n" for row in BOUNDS if row.id != "shutdown")
    many = [[b"11"] * BOUNDS[0].bound] * (len(BOUNDS) - 1)
    made = bench_bounds.results(rows, many, [b"11"], places)
    tap.check(made[0].kept and made[0].where == {"some": BOUNDS[0].bound} and not bench_bounds.Result(BOUNDS[0], BOUNDS[0].bound + 1).kept,
              "bench --bounds: a bound is kept up to itself, and where is named")
    refused(tap, "--bounds: a mark that is missing", "pairs of marks", lambda: bench_bounds.results(rows, many[1:], [b"11"], places))
    refused(tap, "--bounds: another row", "rows differ: nul", lambda: bench_bounds.results(rows.replace("null", "nul"), many, [b"11"], places))
    calls = set(re.findall(r"X\(\d+, (\w+),", (ROOT / "kernel/include/abi/hypercall.h").read_text()))
    of = {name for row in BOUNDS for name in row.of}
    tap.check(of == calls | {"exception", "interrupt", "exit", "release"}, "bench --bounds: a row for every hypercall and every other way in", str(of ^ calls))


def where(tap: Tap) -> None:
    steps = (0x9, 0x20, 0x1, 0x21, 0x21, 0x5, 0x5, 0x1, 0x22, 0x20, 0x1, 0x21, 0x23, 0x24, 0x25, 0x1, 0x30, 0x1, 0x31, 0x1)
    lines = b"".join(b"Trace 0: 0x7f00 [00000000/%016x/00000000/ff020201] \n" % step for step in steps)
    special = {b"%016x" % a: kind for a, kind in ((0x1, bench_log.TIME), (0x5, bench_log.STRING))}
    found = bench_where.samples(io.BytesIO(lines), special, {b"%016x" % 0x20: "up", b"%016x" % 0x30: "empty"})
    taken = {row: {n: [int(a, 16) for a in sample] for n, sample in lengths.items()} for row, lengths in found.items()}
    tap.check(taken == {"up": {3: [0x21, 0x5, 0x5], 4: [0x21, 0x23, 0x24, 0x25]}, "empty": {1: [0x31]}},
              "bench --where: samples of a row; what was listed twice for a device counts once, a string instruction as often as it is listed", str(taken))
    rows, places = [row for row in ROWS if row.id == "up"], bench_log.Image([0x20], ["row_up"], special, "")
    made = bench_where.parts(found, {"up": 2, "empty": 2}, rows, places)
    tap.check(made == [bench_where.Where("up", {bench_where.USER: 2})] and bench_where.begins(places) == {b"%016x" % 0x20: "up"},
              "bench --where: the sample that is as long as its figure, less what the reads of the TSC take", str(made))
    for figures, name in (({"up": 5, "empty": 2}, "up"), ({"empty": 2}, "up"), ({"up": 2}, "no sample")):
        refused(tap, f"--where: figures {figures}", name, lambda figures=figures: bench_where.parts(found, figures, rows, places))


def cross(tap: Tap) -> None:
    lines = b"".join(b"Trace %d: 0x7f00 [00000000/%016x/00000000/ff020201] \n" % step for step in (
        (0, 0x10), (0, 0x1), (0, 0x11), (1, 0x3), (1, 0xffffffff80200010), (0, 0xffffffff80200000), (0, 0x2), (1, 0x10), (0, 0x1), (1, 0x3), (0, 0x2)))
    special = {b"%016x" % a: kind for a, kind in ((0x1, bench_log.BEGIN), (0x2, bench_log.END), (0x3, bench_log.LOCK), (0xffffffff80200000, bench_log.IPI))}
    found = [dict(+c) for c in bench_cross.count(io.BytesIO(lines), special)]
    tap.check(found == [{"here": 2, "there": 2, "user": 2, "lock": 1, "ipi": 1}, {"there": 1, "user": 1, "lock": 1}],
              "bench --cross: instructions by CPU, between marks only", str(found))


def table(tap: Tap) -> None:
    names = {name for p in (ROOT / "scenarios/bench").glob("*.c") for name in re.findall(r'\{ "([\w-]+)", row_\w+ \}', p.read_text())}
    asked = {row.figure for row in ROWS if row.machine.startswith(("qemu", "bochs"))}
    tap.check(names - {"empty"} == asked, "bench: a row for each figure of scenarios/bench, a figure for each row", str(names ^ asked))
    tap.check(all(row.met(row.goal) and (row.better(row.goal) or row.goal == row.gate) and not row.better(row.gate) for row in (*ROWS, *HOSTED)),
              "bench: every goal passes its gate or is it, no gate itself")
    more = Row("x", "x", 50, more=True, limit=1)
    tap.check(more.better(2) and not more.better(1) and more.met(50) and not more.met(49), "bench: more is better where it is")
    row = Row("x", "x", 10, {"a": 30, "b": 20})
    tap.check(row.gate == 20 and not row.better(20) and row.better(19) and not row.met(11) and row.met(10), "bench: the gate is the best of the others, not reached by a tie")
    results = [bench.Result(row, bench.Figure(value, value + 1)) for value in (10, 19, 20)]
    tap.check([bench.status(results[:n]) for n in (1, 2, 3)] == [0, 0, 1], "bench: one row at its gate, status 1")
    text = bench_table.text(results)
    verdicts = [line.split("|")[-2].strip() for line in text.splitlines()[2:]]
    tap.check(verdicts == ["goal", "gate", "no"] and "19 .. 20" in text, "bench: goal, gate or no; both ends where samples differ", text)


def command(tap: Tap) -> None:
    for what, done, word in (("an unknown row", call("up", "upp"), "upp"), ("a row of the other table", call("up", "--hosted"), "hosted-ipc"),
                             ("rows of --bounds", call("up", "--bounds"), "--bounds"), ("--bounds and --cross", call("--bounds", "--cross"), "--cross"), ("--bounds of a kernel that is missing", call("--bounds", ORRERY_KERNEL="/nonexistent"), "/nonexistent"),
                             ("--write of some rows", call("up", "--write"), "--write"),
                             ("a machine that is missing", call("up", PATH="/nonexistent"), "qemu is not installed"),
                             ("a kernel that is missing", call("text", ORRERY_KERNEL="/nonexistent"), "/nonexistent"),
                             ("a kernel that does not boot", call("boot", ORRERY_KERNEL=str(ROOT / "build/user/bench.elf")), "no PVH entry")):
        errors = done.stderr.strip().splitlines()
        tap.check(done.returncode == 2 and len(errors) == 1 and word in errors[0] and not done.stdout, f"bench: {what}: one line, status 2",
                  f"status {done.returncode}\n{done.stdout[-300:]}\n{done.stderr[-600:]}")
    done = call("text", "--json")
    rows = json.loads(done.stdout)["rows"] if done.returncode in (0, 1) else []
    tap.check(len(rows) == 1 and rows[0]["id"] == "text" and rows[0]["value"] > 0 and done.returncode == (0 if rows[0]["below_gate"] else 1),
              "bench --json: the rows asked for, and the status says what they say", done.stdout[-500:] + done.stderr)


def run(tap: Tap) -> None:
    """All of this file's checks."""
    lines(tap)
    counted(tap)
    hosted(tap)
    bounds(tap)
    where(tap)
    cross(tap)
    table(tap)
    command(tap)
