#!/usr/bin/python3
"""The page of a trace: its numbers against those of `orrery-trace stat`, its timeline used in a real browser, a hostile environment, broken traces.

Not checked: whether it is beautiful; other browsers; touch.
"""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "harness"))
from browser import Outside, browse, luminance  # noqa: E402
from orrery import trace_report  # noqa: E402
from orrery.trace_turns import Mark, Trace, Turn, load  # noqa: E402
from tap import Tap  # noqa: E402

PROBE = (Path(__file__).resolve().parent / "report.js").read_text()
TOOL = ROOT / "build/orrery-trace"
HOSTILE = '</script><script>document.title="owned"</script><img src=x onerror=alert(1)>&quot;\u202e'


def orrery(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(ROOT / "orrery"), *args], capture_output=True, text=True, errors="replace", env=os.environ | {"ORRERY_NO_BUILD": "1"})


def numbers(tap: Tap, folder: Path, page: Path) -> None:
    """The page's numbers are those of stat, its timeline those of show."""
    stat = json.loads(subprocess.run([str(TOOL), "stat", str(folder), "--json"], capture_output=True, text=True, check=True).stdout)
    shown = [json.loads(line) for line in subprocess.run([str(TOOL), "show", str(folder), "--json"], capture_output=True, text=True, check=True).stdout.splitlines()]
    seen, console = browse(page.read_text(), PROBE)
    tap.check(bool(seen) and not console and not seen.get("errors"), "page: no error", f"{console} {seen.get('errors')}")
    tap.check(seen.get("resources") == 0 and seen.get("violations") == 0, "page: nothing loaded, no policy broken", f"{seen.get('resources')} {seen.get('violations')}")
    facts = dict(seen.get("facts", []))
    for what, wanted in (("exits", f"{stat['exits']:,}"), ("vCPUs", str(len(stat["by_vcpu"]))), ("events lost", f"{stat['lost']:,}"), ("bytes per exit", f"{stat['bytes_per_exit']:g}"),
                         ("kernel events", f"{stat['events'] - sum(stat['by_event'][k] for k in ('state', 'exit', 'entry', 'value')):,}"),
                         ("in handlers", trace_report.duration(sum(r["vmm_tsc"] for r in stat["by_reason"].values()), stat["tsc_khz"])),
                         ("in the guest", trace_report.duration(sum(r["guest_tsc"] for r in stat["by_reason"].values()), stat["tsc_khz"]))):
        tap.check(facts.get(what) == wanted, f"page: {what} as stat says", f"{facts.get(what)} {wanted}")
    wanted = sorted((name, f"{row['exits']:,}") for name, row in stat["by_reason"].items())
    tap.check(sorted(map(tuple, seen.get("reasons", []))) == wanted, "page: exits by reason as stat says", str(seen.get("reasons")))
    block, exits = seen["block"], [e for e in shown if e["event"] == "exit"]
    entries = {(e["vcpu"], e["n"]): e["tsc"] for e in shown if e["event"] == "entry"}
    at = 0
    for i, event in enumerate(exits):
        at += block["start"][i]
        key = (event["vcpu"], event["n"])
        handler = entries[key] - event["tsc"] if key in entries else -1
        lane = block["lanes"][block["lane"][i]]
        good = (at == event["tsc"] - shown[0]["tsc"] and block["handler"][i] == handler and lane == [event["cpu"], event["vcpu"]] and block["number"][i] == event["n"]
                and block["reasons"][block["reason"][i]] == event["reason"])
        if not good:
            break
    tap.check(good and len(exits) == len(block["start"]), "timeline: each exit where and as long as show says", f"exit {i} of {len(exits)}")
    used(tap, seen)


