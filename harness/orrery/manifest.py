"""Scenario manifests: TOML to a checked Manifest. scenarios/README.md describes the keys; every error names file and key."""
from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .base import SCENARIOS, BadInput

MACHINES = ("sim", "qemu", "bochs")


@dataclass
class Program:
    """One [[program]]: what root starts."""

    name: str
    source: str
    args: str = ""
    cpu: int = 0
    priority: int = 10
    quota_kb: int = 1024
    memory_kb: int = 0
    guest: str = ""
    may_die: bool = False


@dataclass
class Manifest:
    """A whole scenario."""

    name: str
    title: str
    cpus: int = 1
    memory_mb: int = 128
    machines: list[str] = field(default_factory=lambda: list(MACHINES))
    virtualization: bool = False
    kernel: str = ""
    seconds: int = 120
    expect: list[str] = field(default_factory=list)
    programs: list[Program] = field(default_factory=list)


# key: (type, check, what the check wants)
_WORDS = re.compile(r"[A-Za-z0-9=:,._ -]{0,200}\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}\Z")
_TOP: dict[str, tuple[type, Any, str]] = {
    "title": (str, lambda v: 0 < len(v) <= 200, "1 to 200 characters"),
    "cpus": (int, lambda v: 1 <= v <= 64, "1 to 64"),
    "memory_mb": (int, lambda v: 32 <= v <= 3072, "32 to 3072"),
    "machines": (list, lambda v: v and all(m in MACHINES for m in v), "a list out of sim, qemu, bochs"),
    "virtualization": (bool, lambda v: True, ""),
    "kernel": (str, _WORDS.match, "at most 200 letters, digits, blanks and = : , . _ -"),
    "seconds": (int, lambda v: 1 <= v <= 3600, "1 to 3600"),
    "expect": (list, lambda v: v and all(isinstance(e, str) for e in v), "a list of regular expressions"),
    "program": (list, lambda v: 0 < len(v) <= 32, "1 to 32 tables"),
}
_PROGRAM: dict[str, tuple[type, Any, str]] = {
    "name": (str, _NAME.match, "letters, digits, - and _, at most 31"),
    "source": (str, _NAME.match, "a program name without folder or suffix"),
    "args": (str, lambda v: len(v.encode()) <= 127, "at most 127 bytes"),
    "cpu": (int, lambda v: 0 <= v <= 63, "0 to 63"),
    "priority": (int, lambda v: 1 <= v <= 126, "1 to 126"),
    "quota_kb": (int, lambda v: 64 <= v <= 1 << 20, "64 to 1048576"),
    "memory_kb": (int, lambda v: 0 <= v <= 1 << 21 and v % 4 == 0, "0 to 2097152, a multiple of 4"),
    "guest": (str, _NAME.match, "a guest name without folder or suffix"),
    "may_die": (bool, lambda v: True, ""),
}


def _checked(table: dict[str, Any], keys: dict[str, tuple[type, Any, str]], where: str, needed: tuple[str, ...]) -> dict[str, Any]:
    for key, value in table.items():
        if key not in keys:
            raise BadInput(f"{where}: unknown key '{key}'; there are: {', '.join(keys)}")
        kind, check, wanted = keys[key]
        if type(value) is not kind:
            raise BadInput(f"{where}: '{key}' must be of type {kind.__name__}, not {type(value).__name__}")
        if not check(value):
            raise BadInput(f"{where}: '{key}' is {value!r}, it must be {wanted}")
    for key in needed:
        if key not in table:
            raise BadInput(f"{where}: '{key}' is missing")
    return table


def load(name: str, folder: Path = SCENARIOS) -> Manifest:
    """Read and check folder/name.toml; BadInput names what is wrong."""
    path = folder / f"{name}.toml"
    if not _NAME.match(name) or not path.is_file():
        raise BadInput(f"unknown scenario '{name}'; there are: {', '.join(names(folder))}")
    return parse(name, path)


def parse(name: str, path: Path) -> Manifest:
    """Check one manifest file."""
    try:
        raw = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name}: not TOML: {error}") from None
    top = dict(_checked(raw, _TOP, path.name, ("title", "program", "expect")))
    programs = []
    for index, table in enumerate(top.pop("program")):
        where = f"{path.name}: program {index + 1}"
        if not isinstance(table, dict):
            raise BadInput(f"{where}: must be a table")
        programs.append(Program(**_checked(table, _PROGRAM, where, ("name", "source"))))
    manifest = Manifest(name=name, programs=programs, **top)
    for expression in manifest.expect:
        try:
            re.compile(expression)
        except re.error as error:
            raise BadInput(f"{path.name}: expect {expression!r} is no regular expression: {error}") from None
    for program in programs:
        if program.cpu >= manifest.cpus:
            raise BadInput(f"{path.name}: program '{program.name}': cpu {program.cpu}, but the scenario has {manifest.cpus} CPUs")
    if len({p.name for p in programs}) != len(programs):
        raise BadInput(f"{path.name}: two programs have the same name")
    return manifest


def arguments(manifest: Manifest, texts: list[str]) -> None:
    """Put TEXT in the place of a program's arguments, for each PROGRAM=TEXT."""
    _, check, wanted = _PROGRAM["args"]
    for text in texts:
        name, equals, args = text.partition("=")
        program = next((p for p in manifest.programs if p.name == name), None)
        if not equals or not program:
            raise BadInput(f"--args takes PROGRAM=TEXT, not {text!r}; programs of '{manifest.name}': {', '.join(p.name for p in manifest.programs)}")
        if not check(args):
            raise BadInput(f"--args {name}: {len(args.encode())} bytes, it must be {wanted}")
        program.args = args


def names(folder: Path = SCENARIOS) -> list[str]:
    """All scenarios, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))
