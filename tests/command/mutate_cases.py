"""What if `orrery mutate` is given a patch that is none, one that is found, one that is not, or is stopped half-way? The checkout stays as it is."""
import hashlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from orrery import mutant_operators, mutants
from orrery import mutant_suite as suite
from orrery.mutant_tree import Done
from tap import Tap

ROOT = Path(__file__).resolve().parents[2]
ENV = os.environ | {"ORRERY_NO_BUILD": "1"}
TLB = "--- a/kernel/core/tlb.c\n+++ b/kernel/core/tlb.c\n"


# In tlb_switch.
DROPPED = "    if (old)\n        atomic_and(&old->cpus, ~cpu->self);"


def call(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(ROOT / "orrery"), "mutate", *args], capture_output=True, text=True, env=ENV, timeout=900)


def change(file: str, old: str, new: str) -> str:
    """A patch of one place of a file."""
    text = (ROOT / file).read_text()
    assert text.count(old) == 1, (file, old)
    at = text.index(old)
    return mutants._diff(file, text, mutant_operators.Edit("", at, at + len(old), new))


def with_patch(text: str, *args: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "x.patch"
        path.write_text(text)
        return call("--patch", str(path), *args)


def state() -> str:
    """What must not change: sources and objects, with their times."""
    paths = sorted(p for folder in ("kernel", "sim", "build/plain") for p in (ROOT / folder).rglob("*") if p.is_file())
    rows = [f"{p} {p.stat().st_mtime_ns} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in paths]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def trees() -> set[str]:
    """Those of commands that run beside this test are none of its business."""
    return {p.name for p in (ROOT / "build/mutants").glob("*") if p.is_dir()}


def lists(tap: Tap) -> None:
    first, second = call("--list", "--json"), call("--list", "--json")
    rows = json.loads(first.stdout)
    names = [row["name"] for row in rows]
    tap.check(first.stdout == second.stdout and len(set(names)) == len(names) and sum(row["kind"] == "generated" for row in rows) >= 30,
              "mutate --list: the same names twice, each once, at least 30 generated", first.stderr)
    numbers = {int(m.header["number"]) for m in mutants.listed()}
    tap.check(numbers == {1, 2, 4, 5, 7, 9, 10, 12, 15, 16, 17, 18, 21}, "mutate: a listed mutant for each row of the table", str(sorted(numbers)))
    rotten = [m.name for m in [*mutants.listed(), *(mutants.from_file(p) for p in (mutants.MUTANTS / "controls").glob("*.patch"))]
              if subprocess.run(["git", "apply", "--check", "-p1", str(m.path)], cwd=ROOT, capture_output=True).returncode]
    tap.check(not rotten, "mutate: every listed patch applies", " ".join(rotten))


def operators(tap: Tap) -> None:
    text = 'static void f(struct x *x)\n{\n    /* atomic_or(1); */\n    atomic_or(&x->a, bit(1));\n    g("mach_fence();");\n    mach_fence();\n}\n'
    made = {(e.operator, text[e.start:e.end], e.text) for e in mutant_operators.edits(mutant_operators.Source(text))}
    tap.check(("drop-fence", "mach_fence();", ";") in made and ("drop-store", "atomic_or(&x->a, bit(1));", ";") in made and sum(e[0] == "split-rmw" for e in made) == 1
              and sum(e[0] == "drop-fence" for e in made) == 1, "mutate: operators change code, not comments and strings", str(made))


def bad_patches(tap: Tap) -> None:
    good = change("kernel/core/tlb.c", DROPPED, DROPPED.replace("_and", "_or"))
    for what, text, word in (
            ("no diff", "nothing\n", "no unified diff"), ("outside the kernel", good.replace("kernel/core", "sim/core"), "only the kernel"),
            ("dots", good.replace("kernel/core", "kernel/../sim"), "only the kernel"), ("an absolute path", good.replace("a/kernel", "/kernel"), "only the kernel"),
            ("two files, one outside", good + "--- a/Makefile\n+++ b/Makefile\n@@ -1 +1 @@\n-x\n+y\n", "only the kernel"),
            ("a rename out of the kernel", "diff --git a/kernel/core/tlb.c b/sim/tlb.c\nsimilarity index 100%\nrename from kernel/core/tlb.c\nrename to sim/tlb.c\n", "only the kernel"),
            ("another context", good.replace("mach_cr3_write", "mach_cr4_write"), "does not apply"),
            ("no such file", TLB.replace("tlb.c", "nothing.c") + "@@ -1 +1 @@\n-x\n+y\n", "does not apply"),
            ("code that does not compile", change("kernel/core/tlb.c", DROPPED, DROPPED.replace("_and", "_what")), "does not build"),
            ("code that warns", change("kernel/core/tlb.c", "if (old == space)\n        return;", "int unused;\n    if (old == space)\n        return;"), "does not build")):
        done = with_patch(text)
        lines = done.stderr.strip().splitlines()
        tap.check(done.returncode == 2 and len(lines) == 1 and word in lines[0], f"mutate --patch, {what}: one line, status 2", f"{done.returncode}\n{done.stdout}{done.stderr}")
    for what, args, word in (("a patch that is not there", ["--patch", "/nonexistent"], "/nonexistent"), ("an unknown name", ["nobody"], "nobody"),
                             ("no jobs", ["--jobs", "0"], "--jobs"), ("a patch and a name", ["--patch", "x", "y"], "alone")):
        done = call(*args)
        tap.check(done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1 and word in done.stderr, f"mutate, {what}: one line, status 2", done.stderr)


def findings(tap: Tap) -> None:
    world = suite.Check("world w, straight", suite.EXPLORER, (), 1)
    unit, scenario = suite.Check("unit u", suite.UNIT, (), 1), suite.Check("scenario s vmx", suite.MACHINE, (), 1, machine=True)
    cmocka = "[ RUN      ] a\n[  ERROR   ] --- 1 != 2\n[   LINE   ] --- tests/x_test.c:7: error: Failure!\n[  FAILED  ] a\n[==========] 1 test(s) run.\n"
    for what, check, done, wanted in (
            ("a clean world", world, Done(0, '{"status": "clean"}'), ""), ("a world out of budget", world, Done(3, '{"status": "budget"}'), ""),
            ("a bug in a world", world, Done(1, 'progress\n{"status": "bug", "rule": "r", "message": "m"}\n'), "r: m"),
            ("a crash", unit, Done(-6, "one\nlast words\n\n"), "crash: signal 6: last words"), ("a hang", world, Done(-24, "", True), "hang: stopped at a limit of time or output"),
            ("a unit test", unit, Done(1, cmocka), "a (tests/x_test.c:7)"), ("a good unit test", unit, Done(0, ""), ""),
            ("a scenario", scenario, Done(1, "text\nhello: FAILED: not seen: x\nagain: y\n"), "not seen: x")):
        said = suite.judge(check, done)
        tap.check(said == wanted, f"mutate: what is found by {what}", f"{said!r}, not {wanted!r}")


def groups(tap: Tap) -> None:
    """Each group in the binary is in the suite, or what only it finds survives."""
    xml = {k: v for k, v in ENV.items() if k != "CMOCKA_XML_FILE"} | {"CMOCKA_MESSAGE_OUTPUT": "XML"}
    done = subprocess.run([str(ROOT / suite.UNIT)], capture_output=True, text=True, errors="replace", env=xml)
    there = set(re.findall(r'<testsuite name="(\w+)"', done.stdout + done.stderr))
    known = {name for names in suite._groups().values() for name in names}
    tap.check(len(there) > 50 and there <= known, "mutate: every group of unit tests is in the suite", " ".join(sorted(there - known)))


def verdicts(tap: Tap) -> None:
    before, others = state(), trees()
    done = with_patch(change("kernel/core/tlb.c", DROPPED, DROPPED.replace("_and", "_or")), "--json")
    killed = json.loads(done.stdout)["killed"] if done.returncode == 0 else []
    tap.check(len(killed) == 1 and killed[0]["by"].startswith(("unit tlb", "world ")) and killed[0]["finding"], "mutate --patch: a bug is found, the finding is named",
              done.stdout + done.stderr)
    done = with_patch(change("kernel/core/tlb.c", "/* Bound: the ECs that wait. */", "/* Bound: all ECs that wait.\n * Two lines of it. */"))
    tap.check(done.returncode == 1 and "SURVIVED" in done.stdout, "mutate --patch: another comment survives", f"{done.returncode} {done.stdout}{done.stderr}")
    tap.check(state() == before and not trees() - others, "mutate leaves the checkout as it was, and no tree", " ".join(trees() - others))


def interrupted(tap: Tap) -> None:
    others = trees()
    process = subprocess.Popen([str(ROOT / "orrery"), "mutate", "--generated", "9", "--jobs", "2"], env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)
    time.sleep(2.0)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    process.send_signal(signal.SIGTERM)
    status = process.wait(30)
    left = [pid for pid in children if Path(f"/proc/{pid}").exists()]
    tap.check(status == 130 and not left and not trees() - others, "mutate, stopped: no process and no tree is left", f"status {status}, left {left} {trees() - others}")


def run(tap: Tap) -> None:
    """All of this file's checks."""
    lists(tap)
    operators(tap)
    bad_patches(tap)
    findings(tap)
    groups(tap)
    verdicts(tap)
    interrupted(tap)
