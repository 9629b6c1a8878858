#!/usr/bin/python3
"""The report of a finding: its text, its page in a real browser (Debian's chromium, headless), and what it says about bad input.

The page is opened with a probe added to it and named in its policy; the probe clicks, presses keys and counts what can be seen.
Not checked: whether it is beautiful; other browsers.
"""
from __future__ import annotations

import copy
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
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "harness"))
from orrery import finding, relate, report  # noqa: E402
from orrery.base import BadInput  # noqa: E402
from browser import Outside, browse, luminance  # noqa: E402
from tap import Tap  # noqa: E402

PROBE = (HERE / "probe.js").read_text()
DELETE = object()


def sample(name: str) -> dict[str, Any]:
    return finding.load(HERE / f"{name}.json")


def many(count: int) -> dict[str, Any]:
    """A finding of count events; every tenth is a store that the other CPU loads in the next step."""
    data = sample("message")
    private = dict(data["events"][0])
    data["events"] = [dict(private, step=i, agent=i // 5 % 2, object=(1 << 60 | 0x100000 | (i % 2) << 12) if i % 10 > 1 else 4096,
                           op="load" if i % 10 == 1 else "store", effect="read" if i % 10 == 1 else "write", name=f"word {i}") for i in range(count)]
    for event in data["events"][1::10]:
        event["agent"] = 1
    for event in data["events"][::10]:
        event["agent"] = 0
    for event in data["events"]:
        if event["object"] != 4096:
            event["object"] = f"{event['object'] | event['agent'] << 16:#x}"
    data["decisions"] = []
    return data


def text_of_message(tap: Tap) -> None:
    shown = report.text(sample("message"))
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    for what, line in (("verdict and rule", "message: bug (assert)"), ("message", "data before flag: read 0, not 42"),
                       ("the line that replays it", "again: ./orrery explore replay build/explore/message.schedule"),
                       ("bound and buffer", "bound at most 2 preemptions, 2 delays, 0 faults; store buffer 8 entries; model tso"),
                       ("a column per agent", "step CPU 0 CPU 0's buffer CPU 1 source"),
                       ("a store that waits", "4 store data -> 42 (waits) . . writer tests/explore/message_test.c:20"),
                       ("its flush in the buffer's column", "6 . flush flag 0 -> 1 ."),
                       ("a load, its line", "9 . . load data = 0 reader tests/explore/message_test.c:29"),
                       ("a stale read, computed", "^ CPU 1 reads stale: the initial value, current from step 4 still in CPU 0's buffer"),
                       ("the critical decision", "7 ==> flush 0 at - flush data #1 -> cpu 1 [critical]"),
                       ("what is left out", "(not shown: 4 events that are in no conflict)"),
                       ("footer", "strategy bounded; seed 0; runs 1,234 (5,120/s); complete 812; blocked 64; distinct 391; points, min/avg/max 9 / 14.0 / 22; coverage unknown")):
        tap.check(line in lines, f"text: {what}", shown)
    tap.check("exhaust" not in shown and "trace[0]" not in shown, "text: nothing is called exhaustive, nothing private is shown", shown)
    shown = report.text(sample("race"))
    tap.check(all(word in shown for word in ("stack 1:", "derive_revoke  kernel/core/derive.c:61", "stack 2:", "sys_call", "0xffff800000012000 -> 0")), "text: two stacks of a race", shown)
    shown = report.text(sample("hostile"))
    tap.check(not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028\ud800]", shown) and "\\x1b" in shown, "text: nothing harmful for a terminal", repr(shown)[:2000])
    tap.check(max(map(len, shown.splitlines())) < 600, "text: no endless column", "")


def event(step: int, agent: int, op: str, effect: str, obj: int, before: int, after: int, size: int = 8) -> dict[str, Any]:
    return dict(sample("race")["events"][0], step=step, agent=agent, op=op, effect=effect, object=hex(obj), before=before, after=after, bytes=size)


