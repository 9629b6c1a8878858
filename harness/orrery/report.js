/* SPDX-License-Identifier: BSD-2-Clause */
/* The page of a finding: details of the event pointed at, arrow keys, #all in the address for the checkbox, a start at the critical decision. The page is whole without it. */
"use strict";
(() => {
    const detail = document.getElementById("detail"), all = document.getElementById("everything");
    if (!detail)
        return;
    const show = event => {
        for (const other of document.querySelectorAll(".event.same"))
            other.classList.remove("same");
        const object = event.dataset.object;
        if (object !== "0")
            for (const other of event.parentNode.querySelectorAll(`.event[data-object="${object}"]`))
                other.classList.add("same");
        detail.textContent = event.getAttribute("aria-label");
        detail.classList.add("event-text");
    };
    const go = (from, to) => {
        if (!to)
            return;
        from.tabIndex = -1;
        to.tabIndex = 0;
        to.focus({ preventScroll: true });
        to.querySelector(".label").scrollIntoView({ block: "nearest", inline: "nearest" });
    };
    for (const body of document.querySelectorAll("svg.body")) {
        const events = [...body.querySelectorAll(".event")];
        const near = { ArrowDown: at => at + 1, ArrowUp: at => at - 1, Home: () => 0, End: () => events.length - 1, PageDown: at => Math.min(at + 20, events.length - 1),
                       PageUp: at => Math.max(at - 20, 0) };
        for (const kind of ["mouseover", "focusin"])
            body.addEventListener(kind, e => e.target.closest(".event") && show(e.target.closest(".event")));
        body.addEventListener("keydown", e => {
            const event = e.target.closest(".event");
            if (!event || !near[e.key])
                return;
            e.preventDefault();
            go(event, events[near[e.key](events.indexOf(event))]);
        });
    }
    const centre = () => {      /* of a long drawing: where it was decided */
        for (const box of document.querySelectorAll(".drawing")) {
            const critical = box.querySelector(".critical .answer");
            if (critical)
                box.scrollTop = critical.getAttribute("y") - box.clientHeight / 2;
        }
    };
    const follow = () => {
        if (all)
            all.checked = location.hash === "#all";
        centre();
    };
    follow();
    if (!all)
        return;
    addEventListener("hashchange", follow);
    all.addEventListener("change", () => { location.hash = all.checked ? "all" : "few"; });
})();
