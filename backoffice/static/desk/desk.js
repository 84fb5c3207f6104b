"use strict";
// Comfort only: every page works without it. "/" focuses the search box, ids can be copied, and a
// page of an open order says when there is news. It never reloads by itself.

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

const bar = document.getElementById("fresh");
if (bar) {
    const timer = setInterval(async () => {
        if (document.visibilityState !== "visible") return;
        const answer = await fetch(bar.dataset.url, { redirect: "manual" }).catch(() => null);
        // Logged out, or no longer allowed: asking again will not help. A network that is away comes back.
        if (answer && (answer.type === "opaqueredirect" || answer.status === 403)) clearInterval(timer);
        if (!answer || !answer.ok) return;
        const news = (await answer.json()).version - Number(bar.dataset.version);
        if (news <= 0) return;
        bar.querySelector("span").textContent = bar.dataset.words ?? (news === 1 ? "1 new event." : `${news} new events.`);
        bar.hidden = false;
    }, 15000);
}
