/* SPDX-License-Identifier: BSD-2-Clause */
/* The page of a trace: the timeline, zoomed and panned by mouse, touch and keys, and the details of what was chosen. Summary and tables are whole
 * without it. Time is in ticks since the first event; trace_report.py says what `data` holds. */
"use strict";
(() => {
    const data = JSON.parse(document.getElementById("data").textContent);
    const canvas = document.getElementById("timeline"), box = document.getElementById("box"), detail = document.getElementById("detail");
    const view = document.getElementById("view"), shown = document.getElementById("window");
    const AXIS = 22, LABEL = 17, LANE = 26, MARKS = 10, GAP = 8, CLOSEST = 20, COLOURS = 8;
    const total = Math.max(data.total, 1), count = data.start.length;
    let from = data.begin, to = data.end, exit = -1, mark = -1, only = -1;

    for (const column of [data.start, data.mark_start])     /* written as differences */
        for (let i = 1; i < column.length; i++)
            column[i] += column[i - 1];
    const ends = i => data.start[i] + Math.max(data.handler[i], 0);
    const rows = [];                                        /* of the drawing, from the top: each vCPU's exits, then the CPU's kernel events */
    let height = AXIS;
    const row = (text, h, start, end) => {
        rows.push({ text, y: height + LABEL, h, start, end, item: [] });
        height += LABEL + h + GAP;
        return rows[rows.length - 1];
    };
    const laneRow = [], markRow = new Map();
    for (const cpu of data.cpus) {
        data.lanes.forEach(([at, vcpu], lane) => { if (at === cpu) laneRow[lane] = row(`CPU ${cpu}, vCPU ${vcpu}`, LANE, i => data.start[i], ends); });
        if (data.mark_cpu.includes(cpu))
            markRow.set(cpu, row(`CPU ${cpu}, kernel`, MARKS, i => data.mark_start[i], i => data.mark_start[i]));
    }
    for (let i = 0; i < count; i++)
        laneRow[data.lane[i]].item.push(i);
    for (let i = 0; i < data.mark_start.length; i++)
        markRow.get(data.mark_cpu[i]).item.push(i);

    /* ---- Time ---- */
    const time = ticks => {
        const ns = ticks * 1e6 / data.khz;
        const [size, unit] = ns >= 1e9 ? [1e9, "s"] : ns >= 1e6 ? [1e6, "ms"] : ns >= 1e3 ? [1e3, "\u00b5s"] : [1, "ns"];
        return `${(ns / size).toLocaleString("en", { maximumSignificantDigits: 4 })} ${unit}`;
    };
    const first = (r, t) => {                               /* the first item of this row that ends at t or later */
        let low = 0, high = r.item.length;
        while (low < high) {
            const middle = low + high >> 1;
            if (r.end(r.item[middle]) < t)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    };

    /* ---- Drawing ---- */
    const pen = canvas.getContext("2d");
    let width = 0, colour = [], ink = {};
    const x = t => (t - from) / (to - from) * width;
    const dim = i => only >= 0 && data.reason[i] !== only;
    const bar = (left, right, y, h, fill) => {
        pen.fillStyle = fill;
        pen.fillRect(left, y, Math.max(right - left, 1), h);
    };
    const each = (r, low, high) => {                        /* few exits: each a bar */
        for (let k = low; k < high; k++) {
            const i = r.item[k], left = x(data.start[i]), right = x(ends(i)), text = data.reasons[data.reason[i]];
            if (data.guest[i] > 0)
                bar(Math.max(x(data.start[i] - data.guest[i]), 0), Math.min(left, width), r.y + r.h * .35, r.h * .3, ink.guest);
            pen.globalAlpha = dim(i) ? .2 : 1;
            bar(Math.max(left, 0), Math.min(right, width), r.y, r.h, colour[data.colour[data.reason[i]]]);
            const visible = Math.min(right, width) - Math.max(left, 0);
            if (visible > pen.measureText(text).width + 10) {
                pen.fillStyle = ink.paper;
                pen.fillText(text, Math.max(left, 0) + 5, r.y + r.h / 2 + 4);
            }
            pen.globalAlpha = 1;
        }
    };
    const together = (r, low, high) => {                    /* many: each pixel shows how its time is shared out, a quarter at least if there is an exit */
        const columns = Math.ceil(width), share = new Float32Array(columns * COLOURS), guest = new Uint8Array(columns);
        for (let k = low; k < high; k++) {
            const i = r.item[k], left = Math.max(x(data.start[i]), 0), right = Math.min(Math.max(x(ends(i)), left + .01), width);
            for (let c = Math.max(Math.floor(x(data.start[i] - Math.max(data.guest[i], 0))), 0); data.guest[i] > 0 && c <= left && c < columns; c++)
                guest[c] = 1;
            for (let c = Math.floor(left); !dim(i) && c < Math.min(right, columns); c++)
                share[c * COLOURS + data.colour[data.reason[i]]] += Math.min(right, c + 1) - Math.max(left, c);
        }
        for (let c = 0; c < columns; c++) {
            const parts = share.subarray(c * COLOURS, c * COLOURS + COLOURS), sum = parts.reduce((a, b) => a + b);
            if (guest[c])
                bar(c, c + 1, r.y + r.h * .35, r.h * .3, ink.guest);
            let y = r.y + r.h;
            for (let k = 0; sum > 0 && k < COLOURS; k++) {
                const h = parts[k] / sum * r.h * Math.min(Math.max(sum, .25), 1);
                y -= h;
                if (h)
                    bar(c, c + 1, y, h, colour[k]);
            }
        }
    };
    const ticks = (r, low, high) => {                       /* as high as there are many in a pixel */
        const columns = new Uint32Array(Math.ceil(width) + 1);
        for (let k = low; k < high; k++)
            columns[Math.floor(x(data.mark_start[r.item[k]]))]++;
        const most = columns.reduce((a, b) => Math.max(a, b), 3);
        columns.forEach((n, c) => n && bar(c, c + 1, r.y + r.h * (1 - n / most) * .7, r.h * (.3 + .7 * n / most), ink.soft));
    };
    const axis = () => {
        const wanted = (to - from) / Math.max(width / 110, 1) * 1e6 / data.khz, size = 10 ** Math.floor(Math.log10(wanted));
        const step = [1, 2, 5, 10].find(n => n * size >= wanted) * size * data.khz / 1e6;
        pen.textAlign = "left";
        for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
            bar(x(t), x(t) + 1, AXIS - 5, height - AXIS, ink.rule);
            pen.fillStyle = ink.soft;
            pen.fillText(time(t), x(t) + 4, AXIS - 8);
        }
    };
    const outline = (r, left, right) => {
        pen.strokeStyle = ink.ink;
        pen.lineWidth = 2;
        pen.strokeRect(left - 2, r.y - 2, Math.max(right - left, 1) + 4, r.h + 4);
    };
    const draw = () => {
        const style = getComputedStyle(document.documentElement), value = name => style.getPropertyValue(`--${name}`).trim();
        width = canvas.clientWidth;
        const scale = devicePixelRatio || 1;
        canvas.width = Math.round(width * scale);
        canvas.height = Math.round(height * scale);
        canvas.style.height = `${height}px`;
        pen.setTransform(scale, 0, 0, scale, 0, 0);
        pen.font = `12px ${value("serif")}`;
        colour = [...Array(COLOURS).keys()].map(k => value(`r${k}`));
        ink = Object.fromEntries(["ink", "soft", "rule", "paper", "guest"].map(name => [name, value(name)]));
        axis();
        let visible = 0;
        for (const r of rows) {
            const low = first(r, from), last = first(r, to), high = Math.min(last + 1, r.item.length);
            pen.fillStyle = ink.soft;
            pen.fillText(r.text, 0, r.y - 5);
            if (r.h === MARKS)
                ticks(r, low, high);
            else {
                (high - low > width / 3 ? together : each)(r, low, high);
                visible += r.item.slice(low, high).filter(i => data.start[i] <= to && !dim(i)).length;
            }
        }
        if (exit >= 0)
            outline(laneRow[data.lane[exit]], x(data.start[exit]), x(ends(exit)));
        if (mark >= 0)
            outline(markRow.get(data.mark_cpu[mark]), x(data.mark_start[mark]), x(data.mark_start[mark]));
        const what = only >= 0 ? ` ${data.reasons[only]}` : "";
        view.textContent = `${time(from)} to ${time(to)}: ${visible.toLocaleString("en")} of ${count.toLocaleString("en")}${what} exits`;
        canvas.dataset.from = from;
        canvas.dataset.to = to;
        if (shown) {
            const part = t => Math.min(Math.max((t - data.begin) / (data.end - data.begin), 0), 1) * 1000;
            shown.setAttribute("x", part(from));
            shown.setAttribute("width", Math.max(part(to) - part(from), 1));
            shown.classList.toggle("whole", from <= data.begin && to >= data.end);
        }
    };
    let waiting = false;
    const redraw = () => {
        if (!waiting)
            requestAnimationFrame(() => { waiting = false; draw(); });
        waiting = true;
    };
    const show = (a, b) => {
        const span = Math.min(Math.max(b - a, Math.min(CLOSEST, total)), total);
        from = Math.min(Math.max((a + b - span) / 2, 0), total - span);
        to = from + span;
        redraw();
    };
    const zoom = (factor, centre = (from + to) / 2) => show(centre - (centre - from) * factor, centre + (to - centre) * factor);
    const pan = share => {
        const by = Math.min(Math.max((to - from) * share, -from), total - to);
        show(from + by, to + by);
    };

    /* ---- Details ---- */
    const element = (tag, text, ...inside) => {
        const made = document.createElement(tag);
        if (text !== null)
            made.textContent = text;
        made.append(...inside);
        return made;
    };
    const facts = pairs => {
        const list = element("dl", null, ...pairs.filter(([, value]) => value !== "").map(([name, value]) => element("div", null, element("dt", name), element("dd", value))));
        list.className = "facts";
        return list;
    };
    const table = (name, text) => text ? [element("table", null, element("caption", name), element("tbody", null, ...text.split("\n").map(line =>
        element("tr", null, ...line.split("\t").map(cell => element("td", cell))))))] : [];
    const choose = (e, m) => {
        exit = e;
        mark = m;
        redraw();
        if (mark >= 0)
            detail.replaceChildren(element("h3", `Kernel event on CPU ${data.mark_cpu[mark]}`), facts([["at", time(data.mark_start[mark])], ["what", data.text[data.mark_text[mark]]]]));
        if (exit < 0)
            return;
        const [cpu, vcpu] = data.lanes[data.lane[exit]], n = data.number[exit];
        const lists = element("div", null, ...table("Changed since the entry", data.text[data.changes[exit]]), ...table("Taken from outside", data.text[data.values[exit]]),
                              ...table("Answer of the VMM", data.text[data.answer[exit]]));
        lists.className = "lists";
        detail.replaceChildren(element("h3", `Exit ${n} of vCPU ${vcpu}: ${data.reasons[data.reason[exit]]}`),
            facts([["details", data.text[data.details[exit]]], ["rip", data.text[data.rip[exit]]], ["at", time(data.start[exit])],
                   ["handler took", data.handler[exit] < 0 ? "no entry follows" : time(data.handler[exit])], ["guest ran before", data.guest[exit] < 0 ? "" : time(data.guest[exit])],
                   ["CPU", String(cpu)]]), lists, element("p", "Everything of it: ", element("code", `${data.command} --vcpu ${vcpu} --from ${n} --to ${n}`)));
        history.replaceState(null, "", `#exit-${vcpu}-${n}`);
    };
    const reveal = i => {                                   /* choose an exit and have it in sight */
        const span = to - from, long = Math.max(ends(i) - data.start[i], 1), pixels = long / span * width;
        if (pixels < 3 || pixels > width * .8)
            show(data.start[i] - (pixels < 3 ? 40 : 1) * long, ends(i) + (pixels < 3 ? 40 : 1) * long);
        else if (data.start[i] < from || ends(i) > to)
            show((data.start[i] + ends(i) - span) / 2, (data.start[i] + ends(i) + span) / 2);
        choose(i, -1);
        const r = laneRow[data.lane[i]];
        if (r.y < box.scrollTop || r.y + r.h > box.scrollTop + box.clientHeight)
            box.scrollTop = r.y - LABEL;
    };
    const next = by => {
        const from_exit = exit >= 0 ? exit : by > 0 ? -1 : count, lane = exit >= 0 ? data.lane[exit] : -1;
        for (let i = from_exit + by; i >= 0 && i < count; i += by)
            if ((lane < 0 || data.lane[i] === lane) && !dim(i))
                return reveal(i);
    };
    const pick = (px, py) => {
        const t = from + px / width * (to - from), r = rows.find(each => py >= each.y - LABEL && py <= each.y + each.h + GAP);
        if (!r || !r.item.length)
            return;
        const half = (to - from) / width / 2;
        let best = -1, score = Infinity;                    /* of what shares the pixel the longest, else the nearest */
        for (let k = Math.max(first(r, t - half) - 1, 0); k < r.item.length; k++) {
            const i = r.item[k], gap = Math.max(r.start(i) - t - half, t - half - r.end(i), 0), now = gap || r.start(i) - r.end(i);
            if (now < score && !(r.h === LANE && dim(i)))
                [best, score] = [i, now];
            if (r.start(i) > t + half)
                break;
        }
        if (best >= 0)
            r.h === MARKS ? choose(-1, best) : choose(best, -1);
    };

    /* ---- Mouse, touch, keys, buttons ---- */
    const fingers = new Map();
    let moved = 0;
    const place = e => [e.clientX - canvas.getBoundingClientRect().left, e.clientY - canvas.getBoundingClientRect().top];
    const spread = () => { const [a, b] = [...fingers.values()].map(([px]) => px); return [Math.max(Math.abs(a - b), 8), (a + b) / 2]; };
    canvas.addEventListener("pointerdown", e => {
        fingers.set(e.pointerId, place(e));
        moved = fingers.size > 1 ? Infinity : 0;
        canvas.setPointerCapture?.(e.pointerId);
    });
    canvas.addEventListener("pointermove", e => {
        if (!fingers.has(e.pointerId))
            return;
        const before = fingers.get(e.pointerId), now = place(e), wide = fingers.size === 2 ? spread() : null;
        fingers.set(e.pointerId, now);
        moved += Math.abs(now[0] - before[0]);
        if (wide)
            zoom(wide[0] / spread()[0], from + spread()[1] / width * (to - from));
        else if (moved > 4) {
            canvas.classList.add("drag");
            pan((before[0] - now[0]) / width);
        }
    });
    for (const kind of ["pointerup", "pointercancel"])
        canvas.addEventListener(kind, e => {
            if (kind === "pointerup" && fingers.has(e.pointerId) && moved <= 4)
                pick(...place(e));
            fingers.delete(e.pointerId);
            canvas.classList.remove("drag");
        });
    canvas.addEventListener("dblclick", e => zoom(.25, from + place(e)[0] / width * (to - from)));
    canvas.addEventListener("wheel", e => {
        if (e.ctrlKey || e.metaKey)
            zoom(Math.exp(Math.min(Math.max(e.deltaY, -60), 60) / 150), from + place(e)[0] / width * (to - from));
        else if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY))
            pan((e.deltaX || e.deltaY) / width);
        else
            return;
        e.preventDefault();
    }, { passive: false });
    const act = { in: () => zoom(.5), out: () => zoom(2), whole: () => show(data.begin, data.end), left: () => pan(-.2), right: () => pan(.2), previous: () => next(-1), next: () => next(1) };
    const keys = { "+": "in", "=": "in", w: "in", "-": "out", s: "out", "0": "whole", Home: "whole", ArrowLeft: "left", a: "left", ArrowRight: "right", d: "right", p: "previous", n: "next" };
    canvas.addEventListener("keydown", e => {
        if (!keys[e.key] || e.ctrlKey || e.metaKey || e.altKey)
            return;
        e.preventDefault();
        act[keys[e.key]]();
    });
    for (const button of document.querySelectorAll("button[data-act]"))
        button.addEventListener("click", () => act[button.dataset.act]());
    for (const button of document.querySelectorAll("button[data-exit]"))
        button.addEventListener("click", () => {
            reveal(Number(button.dataset.exit));
            canvas.scrollIntoView({ block: "nearest" });
        });
    for (const button of document.querySelectorAll("button[data-reason]"))
        button.addEventListener("click", () => {
            only = only === Number(button.dataset.reason) ? -1 : Number(button.dataset.reason);
            for (const other of document.querySelectorAll("button[data-reason]")) {
                other.setAttribute("aria-pressed", String(Number(other.dataset.reason) === only));
                other.closest("tr").classList.toggle("off", only >= 0 && Number(other.dataset.reason) !== only);
            }
            redraw();
        });
    const follow = () => {
        const [, vcpu, n] = location.hash.match(/^#exit-(\d+)-(\d+)$/) || [];
        const found = vcpu === undefined ? -1 : data.number.findIndex((number, i) => number === Number(n) && data.lanes[data.lane[i]][1] === Number(vcpu));
        if (found >= 0)
            reveal(found);
    };
    addEventListener("hashchange", follow);
    new ResizeObserver(redraw).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    draw();
    follow();
})();
