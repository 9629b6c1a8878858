"""What is measured by ./orrery bench, and against what. docs/performance.md says what each row is and where the others' figures come from."""
from __future__ import annotations

from dataclasses import dataclass, field

KERNELS = ("NOVA", "r10", "Hedron", "seL4")


@dataclass(frozen=True)
class Row:
    """One figure. gate: the best of the others, to be beaten; goal: to be reached. Upper limits, or, if more is better, lower ones."""

    id: str
    what: str
    goal: float
    others: dict[str, float] = field(default_factory=dict)
    machine: str = "qemu"    # qemu, bochs-vmx, bochs-svm: a line of scenarios/bench; boot, file, hosted: see bench.py
    unit: str = "instructions"
    more: bool = False
    limit: float | None = None   # the gate, where it is none of the columns

    @property
    def gate(self) -> float:
        """The best anchor."""
        if self.limit is not None:
            return self.limit
        return min(self.others.values())

    def better(self, value: float) -> bool:
        """Is the gate passed?"""
        return value > self.gate if self.more else value < self.gate

    def met(self, value: float) -> bool:
        """Is the goal reached?"""
        return value >= self.goal if self.more else value <= self.goal

    @property
    def figure(self) -> str:
        """Its name in the lines of scenarios/bench."""
        return self.id.rsplit("-", 1)[0] if self.machine.startswith("bochs") else self.id


def _row(id_: str, what: str, goal: float, nova: float | None, r10: float | None, hedron: float | None, sel4: float | None, **more: object) -> Row:
    others = {name: value for name, value in zip(KERNELS, (nova, r10, hedron, sel4)) if value is not None}
    return Row(id_, what, goal, others, **more)  # type: ignore[arg-type]


ROWS = (
    _row("hypercall", "cheapest hypercall", 40, 63, None, 114, 83),
    _row("null-capability", "call on a null capability", 60, 90, 85, 130, 347),
    _row("up", "semaphore up, no waiter", 90, 156, 160, 176, 372),
    _row("down", "semaphore down, no block", 90, 167, 150, 165, 250),
    _row("wake", "up, higher-priority waiter runs", 250, None, None, None, 540),
    _row("ipc", "call and reply, same PD", 180, 269, 541, 518, 430),
    _row("ipc-cross", "call and reply, other PD", 200, 289, 587, 588, 434),
    _row("ipc-8", "the same with 8 words each way", 240, 338, 683, 669, 468),
    _row("ipc-64", "the same with 64 words each way", 450, None, None, None, 2257),
    _row("exception", "exception, handler, reply", 250, 320, 574, 519, 1268),
    _row("map", "map a page into another PD", 400, 976, 1520, 964, 780),
    _row("unmap", "unmap it, flush included", 500, 2287, 5387, 3098, 641),
    _row("delegate", "delegate one capability", 250, 345, 1162, 1023, 882),
    _row("revoke-0", "revoke, no child", 250, None, None, None, 629),
    _row("revoke-1", "revoke, 1 child", 450, None, 5387, None, 885),
    _row("revoke-10", "revoke, 10 children", 1800, None, None, None, 3189),
    _row("create-sm", "create a semaphore", 200, 271, 641, 691, 1124),
    _row("create-portal", "create a portal", 250, 348, 677, 810, 1124),
    _row("thread", "create, run, destroy a thread", 6000, None, None, None, 12447),
    _row("pd", "create, destroy a PD", 8000, 25500, None, 629086, 24255),
    _row("exit-vmx", "CPUID exit, VMM, entry; VMX", 350, 595, None, 955, None, machine="bochs-vmx"),
    _row("exit-svm", "CPUID exit, VMM, entry; SVM", 350, None, 770, None, None, machine="bochs-svm", limit=595),
    _row("boot", "kernel entry to first user instruction", 1000000, 15100000, 39100000, 19500000, 2000000, machine="boot"),
    _row("text", "kernel text", 80 << 10, 89 << 10, 180 << 10, 93 << 10, 108 << 10, machine="file", unit="bytes"),
)

HOSTED = (
    Row("hosted-ipc", "pipe round trip / call and reply", 50, machine="hosted", unit="times", more=True, limit=1),
    Row("hosted-map", "mmap, write, munmap / map, unmap", 50, machine="hosted", unit="times", more=True, limit=1),
    Row("hosted-exit", "guest exit, VMM, entry on Unicorn", 2, machine="hosted", unit="us", limit=2),
    Row("hosted-vcpu", "the same, kernel and model alone", 2, machine="hosted", unit="us", limit=2),
    Row("hosted-boot", "machine made to first user instruction", 5, machine="hosted", unit="ms", limit=100),
    Row("replay-kernel", "recorded exits without the VMM, compared", 500000, machine="hosted", unit="exits/s", more=True, limit=500000),
    Row("replay-vmm", "recorded exits with the VMM, compared", 100000, machine="hosted", unit="exits/s", more=True, limit=100000),
    Row("trace-bytes", "recording of guest-hello, for each exit", 90, machine="hosted", unit="bytes/exit", limit=90),
)