def used(tap: Tap, seen: dict[str, Any]) -> None:
    """What the probe did to the timeline."""
    steps = seen["steps"]
    span = {name: step["range"][1] - step["range"][0] for name, step in steps.items()}
    whole = span["begin"]
    for what, good in (("a button zooms in", abs(span["in"] / whole - .5) < .01), ("a key zooms out again", abs(span["key out"] / whole - 1) < .01), ("and in", abs(span["key in"] / whole - .5) < .01),
                       ("an arrow key moves", steps["right"]["range"][0] > steps["key in"]["range"][0] and abs(span["right"] - span["key in"]) < 1),
                       ("Ctrl and wheel zoom", span["wheel"] < span["right"] * .8), ("dragging moves", steps["drag"]["range"][0] > steps["wheel"]["range"][0] and abs(span["drag"] - span["wheel"]) < 1),
                       ("0 shows all", steps["whole"]["range"] == steps["begin"]["range"] and steps["whole"]["picture"] == steps["all reasons"]["picture"] != steps["only"]["picture"])):
        tap.check(good, f"timeline: {what}", str({name: step["range"] for name, step in steps.items()}))
    for before, after in (("begin", "in"), ("key in", "right"), ("right", "wheel"), ("wheel", "drag"), ("whole", "only")):
        tap.check(steps[before]["picture"] != steps[after]["picture"] and steps[before]["text"] != steps[after]["text"], f"timeline: {after}: something else is drawn and said", steps[after]["text"])
    name, count = seen["reasons"][0]
    tap.check(steps["only"]["text"].endswith(f"{name} exits") and f" {count} of" in steps["only"]["text"], "timeline: a reason alone", steps["only"]["text"])
    tap.check(steps["all reasons"]["picture"] == steps["whole"]["picture"], "timeline: and all again")
    for click in seen["clicks"]:
        tap.check(click["wanted"] in click["found"], f"timeline: a click shows {click['wanted']}", str(click["found"]))
        vcpu = re.search(r"of vCPU \d+", click["wanted"]).group()
        others = [found for found in click["found"] if f"{vcpu}:" in found and found != click["wanted"]]
        tap.check(not others, f"timeline: and no other exit {vcpu}", str(others))
    numbers_of = [re.match(r"Exit (\d+) of vCPU (\d+)", steps[key]["heading"]).groups() for key in ("n", "p")]
    tap.check(numbers_of == [("1", numbers_of[0][1]), ("0", numbers_of[0][1])], "timeline: n and p go along a vCPU", str(numbers_of))
    number, vcpu = (cell.replace(",", "") for cell in seen["slowest"][:2])
    tap.check(steps["slowest"]["heading"].startswith(f"Exit {number} of vCPU {vcpu}:") and steps["slowest"]["hash"] == f"#exit-{vcpu}-{number}", "slowest handlers: a click shows it, the address names it",
              str(steps["slowest"]["heading"]))
    tap.check(f"--vcpu {vcpu} --from {number} --to {number}" in seen["detail"], "details: the command that shows everything", seen["detail"])


