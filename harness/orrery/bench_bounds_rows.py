"""The bounds of ./orrery bench --bounds: what each row drives, and for how many instructions the kernel may go on in it without a look for interrupts."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bound:
    """One row of scenarios/bounds. grows: the bound is no constant, but in proportion to that; it holds for as much of it as `what` says."""

    id: str
    of: tuple[str, ...]   # hypercalls by name; exception, interrupt, exit, release: other ways into the kernel, and what the end of any of them may do
    what: str
    bound: int
    grows: str = ""


BOUNDS = (
    Bound("null", ("null",), "", 46),
    Bound("unknown", (), "a number that is no hypercall", 45),
    Bound("portal-ctrl", ("portal_ctrl",), "", 81),
    Bound("call-words", ("call", "reply"), "512 words each way, another PD", 750),
    Bound("call-items", ("call",), "512 words, 32 items of 64 capabilities", 7900),
    Bound("reply-items", ("reply",), "512 words, 32 items of 64 capabilities", 7900),
    Bound("exception", ("exception",), "a handler in the same PD moves RIP", 190),
    Bound("call-help", ("call",), "the handler waits at the end of 40 calls", 720),
    Bound("sm-up-helped", ("sm_up",), "64 callers wait at the EC that is woken", 4000, "who calls the EC that is woken"),
    Bound("sm-up", ("sm_up",), "64 waiters", 490),
    Bound("sm-down", ("sm_down",), "a deadline behind 64 others", 930, "deadlines on this CPU"),
    Bound("timer", ("interrupt",), "64 deadlines pass at once", 10_000, "deadlines that pass"),
    Bound("inbox", ("interrupt",), "another CPU wakes 64", 7000, "ECs that others woke"),
    Bound("shootdown", ("revoke", "interrupt"), "another CPU has the page", 10_500, "ECs that wait for one"),
    Bound("release-sm", ("release",), "64 waiters", 4200),
    Bound("delegate-objects", ("delegate",), "4,096 capabilities", 145_000, "capabilities asked for, at most 32,768"),
    Bound("revoke-objects", ("revoke",), "1,024 derived from one", 3400),
    Bound("revoke-empty", ("revoke",), "12,288 empty slots", 1400),
    Bound("delegate-memory", ("delegate",), "4,096 pages, none of them large", 36_000),
    Bound("revoke-memory", ("revoke",), "4,096 pages", 46_000),
    Bound("delegate-ranges", ("delegate",), "a source of 256 ranges", 57_000, "ranges of the source"),
    Bound("revoke-passed", ("revoke",), "256 derived from the range, none from the page", 7300, "ranges derived from this one"),
    Bound("lookup", ("lookup",), "among 256 ranges", 210),
    Bound("pd-create", ("pd_create",), "", 3600),
    Bound("ec-create", ("ec_create",), "with FPU, where no tables are", 6900),
    Bound("sc-create", ("sc_create",), "of the highest priority", 2200),
    Bound("portal-create", ("portal_create",), "", 1600),
    Bound("sm-create", ("sm_create",), "", 1600),
    Bound("vcpu-create", ("vcpu_create",), "the first of its PD, where no tables are", 11_000),
    Bound("pd-info", ("pd_info",), "", 100),
    Bound("sc-info", ("sc_info",), "", 140),
    Bound("clock", ("clock",), "", 100),
    Bound("trace", ("trace",), "without a trace", 140),
    Bound("console", ("console",), "32 bytes, a UART that is ready", 760, "what the UART takes: 87 us a byte"),
    Bound("vcpu-run", ("vcpu_run",), "all groups dirty", 3400),
    Bound("guest-exit", ("exit",), "all groups wanted", 1800),
    Bound("vcpu-fetch", ("vcpu_fetch",), "all groups", 1800),
    Bound("vcpu-kick", ("vcpu_kick",), "", 92),
    Bound("release-ecs", ("release",), "20 ECs end at once", 17_000),
    Bound("release-pd", ("release",), "a PD with 512 leaves of capabilities and 512 page tables", 200_000, "leaves and tables of the PD"),
    Bound("shutdown", ("shutdown",), "a UART that is ready", 770, "what the UART takes: 87 us a byte"),
)
