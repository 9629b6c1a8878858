#!/usr/bin/python3
"""Print a manual page, from what the source tree says already: orrery(1) from the command's own --help texts, orrery-world(3) from the comments
of sim/include/world.h, the usage text of world_main and the example of docs/testing.md. Example: docs/man.py orrery-world.3 | man -l -"""
import argparse
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "harness"))
os.environ["COLUMNS"] = "80"   # argparse folds its texts to the terminal
from orrery import cli  # noqa: E402


def escape(text: str) -> str:
    """Plain text as roff prints it: no escapes, no requests."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.M)


def verbatim(text: str) -> str:
    return ".nf\n" + escape(text.rstrip("\n")) + "\n.fi\n"


def section(title: str, body: str) -> str:
    return f".SH {escape(title.upper())}\n{body}"


def prose(text: str) -> str:
    """A comment's text: lines that are indented more are code, an empty line ends a paragraph."""
    out, code = "", ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("  "):
            code += line + "\n"
            continue
        if code:
            out, code = out + ".PP\n" + verbatim(code), ""
        out += escape(line) + "\n" if line.strip() else ".PP\n"
    return re.sub(r"(\.PP\n)+", ".PP\n", out).removesuffix(".PP\n")


def comment_text(comment: str) -> str:
    """Without the stars."""
    return re.sub(r"^ \* ?", "", comment.strip("/").strip("*").strip(), flags=re.M)


def command_page() -> str:
    parser = cli.parser()
    verbs = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices
    out = '.TH ORRERY 1 "" Orrery\n' + section("Name", f"orrery \\- {escape(parser.description.rstrip('.'))}\n")
    out += section("Synopsis", verbatim("./orrery " + "|".join(verbs) + " ...")) + section("Description", escape(
        "The command builds what it runs from a source tree, and is called there as ./orrery: it is not among what make install installs. "
        "Tests that are explored need the library only: see orrery-world(3). What follows is what the command prints for --help.") + "\n")
    out += ".PP\n" + verbatim(parser.format_help())
    out += section("Verbs", "".join(f".SS {escape(name)}\n" + verbatim(verb.format_help()) for name, verb in verbs.items()))
    return out + section("See also", ".BR orrery\\-world (3)\n")


def declarations(text: str) -> str:
    """Each declaration with its comment, whether that stands behind it or before it; a struct's fields likewise."""
    out, before = "", ""
    for code, comment in re.findall(r"((?:[^/]|/(?!\*))*)(/\*.*?\*/|$)", text, flags=re.S):
        lines = [re.sub(r" __attribute__.*(?=;)", "", line).strip() for line in code.splitlines()]
        behind = bool(code.rpartition("\n")[2].strip())
        for i, line in enumerate(line for line in lines if line and not line.startswith("}")):
            out += f".TP\n.B {escape(line)}\n" + (before if i == 0 else "")
            before = "" if i == 0 else before
        note = escape(" ".join(comment_text(comment).split())) + "\n" if comment else ""
        out, before = (out + note, before) if behind else (out, before + note)
    return out


def usage() -> str:
    """What world_main prints for --help: the string in the source."""
    text = (ROOT / "harness/explore_options.c").read_text()
    literal = re.search(r"usage\[\] =\n(.*?);\n", text, flags=re.S).group(1)
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literal)).replace("\\n", "\n").replace('\\"', '"')


def example() -> str:
    """The C program of docs/testing.md."""
    return re.search(r"^```c\n(.*?)^```$", (ROOT / "docs/testing.md").read_text(), flags=re.S | re.M).group(1)


def library_page() -> str:
    header = (ROOT / "sim/include/world.h").read_text()
    head, rest = re.search(r"\*/\n/\*(.*?)\*/\n(.*)", header, flags=re.S).groups()
    parts = re.split(r"^/\* -+ (.*?) -+ \*/\n", rest, flags=re.M)
    out = '.TH ORRERY\\-WORLD 3 "" Orrery\n' + section("Name", "orrery\\-world \\- tests that are run schedule by schedule on a simulated machine\n")
    out += section("Synopsis", verbatim("#include <orrery/world.h>\n\ncc $(pkg-config --cflags orrery-world) -c test.c\n"
                                        "cc -o test test.o $(pkg-config --libs orrery-world)\n./test run NAME"))
    out += section("Description", prose(comment_text(head)))
    table = re.search(r"struct world_test \{\n(.*?)^\};", parts[0], flags=re.S | re.M).group(1)
    out += section("struct world_test", declarations(table))
    for title, body in zip(parts[1::2], parts[2::2]):
        out += section(title, declarations(body))
    out += section("Command line", escape("What a program whose main is world_main prints for --help:") + "\n.PP\n" + verbatim(usage()))
    out += section("Exit status", escape("0 clean, 1 a bug, 2 stale, nondeterministic or bad input, 3 budget spent.") + "\n")
    out += section("Example", verbatim(example()))
    out += section("Files", escape("The machine: orrery/machine.h, atomic.h, sim.h. Memory through its page tables: sim_mem.h. Rules: rule.h. Runs under "
                                   "an explorer of one's own: world_run.h, event.h, choice.h.") + "\n")
    return out + section("See also", ".BR orrery (1),\n.BR pkg\\-config (1)\n")


PAGES = {"orrery.1": command_page, "orrery-world.3": library_page}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", choices=PAGES)
    print('.\\" Generated by docs/man.py; do not edit.\n' + PAGES[parser.parse_args().page](), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
