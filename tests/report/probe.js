/* SPDX-License-Identifier: BSD-2-Clause */
/* Added to a page under test: uses it as a reader would and leaves what it saw, as JSON, in an element of its own. */
"use strict";
let violations = 0;
document.addEventListener("securitypolicyviolation", () => { violations++; });
addEventListener("load", () => {
    const list = selector => [...document.querySelectorAll(selector)].filter(e => e.getClientRects().length);
    const words = e => e.textContent.trim().replace(/\s+/g, " ");
    const allowed = new Set(("html head meta title style body main header footer section details summary ol ul li p h1 h2 h3 code pre strong span dl div dt dd figure input label figcaption " +
                             "script svg defs marker path line rect circle g text tspan").split(" "));
    const every = [...document.querySelectorAll("*")];
    const seen = {
        few: list(".event[role]").length, decisions: list(".decision").length, critical: list(".decision.critical .answer").map(words), lanes: list("text.lane").map(words),
        turns: list(".turn").length, links: list("svg.body .link").map(e => e.classList[1]), stale: list(".event.stale .label").map(words), tabs: list('.event[tabindex="0"]').length,
        strangers: every.map(e => e.localName).filter(n => !allowed.has(n)), scripts: document.scripts.length,
        handlers: every.flatMap(e => [...e.attributes]).map(a => a.name).filter(n => n.startsWith("on") || n === "style"),
        resources: performance.getEntriesByType("resource").length, wide: document.documentElement.scrollWidth > innerWidth,
    };
    for (const answer of list(".critical .answer")) {
        const box = answer.closest(".drawing").getBoundingClientRect();
        seen.critical_at = (answer.getBoundingClientRect().top - box.top) / box.height;
    }
    const lanes = list("svg.body .life").map(e => e.getBoundingClientRect().left).concat(list("text.source").map(e => e.getBoundingClientRect().left).slice(0, 1));
    seen.overlaps = list(".event[role] .label, text.lane").filter(e => {
        const box = e.getBoundingClientRect();
        return lanes.some(x => x > box.left + 8 && x < box.right - 4);
    }).map(words);
    seen.longest = Math.max(0, ...list(".event[role] .label").map(e => words(e).length));
    const step = () => words(document.activeElement.querySelector(".step"));
    const events = list(".event[role]");
    if (events.length) {
        events[0].focus();
        seen.keys = [step()];
        for (const key of ["ArrowDown", "ArrowUp", "End"]) {
            document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
            seen.keys.push(step());
        }
        (events[2] || events[0]).dispatchEvent(new MouseEvent("mouseover", { bubbles: true }));
        seen.detail = document.getElementById("detail").textContent;
    }
    const box = document.getElementById("everything");
    if (box) {
        box.click();
        seen.everything = list(".event[role]").length;
        seen.hash = location.hash;
        box.click();
        seen.again = list(".event[role]").length;
    }
    setTimeout(() => {
        seen.title = document.title;
        seen.violations = violations;
        const out = document.createElement("pre");
        out.id = "probe";
        out.textContent = JSON.stringify(seen);
        document.body.append(out);
    }, 200);
});
