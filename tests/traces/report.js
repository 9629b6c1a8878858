/* SPDX-License-Identifier: BSD-2-Clause */
/* Added to the page of a trace under test: uses it as a reader would and leaves what it saw, as JSON, in an element of its own. */
"use strict";
window.requestAnimationFrame = draw => setTimeout(draw, 1);   /* nobody looks: there are no frames */
let violations = 0;
const errors = [];
document.addEventListener("securitypolicyviolation", () => { violations++; });
addEventListener("error", e => { errors.push(String(e.message)); });
addEventListener("load", async () => {
    const words = e => e.textContent.trim().replace(/\s+/g, " ");
    const list = selector => [...document.querySelectorAll(selector)];
    const frame = () => new Promise(done => { requestAnimationFrame(() => requestAnimationFrame(done)); });
    const canvas = document.getElementById("timeline"), detail = document.getElementById("detail"), view = document.getElementById("view");
    const seen = { title: document.title, h1: words(document.querySelector("h1")), scripts: document.scripts.length, every: [...new Set(list("*").map(e => e.localName))].sort(),
                   handlers: list("*").flatMap(e => [...e.attributes]).map(a => a.name).filter(n => n.startsWith("on")).length + list("[style]").filter(e => e !== canvas).length,
                   facts: list("main > .facts div").map(e => [words(e.querySelector("dt")), words(e.querySelector("dd"))]), warnings: list(".warning").map(words),
                   reasons: list("button[data-reason]").map(b => [words(b), words(b.closest("tr").querySelector(".count"))]),
                   wide: document.documentElement.scrollWidth > innerWidth, start: location.hash };
    if (canvas) {
        const data = JSON.parse(document.getElementById("data").textContent), start = [];
        data.start.reduce((at, by, i) => (start[i] = at + by), 0);
        const picture = () => canvas.toDataURL();
        const range = () => [Number(canvas.dataset.from), Number(canvas.dataset.to)];
        const press = key => canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
        const act = name => document.querySelector(`button[data-act="${name}"]`).click();
        const point = (kind, x, y, more) => { const box = canvas.getBoundingClientRect(); canvas.dispatchEvent(new PointerEvent(kind, { pointerId: 1, clientX: box.left + x, clientY: box.top + y, bubbles: true, ...more })); };
        const click = (x, y) => { point("pointerdown", x, y); point("pointerup", x, y); };
        const heading = () => words(detail.querySelector("h3") || detail);
        const state = () => ({ range: range(), picture: picture(), text: words(view) });
        seen.steps = {};
        const settled = async () => { for (let last = ""; last !== picture();) { last = picture(); await frame(); } };   /* a page that grows draws again */
        const step = async (name, what) => { what(); await frame(); await settled(); seen.steps[name] = { ...state(), heading: heading(), hash: location.hash }; };
        await step("begin", () => {});
        await step("in", () => act("in"));
        await step("key out", () => press("-"));
        await step("key in", () => press("+"));
        await step("right", () => press("ArrowRight"));
        await step("wheel", () => canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: -60, ctrlKey: true, bubbles: true, cancelable: true })));
        await step("drag", () => { point("pointerdown", 300, 50); point("pointermove", 200, 50); point("pointerup", 200, 50); });
        await step("whole", () => press("0"));
        await step("only", () => list("button[data-reason]")[0].click());
        await step("all reasons", () => list("button[data-reason]")[0].click());
        /* A click on the middle of an exit, in every lane: which are chosen? */
        seen.clicks = [];
        for (const i of [0, Math.floor(data.start.length / 2), data.start.length - 1]) {
            location.hash = `#exit-${data.lanes[data.lane[i]][1]}-${data.number[i]}`;
            await frame();
            await frame();
            const [from, to] = range(), x = (start[i] + Math.max(data.handler[i], 0) / 2 - from) / (to - from) * canvas.clientWidth, found = new Set();
            for (let y = 24; y < canvas.clientHeight; y += 4) {
                click(x, y);
                found.add(heading());
            }
            seen.clicks.push({ wanted: `Exit ${data.number[i]} of vCPU ${data.lanes[data.lane[i]][1]}: ${data.reasons[data.reason[i]]}`, found: [...found] });
        }
        location.hash = `#exit-${data.lanes[data.lane[0]][1]}-${data.number[0]}`;
        await frame();
        await step("n", () => press("n"));
        await step("p", () => press("p"));
        const slow = list("section:last-of-type button[data-exit]")[0];
        if (slow) {
            await step("slowest", () => slow.click());
            seen.slowest = [...slow.closest("tr").cells].map(words);
        }
        seen.detail = words(detail);
        seen.block = data;
    }
    seen.resources = performance.getEntriesByType("resource").length;
    seen.violations = violations;
    seen.errors = errors;
    const out = document.createElement("pre");
    out.id = "probe";
    out.textContent = JSON.stringify(seen);
    document.body.append(out);
});
