"use strict";
// Comfort only: every page works without it. Nothing is reloaded or sent by itself. Five subjects:
// the search box and ids, menus, links into a long history, times that tick, and news of a page.

// "/" focuses the search box.
const field = document.getElementById("find-field");
const key = document.getElementById("find-key");
const isOff = () => localStorage.getItem("desk.slash") === "off";

if (field && key) {
    const show = () => key.setAttribute("aria-pressed", String(!isOff()));
    key.hidden = false;
    show();
    key.addEventListener("click", () => {
        localStorage.setItem("desk.slash", isOff() ? "on" : "off");
        show();
    });
    document.addEventListener("keydown", (event) => {
        const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
        if (event.key !== "/" || isTyping || isOff() || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        field.focus();
        field.select();
    });
}

// Ids can be copied.
if (navigator.clipboard) {
    for (const id of document.querySelectorAll(".head h1, .facts .id[title]")) {
        const text = id.title || id.textContent.trim();
        if (!/^[0-9a-f-]{36}$/.test(text)) continue;
        const button = document.createElement("button");
        const show = (icon, words) => {
            button.innerHTML = `<svg class="icon" aria-hidden="true"><use href="#i-${icon}"/></svg>`;
            button.ariaLabel = button.title = words;
        };
        button.type = "button";
        button.className = "copy";
        show("copy", `Copy ${text}`);
        button.addEventListener("click", async () => {
            await navigator.clipboard.writeText(text);
            show("copied", "Copied");
            setTimeout(() => show("copy", `Copy ${text}`), 2000);
        });
        (id.closest("a") || id).after(button);
    }
}

// Menus close with Escape, which leaves the focus on them, and with a click beside them.
const openMenus = () => document.querySelectorAll("details:is(.chip, .menu)[open]");
document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of openMenus()) {
        if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
        menu.open = false;
    }
});
document.addEventListener("click", (event) => {
    for (const menu of openMenus()) if (!menu.contains(event.target)) menu.open = false;
});

// A link to an entry that another page of a long history has leads there.
const entry = /^#entry-(\d+)$/.exec(location.hash)?.[1];
const isElsewhere = entry && document.querySelector("#history .pages") && !document.getElementById(`entry-${entry}`);
if (isElsewhere && !location.search.includes("entry=")) location.replace(`?entry=${entry}${location.hash}`);

// Times tick, by the server's clock and in its words: see relative() and due() of templatetags/desk.py
// and timeline/durations.py.
const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const made = document.getElementById("as-of");
const ahead = made ? Date.parse(made.dateTime) - Date.now() : 0;
const now = () => Date.now() + ahead;
const whole = (time, unit) => Math.floor(time / unit);
const duration = (time) => {
    const seconds = whole(time, SECOND) % 60, minutes = whole(time, MINUTE) % 60, hours = whole(time, HOUR) % 24;
    if (time >= DAY) return `${whole(time, DAY)} d${hours ? ` ${hours} h` : ""}`;
    if (time >= HOUR) return `${hours} h${minutes ? ` ${String(minutes).padStart(2, "0")} min` : ""}`;
    if (time < MINUTE) return `${seconds} s`;
    return `${minutes} min${seconds && minutes < 10 ? ` ${String(seconds).padStart(2, "0")} s` : ""}`;
};
const inMinutes = (time) => duration(time < MINUTE ? time : whole(time, MINUTE) * MINUTE);
const relative = (past) => {
    if (past >= 0 && past < 5 * SECOND) return "just now";
    return past > 0 ? `${inMinutes(past)} ago` : `in ${inMinutes(Math.ceil(-past / SECOND) * SECOND)}`;
};
const telling = {
    ago: relative,
    due: (past) => (past < 0 ? relative(past) : past < 5 * SECOND ? "now" : `overdue ${duration(past)}`),
    since: duration,
};
const tick = () => {
    for (const time of document.querySelectorAll("time[data-tick]")) {
        const past = now() - Date.parse(time.dateTime), words = telling[time.dataset.tick](past);
        if (time.textContent !== words) time.textContent = words;
        if (time.dataset.tick === "due") time.classList.toggle("late", past >= 5 * SECOND);
    }
};
setInterval(tick, SECOND);

// A page says when there is news of it, when the desk cannot be reached, and when the session has ended.
const bar = document.getElementById("fresh");
const EVERY = 15 * SECOND, LONGEST = 2 * MINUTE;
if (bar) {
    let wait = EVERY, next = 0, lostAt = null, isOver = false;
    const clock = (moment) => {
        const offset = Number(document.body.dataset.adminUtcOffset) * SECOND;
        return new Date(moment + offset).toISOString().slice(11, 16);
    };
    const say = (words, link = "Show") => {
        bar.querySelector("span").textContent = words;
        bar.querySelector("a").textContent = link;
        bar.hidden = !words;
    };
    const news = (version) => {
        const count = Number(version) - Number(bar.dataset.version);
        return bar.dataset.words ?? (count === 1 ? "1 new event." : `${count} new events.`);
    };
    const hear = async (answer) => {
        if (!answer || answer.status >= 500) {
            lostAt ??= now();
            wait = Math.min(2 * wait, LONGEST);
            return say(`Cannot reach the desk since ${clock(lostAt)}.`, "Try again");
        }
        lostAt = null;
        wait = EVERY;
        isOver = answer.type === "opaqueredirect" || answer.status === 403;
        if (answer.type === "opaqueredirect") return say("Your session has ended.", "Log in again");
        if (answer.status === 403) return say("You may not see this page any more.", "Reload");
        if (!answer.ok) return say("");
        const { version } = await answer.json();
        say(String(version) === bar.dataset.version ? "" : news(version));
    };
    const ask = async () => {
        if (isOver || document.visibilityState !== "visible" || Date.now() < next) return;
        next = Infinity; // until this one is answered
        await hear(await fetch(bar.dataset.url, { redirect: "manual" }).catch(() => null));
        next = Date.now() + wait - SECOND;
    };
    setInterval(ask, EVERY);
    document.addEventListener("visibilitychange", () => { tick(); ask(); });
}