def related(*events: dict[str, Any]) -> relate.Relations:
    data = dict(sample("message"), decisions=[], events=list(events), agents=[*sample("message")["agents"], {"id": 2, "name": "CPU 2"}])
    return relate.relations(finding.check(data))


def relations(tap: Tap) -> None:
    ram = 1 << 60
    for what, events, conflict in (
            ("two readers", (event(0, 0, "load", "read", 64, 0, 0), event(1, 1, "load", "read", 64, 0, 0)), [False, False]),
            ("two adders", (event(0, 0, "add", "add", 64, 0, 1), event(1, 1, "add", "add", 64, 1, 2)), [False, False]),
            ("an adder and a reader", (event(0, 0, "add", "add", 64, 0, 1), event(1, 1, "load", "read", 64, 1, 1)), [True, True]),
            ("a CPU and its own buffer", (event(0, 0, "store", "none", 64, 0, 1), event(1, 64, "flush", "write", 64, 0, 1)), [False, False]),
            ("a store that never left its buffer", (event(0, 0, "store", "none", 64, 0, 1), event(1, 1, "load", "read", 64, 0, 0)), [True, True]),
            ("a load from the own buffer, of an object in conflict", (event(0, 0, "store", "none", 64, 1, 1), dict(event(1, 0, "load", "none", 64, 1, 1), own=True),
                                                                       event(2, 1, "load", "read", 64, 0, 0)), [True, True, True]),
            ("a range and the words inside and behind", (event(0, 0, "state", "write", ram | 4096, 0, 0, 4096), event(1, 1, "walk", "read", ram | 4104, 0, 0),
                                                         event(2, 1, "walk", "read", ram | 8192, 0, 0)), [True, True, False]),
            ("neighbours that are no memory", (event(0, 0, "ipi", "write", 3 << 60, 0, 0), event(1, 1, "look", "read", 3 << 60 | 1, 0, 0)), [False, False])):
        found = related(*events).conflict
        tap.check(found == conflict, f"conflict: {what}", str(found))
    store, other, flush = event(0, 0, "store", "none", 64, 0, 1), event(1, 0, "store", "none", 64, 0, 2), event(2, 64, "flush", "write", 64, 0, 1)
    load = event(3, 1, "load", "read", 64, 1, 1)
    found = related(store, other, flush, load, dict(load, step=4))
    tap.check([(link.kind, link.source, link.target) for link in found.links] == [("buffer", 0, 2), ("read", 2, 3)], "links: oldest store first, first load of a CPU only", str(found.links))
    tap.check(found.stale.get(3) == "reads stale: value of step 0, current from step 1 still in CPU 0's buffer", "stale: names both steps", str(found.stale))
    tap.check(related(store, dict(load, before=1, after=1)).stale == {}, "stale: not when the value is the newest", "")
    tap.check(related(store, dict(load, own=True, before=0, after=0)).stale == {}, "stale: not from one's own buffer", "")
    found = related(store, other, flush, event(3, 64, "flush", "write", 64, 1, 2))
    tap.check([(link.source, link.target) for link in found.links] == [(0, 2), (1, 3)], "links: each store is flushed once", str(found.links))
    younger = event(1, 2, "rmw", "write", 64, 0, 7)
    tap.check(2 not in related(store, younger, dict(load, before=7, after=7)).stale, "stale: not when what was read was written after the store that waits", "")
    tap.check(related(store, dict(load, stale="old translation")).stale == {1: "old translation"}, "stale: the file's own words first", "")


def unnamed(tap: Tap) -> None:
    data = sample("message")
    data["labels"].insert(0, {"object": "0x1000000000010080", "bytes": 64, "name": "box"})
    names = [e.name for e in finding.check(data).events]
    tap.check(names[4] == "data", "names: the smallest label", str(names))
    data["labels"] = [{"object": "0x1000000000010000", "bytes": 4096, "name": "page"}]
    tap.check(finding.check(data).events[4].name == "page+128", "names: offset in a label")
    data["labels"] = []
    tap.check(finding.check(data).events[4].name == "RAM 0x10080", "names: class and address without a label")


