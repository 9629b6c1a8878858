"""Mutants of the kernel: those listed in tests/mutants/listed, those generated from the sources, those that are known to be equivalent."""
from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from .base import ROOT, BadInput
from .mutant_operators import Edit, Source, edits

MUTANTS = ROOT / "tests" / "mutants"
LISTED = MUTANTS / "listed"
EQUIVALENT = MUTANTS / "equivalent.txt"
FOLDERS = ("kernel/core", "kernel/x86")
HEADER = ("name", "number", "what", "seen", "tests", "preemptions", "delays")
_TOUCHES = re.compile(r"^--- (.*)\n\+\+\+ (.*)$|^diff --git (\S+) (\S+)$", re.M)
_HUNK = re.compile(r"^@@ -(\d+)", re.M)


@dataclass(frozen=True)
class Mutant:
    """One change of the kernel. text: a unified diff for -p1 in the checkout."""

    name: str
    kind: str                       # listed, generated, patch
    text: str
    file: str                       # the first it touches, and where
    line: int
    path: Path | None = None        # where the patch stands, if in a file
    header: dict[str, str] = field(default_factory=dict)

    def stems(self) -> list[str]:
        """Names of the touched files without folder and suffix, each once."""
        return list(dict.fromkeys(Path(file).stem for file in touched(self.text, self.name)))

    def worlds(self) -> list[str]:
        """The tests that are expected to find it."""
        return self.header.get("tests", "").replace(",", " ").split()


def path_ok(path: str) -> bool:
    """A plain path below kernel/."""
    return re.fullmatch(r"kernel/[\w./-]+", path) is not None and ".." not in path.split("/")


def touched(text: str, what: str) -> list[str]:
    """The files a patch touches, all of them below kernel/; BadInput for any other, and for none. What git makes of it is looked at again when it
    is applied (mutant_tree.py)."""
    files = []
    for match in _TOUCHES.finditer(text):
        for name in (group.split("\t")[0].strip() for group in match.groups() if group):
            path = name.partition("/")[2]
            if name == "/dev/null":
                continue
            if not path_ok(path) or name.startswith("/"):
                raise BadInput(f"{what}: {name} is not a/kernel/... or b/kernel/...: only the kernel is mutated")
            files.append(path)
    if not files:
        raise BadInput(f"{what}: no unified diff")
    return list(dict.fromkeys(files))


def from_file(path: Path, kind: str = "patch") -> Mutant:
    """Read a patch; one of the list must have its header: `# key: value` lines before the diff."""
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        raise BadInput(f"{path}: not text") from None
    header = dict(re.findall(r"^# (\w+):[ \t]*(.*)$", text.split("\n--- ", 1)[0], re.M))
    name = path.stem
    if kind == "listed":
        missing = [key for key in HEADER if key not in header]
        if missing:
            raise BadInput(f"{path}: no header line '# {missing[0]}: ...'")
        name = header["name"]
    hunk = _HUNK.search(text)
    return Mutant(name, kind, text, touched(text, str(path))[0], int(hunk.group(1)) if hunk else 0, path, header)


@cache
def listed() -> list[Mutant]:
    """The seeded bugs, in the order of their files."""
    found = [from_file(path, "listed") for path in sorted(LISTED.glob("*.patch"))]
    names = [m.name for m in found]
    for m in found:
        if names.count(m.name) > 1:
            raise BadInput(f"{m.path}: another mutant has the name {m.name}")
    return found


def _generated_of(path: Path) -> list[Mutant]:
    source = Source(path.read_text())
    file, count, found = str(path.relative_to(ROOT)), {}, []
    for edit in edits(source):
        base = f"{path.name}:{source.function(edit.start)}-{edit.operator}"
        count[base] = count.get(base, 0) + 1
        name = base + (f"-{count[base]}" if count[base] > 1 else "")
        found.append(Mutant(name, "generated", _diff(file, source.text, edit), file, source.text.count("\n", 0, edit.start) + 1))
    return found


def _diff(file: str, text: str, edit: Edit) -> str:
    new = text[:edit.start] + edit.text + text[edit.end:]
    return "".join(difflib.unified_diff(text.splitlines(True), new.splitlines(True), f"a/{file}", f"b/{file}"))


@cache
def generated() -> list[Mutant]:
    """Every mutant that the operators make, by file. A name is FILE:FUNCTION-OPERATOR, with a number from the second in the function on: edits
    elsewhere do not change it."""
    files = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.c"))
    return [m for path in files for m in _generated_of(path)]


def spread(candidates: list[Mutant]) -> list[Mutant]:
    """The order in which they are taken, that of a hash of the name: the first N are a sample of all, and stay the same when others come and go."""
    return sorted(candidates, key=lambda m: hashlib.sha256(m.name.encode()).digest())


@cache
def equivalent() -> dict[str, str]:
    """Generated mutants that no test can find, with the reason: lines `name: reason`, # begins a comment."""
    known, found = {m.name for m in generated()}, {}
    for number, line in enumerate(EQUIVALENT.read_text().splitlines() if EQUIVALENT.is_file() else (), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, reason = line.partition(": ")
        if name not in known or not reason.strip():
            raise BadInput(f"{EQUIVALENT}:{number}: " + (f"no mutant is called '{name}'" if name not in known else "no reason"))
        found[name] = reason.strip()
    return found
