// Keys that work on every page, the colour scheme, and small things no server is needed for.

const GO = { l: "/", c: "/calls", h: "/charts", i: "/lines", t: "/tools" };
let leading = 0;

function typing(target) {
  return target instanceof HTMLElement
    && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "/") {
    document.querySelector(".find input")?.focus();
    event.preventDefault();
  } else if (event.key === "?") {
    const keys = document.querySelector("dialog.keys");
    if (keys) keys.open ? keys.close() : keys.showModal();
  } else if (event.key === "g") {
    leading = Date.now();
  } else if (GO[event.key] && Date.now() - leading < 1200) {
    location.href = GO[event.key];
  } else {
    leading = 0;
  }
});

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-act]");
  if (button?.dataset.act === "keys") document.querySelector("dialog.keys")?.showModal();
  if (button?.dataset.act === "scheme") {
    const dark = !document.body.classList.contains("body--dark");
    document.cookie = `vita_scheme=${dark ? "dark" : "light"}; path=/; max-age=31536000; samesite=lax`;
    Quasar.Dark.set(dark);
    window.dispatchEvent(new CustomEvent("scheme", { detail: dark }));
  }
  document.querySelectorAll("details.menu[open]").forEach((menu) => {
    if (!menu.contains(event.target) || button) menu.open = false;
  });
  if (event.target instanceof HTMLDialogElement) event.target.close();
});

// Ages that run: <time data-since="ISO date">
setInterval(() => {
  document.querySelectorAll("[data-since]").forEach((element) => {
    const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(element.dataset.since)) / 1000));
    const minutes = Math.floor(seconds / 60);
    const text = minutes >= 60
      ? `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${String(seconds % 60).padStart(2, "0")}`
      : `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
    if (element.textContent !== text) element.textContent = text;
  });
}, 500);

// A running transcript stays at its end while its end is looked at.
let atEnd = true;
addEventListener("scroll", () => {
  atEnd = innerHeight + scrollY > document.documentElement.scrollHeight - 160;
}, { passive: true });
new MutationObserver((changes) => {
  const live = document.querySelector(".transcript.live");
  if (live && atEnd && changes.some((change) => live.contains(change.target))) {
    scrollTo({ top: document.documentElement.scrollHeight, behavior: "smooth" });
  }
}).observe(document.body, { childList: true, subtree: true });

// The line a search has found.
window.vitaFound = (id) => setTimeout(() => {
  const line = document.getElementById(id);
  line?.classList.add("found");
  line?.scrollIntoView({ block: "center" });
}, 250);