def changed(path: str, value: Any) -> bytes:
    """The message finding with one field changed."""
    data: Any = copy.deepcopy(sample("message"))
    at, keys = data, [int(k) if k.isdigit() else k for k in path.split(".")]
    for key in keys[:-1]:
        at = at[key]
    if value is DELETE:
        del at[keys[-1]]
    else:
        at[keys[-1]] = value
    return json.dumps(data).encode()


def bad_input(tap: Tap) -> None:
    cases = [(f"{path} = {value!r:.30}" if value is not DELETE else f"{path} missing", changed(path, value), words) for path, value, words in (
        ("test", 7, "test: must be a text"), ("verdict", None, "verdict: must be a text"), ("message", DELETE, "message: missing"), ("command", [], "command:"),
        ("stacks", "x", "stacks: must be a list"), ("stacks", [1], "stacks[0]:"), ("stacks", ["x"] * 65, "stacks:"), ("bound", 3, "bound: must be an object"),
        ("bound.delays", -1, "bound.delays:"), ("stats.runs", 1e9, "stats.runs:"), ("stats.points", {"min": 1}, "stats.points.max: missing"),
        ("stats.points", 4, "stats.points: must be an object"), ("stats.coverage", "all", "stats.coverage:"), ("stats.rate", True, "stats.rate:"),
        ("agents", {}, "agents:"), ("agents.0", 1, "agents[0]: must be an object"), ("agents.0.id", 128, "agents[0].id:"), ("agents.1.id", 0, "agents[1].id: 0 is there twice"),
        ("agents.1.name", 0, "agents[1].name:"), ("labels.0.bytes", -8, "labels[0].bytes:"), ("labels.0.object", "0xzz", "labels[0].object:"),
        ("events", None, "events: must be a list"), ("events.2", None, "events[2]: must be an object"), ("events.2.step", -1, "events[2].step:"),
        ("events.2.step", 2.0, "events[2].step:"), ("events.2.step", 0, "events[2].step: 0 comes after 1"), ("events.2.step", True, "events[2].step:"),
        ("events.2.agent", 5, "events[2].agent: 5 is not in agents"), ("events.2.op", DELETE, "events[2].op: missing"), ("events.2.effect", "erase", "events[2].effect:"),
        ("events.2.object", "1" * 17, "events[2].object:"), ("events.2.before", 1 << 64, "events[2].before:"), ("events.2.after", -1, "events[2].after:"),
        ("events.2.bytes", 1 << 32, "events[2].bytes:"), ("events.2.own", "no", "events[2].own:"), ("events.2.line", None, "events[2].line:"),
        ("events.2.stale", False, "events[2].stale: must be a text or null"), ("decisions.0.critical", 2, "decisions[0].critical:"),
        ("decisions.0.agent", 99, "decisions[0].agent:"), ("decisions.0.text", None, "decisions[0].text:"))]
    cases += [(what, data, words) for what, data, words in (
        ("no JSON", b"{", "not JSON"), ("empty", b"", "not JSON"), ("a list", b"[]", "must be an object"), ("nested deeply", b"[" * 200000, "nested too deeply"),
        ("no number", b'{"agents": NaN}', "NaN is no number"), ("a number of 10,000 digits", b"9" * 10000, "not JSON"), ("bytes that are no text", b"\xff\xfe{", "not JSON"))]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "x.json"
        for what, data, words in cases:
            path.write_bytes(data)
            try:
                report.text(finding.load(path))
                tap.fail(f"bad input: {what}", "accepted")
            except BadInput as error:
                tap.check(words in str(error) and "\n" not in str(error), f"bad input: {what}: named", str(error))
        with path.open("wb") as stream:
            stream.truncate((64 << 20) + 1)
        for what, arguments, words in (("more than 64 MB", [str(path)], "larger than 64 MB"), ("no such file", [scratch + "/none"], "No such file"),
                                       ("a folder", [scratch], "Is a directory"), ("a wrong field", ["wrong"], "events[2].step"),
                                       ("a page that cannot be written", [str(HERE / "race.json"), "-o", "/proc/none/x.html"], "No such file")):
            if arguments == ["wrong"]:
                path.write_bytes(changed("events.2.step", -1))
                arguments = [str(path)]
            done = subprocess.run([str(ROOT / "orrery"), "report", *arguments], capture_output=True, text=True)
            tap.check(done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1 and not done.stdout, f"command: {what}: one line, exit 2", done.stderr)
        done = subprocess.run([str(ROOT / "orrery"), "report", str(HERE / "hostile.json"), "-o", scratch + "/sub/x.html", "--text"], capture_output=True,
                              env=dict(os.environ, LC_ALL="C", PYTHONIOENCODING="ascii"))
        tap.check(done.returncode == 0 and done.stdout and Path(scratch, "sub/x.html").is_file(), "command: text and page at once, on a terminal without UTF-8", str(done.stderr))


