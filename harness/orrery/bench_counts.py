"""What the process counts while scenarios/bench runs in it: the file of --counts, a line for each RDTSC of user mode. The first line has the names."""
from __future__ import annotations

from .base import BadInput


def parse(text: str) -> tuple[list[str], dict[int, list[int]]]:
    """The names, and by the low half of the TSC what had been counted by then. Several reads at one TSC have nothing of the kernel between them."""
    lines = text.splitlines()
    names = lines[0].split()[1:] if lines else []
    by_tsc: dict[int, list[int]] = {}
    for number, line in enumerate(lines[1:], 2):
        words = line.split()
        if len(words) != len(names) + 1 or not all(word.isdecimal() for word in words):
            raise BadInput(f"counts, line {number}: '{line}' has not a number for each name")
        by_tsc[int(words[0]) & 0xffffffff] = [int(word) for word in words[1:]]
    return names, by_tsc


def between(counts: tuple[list[str], dict[int, list[int]]], start: int, end: int) -> dict[str, int]:
    """What was done between two reads of the TSC."""
    names, by_tsc = counts
    for tsc in (start, end):
        if tsc not in by_tsc:
            raise BadInput(f"counts: no read of the TSC at {tsc}")
    return {name: after - before for name, before, after in zip(names, by_tsc[start], by_tsc[end])}