def made(count: int) -> Trace:
    """A trace of count exits on four vCPUs of two CPUs, every hundredth slow."""
    trace = Trace(Path("made"), "made", "made here", end=count * 100, ticks=count * 100)
    names = [row[1] for row in (("", n) for n in ("IO", "MMIO", "HLT", "CPUID", "MSR_READ", "MSR_WRITE", "CR", "EXCEPTION", "KICKED"))]
    for i in range(count):
        vcpu = i % 4
        trace.turns.append(Turn(i // 4, vcpu, vcpu // 2, i * 100 + 40, names[i * i % 9], f"port {i % 50}", hex(i % 900), 40, 300 if i % 100 == 0 else 20, "rip\t0x1", "", "rip\t0x2"))
        trace.marks.append(Mark(i * 100, vcpu // 2, "schedule"))
    return trace


def sizes(tap: Tap) -> None:
    for count in (1, 100000):
        start = time.monotonic()
        page = trace_report.html(made(count))
        built = time.monotonic() - start
        seen, console = browse(page, PROBE)
        tap.check(bool(seen) and not console and not seen["errors"] and len(seen["block"]["start"]) == count, f"page of {count} exits: drawn", f"{console} {seen.get('errors')}")
        tap.check(seen["steps"]["begin"]["text"].endswith(f"{count:,} of {count:,} exits"), f"page of {count} exits: all in sight", seen["steps"]["begin"]["text"])
        tap.check(all(c["wanted"] in c["found"] for c in seen["clicks"]), f"page of {count} exits: clicks find them", str(seen["clicks"]))
        following = f"Exit {min(count - 1, 1)} of vCPU 0:"
        tap.check(seen["steps"]["n"]["heading"].startswith(following), f"page of {count} exits: the next one is the same vCPU's", seen["steps"]["n"]["heading"])
        tap.check(len(page) < 100 * count + 100000, f"page of {count} exits: not large", f"{len(page)} bytes")
        print(f"# page of {count} exits: {len(page) >> 10} KiB, made in {built:.2f} s, browser {time.monotonic() - start - built:.1f} s")
    few, many = trace_report.html(made(20000)), trace_report.html(made(20001))
    tap.check("Not on this page" not in few and "Not on this page: registers of exits" in many and '"changes":[0,0' in many, "registers are left out above 20,000 exits, and that is said")
    seen, console = browse(trace_report.html(Trace(Path("made"), "made", "")), PROBE)
    tap.check(bool(seen) and not console and not seen["errors"] and dict(seen["facts"])["exits"] == "0", "page of a trace without exits", f"{console} {seen}")
    median = trace_report.by_reason(made(900))
    tap.check(all(trace_report.percentile(r.handled, .5) == 20 and r.count == len(r.handled) for r in median), "median of the handlers", str(median[0])[:200])
    tap.check([trace_report.percentile([1, 2, 3, 4], s) for s in (.25, .5, .51, .99, 1)] == [1, 2, 3, 4, 4], "percentiles are values that occur")
    tap.check([trace_report.duration(t, 1000000) for t in (0, 7, 1500, 12345678, 5 * 10 ** 9)] == ["0 ns", "7 ns", "1.500 \u00b5s", "12.35 ms", "5.000 s"], "times have a unit and four digits")


def hostile(tap: Tap, folder: Path, scratch: Path) -> None:
    """Text from outside is text, in the title, the facts, the data and the command."""
    raw, bad = scratch / "raw", scratch / "a\"><" / "script><img src=x>'$(x)"   # as a path: </script>
    raw.write_bytes((folder / "cpu0").read_bytes() + (folder / "cpu1").read_bytes())
    bad.parent.mkdir()
    subprocess.run([str(TOOL), "save", str(raw), "-o", str(bad), "--env", f"scenario={HOSTILE}", "--env", f"machine={HOSTILE}", "--env", f"note={HOSTILE}"], check=True)
    done = orrery("trace", "report", str(bad), "-o", str(scratch / "hostile.html"))
    page = (scratch / "hostile.html").read_text()
    parser = Outside()
    parser.feed(re.sub(r"(?s)<script.*?</script>", "", page))
    tap.check(done.returncode == 0 and not parser.found and not re.search(r"@import|url\((?!#)|https?:", page), "hostile: the page names nothing outside", str(parser.found) + done.stderr)
    tap.check("default-src 'none'" in page and "unsafe" not in page, "hostile: its policy allows nothing else")
    seen, console = browse(page, PROBE)
    tap.check(bool(seen) and not console and not seen["errors"] and seen["violations"] == 0 and seen["handlers"] == 0, "hostile: no error, nothing for the policy to stop", f"{console} {seen.get('errors')}")
    tap.check(seen["title"].startswith("</script>") and seen["h1"].startswith("</script><script>") and "img" not in seen["every"] and seen["scripts"] == 3, "hostile: it is text", f"{seen['title']} {seen['every']} {seen['scripts']}")
    tap.check(dict(seen["facts"]).get("note", "").startswith("</script><script>"), "hostile: also among the facts", str(seen["facts"]))
    tap.check("a\"></script><img src=x>" in seen["block"]["command"] and not seen["wide"], "hostile: also in the command", seen["block"]["command"])


def broken(tap: Tap, folder: Path, scratch: Path) -> None:
    cut = scratch / "cut"
    shutil.copytree(folder, cut)
    data = (cut / "cpu0").read_bytes()
    (cut / "cpu0").write_bytes(data[:len(data) * 2 // 3 + 1])
    done = orrery("trace", "report", str(cut), "-o", str(scratch / "cut.html"))
    page = (scratch / "cut.html").read_text()
    tap.check(done.returncode == 2 and done.stderr.count("\n") == 1 and "offset 0x" in done.stderr, "a truncated trace: one line, status 2", done.stderr)
    tap.check('class="warning"' in page and "offset 0x" in page and len(load(cut).turns) > 10, "a truncated trace: the page says so, and shows what could be read")
    for what, arguments, words in (("no such folder", [str(scratch / "none"), "-o", "x.html"], "No such file"), ("no output", [str(folder)], "-o"), ("not a trace", [str(ROOT / "README.md"), "-o", str(scratch / "x.html")], "offset"),
                                   ("a page that cannot be written", [str(folder), "-o", "/proc/none/x.html"], "No such file")):
        done = orrery("trace", "report", *arguments)
        tap.check(done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1 and not done.stdout, f"command: {what}: one line, status 2", done.stderr)


def colours(tap: Tap) -> None:
    """Bars are told from the page, in both schemes: contrast of at least 3; and white or black text from the bar."""
    blocks = [dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for file in ("page.css", "trace_report.css")
              for block in re.findall(r":root \{(.*?)\}", (ROOT / "harness/orrery" / file).read_text(), re.S)]
    for name, base, own in (("light", blocks[0], blocks[2]), ("dark", blocks[1], blocks[3])):
        tap.check(set(own) == {"guest", *(f"r{i}" for i in range(8))}, f"colours: {name}: eight and the guest's")
        for colour in sorted(set(own) - {"guest"}):
            light, dark = sorted((luminance(own[colour]), luminance(base["paper"])), reverse=True)
            tap.check((light + .05) / (dark + .05) >= 4.5, f"colours: {name}: text of the page's colour is legible on {colour}", f"{(light + .05) / (dark + .05):.2f}")


def run(tap: Tap) -> None:
    """All of this file's checks."""
    colours(tap)
    if not shutil.which("chromium"):
        tap.fail("page in a browser", "chromium is missing: make setup-browser")
        return
    with tempfile.TemporaryDirectory(prefix="orrery-test-") as name:
        scratch, folder = Path(name), Path(name) / "recording"
        done = orrery("record", "guest-smp", "--on", "sim", "--all", "-o", str(folder))
        if not tap.check(done.returncode == 0, "record guest-smp", done.stdout[-300:] + done.stderr[-300:]):
            return
        done = orrery("trace", "report", str(folder), "-o", str(scratch / "sub/page.html"))
        tap.check(done.returncode == 0 and not done.stderr, "trace report", done.stderr)
        first = (scratch / "sub/page.html").read_bytes()
        orrery("trace", "report", str(folder), "-o", str(scratch / "again.html"))
        tap.check(first == (scratch / "again.html").read_bytes(), "the same trace, the same page")
        numbers(tap, folder, scratch / "sub/page.html")
        hostile(tap, folder, scratch)
        broken(tap, folder, scratch)
        sizes(tap)


if __name__ == "__main__":
    result = Tap()
    run(result)
    sys.exit(result.finish())