def browser_message(tap: Tap) -> None:
    page = report.html(sample("message"))
    seen, console = browse(page, PROBE)
    tap.check(bool(seen) and not console, "page: no error on the console", console)
    for what, key, wanted in (("the events in conflict are drawn", "few", 6), ("three lanes in use", "lanes", ["CPU 0", "CPU 0's buffer", "CPU 1", "Source"]),
                              ("three decisions", "decisions", 3), ("one of them a switch between lanes", "turns", 1), ("one of them critical", "critical", ["flush 0 at - flush data #1 -> cpu 1 critical"]),
                              ("arrows from store to flush to load", "links", ["buffer", "read"]), ("a click on the checkbox shows all events", "everything", 10),
                              ("and the address says so", "hash", "#all"), ("another click hides them", "again", 6),
                              ("Tab reaches one event", "tabs", 1), ("arrow keys go on and come back, End goes to the last", "keys", ["1", "3", "1", "9"]),
                              ("the stale load is marked", "stale", ["load data = 0"]), ("nothing loaded", "resources", 0), ("no policy broken", "violations", 0),
                              ("labels end before the next lane", "overlaps", [])):
        tap.check(seen.get(key) == wanted, f"page: {what}", str(seen.get(key)))
    detail = seen.get("detail", "")
    for part in ("step 4, CPU 0: store data", "before 42, after 42", "object 0x1000000000010080, 8 bytes", "writer", "tests/explore/message_test.c:20", "waits in its store buffer"):
        tap.check(part in detail, f"page: pointing at an event shows {part}", detail)
    own = sample("message")
    own["events"][5] = dict(own["events"][4], step=5, op="load", before=42, after=42, own=True)
    tap.check("answered from its own store buffer" in report.html(own) and "= 42 own</tspan>" in report.html(own) and "load data = 42 (own)" in report.text(own), "page: a load from the own buffer says so")
    long = sample("race")
    long["agents"] = [{"id": i, "name": f"processor {i} of a machine with long names"} for i in (0, 1)]
    long["events"] = [dict(e, name="x", op="rmw", before=0) for e in long["events"]]
    long["decisions"] = []
    seen, _ = browse(report.html(long), PROBE)
    tap.check(seen.get("few") == 2 and seen.get("overlaps") == [], "page: long names of agents end before the next lane", str(seen))
    seen, _ = browse(page, PROBE, "all")
    tap.check(seen.get("few") == 10 and seen.get("everything") == 6, "page: #all in the address shows all", str(seen))


def browser_hostile(tap: Tap) -> None:
    page = report.html(sample("hostile"))
    seen, console = browse(page, PROBE)
    tap.check(bool(seen) and not console, "hostile page: no error on the console", console)
    tap.check(seen.get("scripts") == 2 and seen.get("strangers") == [], "hostile page: no injected element", str(seen.get("strangers")))
    tap.check(seen.get("handlers") == [], "hostile page: no injected handler", str(seen.get("handlers")))
    tap.check("owned" not in seen.get("title", "owned").split('"')[0] and seen.get("title", "").startswith("</script>"), "hostile page: the title is text", str(seen.get("title")))
    tap.check(seen.get("violations") == 0, "hostile page: nothing left for the policy to stop", str(seen.get("violations")))
    tap.check(seen.get("overlaps") == [] and seen.get("wide") is False and seen.get("longest", 999) < 100, "hostile page: long text leaves neither its lane nor the page", str(seen.get("overlaps")))


def browser_sizes(tap: Tap) -> None:
    for count in (50, 5000):
        start = time.monotonic()
        page = report.html(many(count))
        made = time.monotonic() - start
        seen, console = browse(page, PROBE)
        tap.check(not console and seen.get("few") == count // 5 and seen.get("everything") == count, f"page of {count} events: {count // 5} drawn, all on demand",
                  f"{console} {seen}"[:500])
        tap.check(made < 5 and len(page) < 1000 * count + 50000, f"page of {count} events: made quickly, not large", f"{made:.1f} s, {len(page)} bytes")
        print(f"# page of {count} events: {len(page) >> 10} KiB, made in {made:.2f} s, browser {time.monotonic() - start - made:.1f} s")
    late = many(5000)
    late["decisions"] = [dict(sample("message")["decisions"][2], step=4000, agent=0)]
    seen, _ = browse(report.html(late), PROBE)
    tap.check(0 < seen.get("critical_at", -1) < 1, "page of 5000 events: opens at the critical decision", str(seen.get("critical_at")))
    page = report.html(many(30000))
    tap.check("Only the last 20,000 of 30,000 rows are drawn." in page and page.count('class="event') < 26020, "page of 30000 events: says what it leaves out")
    quiet = many(1)
    seen, console = browse(report.html(dict(quiet, events=[], message="")), PROBE)
    tap.check(bool(seen) and not console and seen.get("few") == 0, "page without events", console)


def colours(tap: Tap) -> None:
    """Contrast of at least 4.5 for everything that is text, in both schemes."""
    schemes = [dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", (ROOT / "harness/orrery/page.css").read_text(), re.S)]
    tap.check(len(schemes) == 2 and set(schemes[0]) == set(schemes[1]), "colours: the dark scheme names all that the light one does")
    for name, scheme in zip(("light", "dark"), schemes):
        for front, back in (("ink", "paper"), ("soft", "paper"), ("accent", "paper"), ("blue", "paper"), ("ink", "wash"), ("soft", "wash"), ("accent", "accent-wash"), ("soft", "accent-wash")):
            light, dark = sorted((luminance(scheme[front]), luminance(scheme[back])), reverse=True)
            ratio = (light + 0.05) / (dark + 0.05)
            tap.check(ratio >= 4.5, f"colours: {name}: {front} on {back} is legible", f"{ratio:.2f}")


def alone(tap: Tap) -> None:
    for name in ("message", "hostile"):
        page = report.html(sample(name))
        parser = Outside()
        parser.feed(page)
        tap.check(not parser.found and not re.search(r"@import|url\((?!#)|https?:", page), f"{name}: the page names nothing outside", str(parser.found))
        tap.check("default-src 'none'" in page and "unsafe" not in page, f"{name}: its policy allows nothing else")
        tap.check(page == report.html(sample(name)), f"{name}: the same page twice")


def run(tap: Tap) -> None:
    """All of this file's checks."""
    text_of_message(tap)
    relations(tap)
    unnamed(tap)
    bad_input(tap)
    colours(tap)
    alone(tap)
    if not shutil.which("chromium"):
        tap.fail("page in a browser", "chromium is missing: make setup-browser")
        return
    browser_message(tap)
    browser_hostile(tap)
    browser_sizes(tap)


if __name__ == "__main__":
    result = Tap()
    run(result)
    sys.exit(result.finish())
