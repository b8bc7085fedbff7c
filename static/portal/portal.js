// Clocks and relative times of every page. Loaded on all pages by Unfold; works on what htmx brings in later too.
(() => {
  "use strict";
  const MINUTE = 60, HOUR = 3600, DAY = 86400;

  // The same as clock_text() and ago_text() in apps/incidents/admin/showing.py.
  const clockText = (seconds) => {
    const size = Math.abs(Math.trunc(seconds));
    if (size >= 2 * DAY) return `${Math.floor(size / DAY)}d ${Math.floor((size % DAY) / HOUR)}h`;
    const two = (value) => String(value).padStart(2, "0");
    const hours = Math.floor(size / HOUR), minutes = Math.floor((size % HOUR) / MINUTE), left = size % MINUTE;
    return hours ? `${hours}:${two(minutes)}:${two(left)}` : `${minutes}:${two(left)}`;
  };
  const agoText = (seconds) => {
    const size = Math.abs(Math.trunc(seconds));
    if (size < MINUTE) return seconds >= 0 ? "just now" : "in a moment";
    for (const [unit, length] of [["d", DAY], ["h", HOUR], ["min", MINUTE]]) {
      if (size >= length) return seconds > 0 ? `${Math.floor(size / length)} ${unit} ago` : `in ${Math.floor(size / length)} ${unit}`;
    }
    return "";
  };

  // The server's clock rules: a wrong clock of this machine must not show a wrong countdown.
  let skew = 0;
  const now = () => Date.now() + skew;
  const learn = (header) => {
    const at = Date.parse(header || "");
    if (!Number.isNaN(at) && Math.abs(at - Date.now()) > 2000) skew = at - Date.now();
  };

  const tick = () => {
    if (document.hidden) return;
    const at = now();
    for (const clock of document.querySelectorAll("[data-clock]")) {
      const seconds = (at - Date.parse(clock.dataset.at)) / 1000;
      clock.textContent = clock.dataset.clock === "down" && seconds > 0 && clock.closest(".ip-steps, dd") ? "now" : clockText(seconds);
      if (clock.dataset.clock === "down" && seconds > 0) clock.closest(".ip-clock__value")?.classList.add("ip-danger");
    }
  };
  const tickSlowly = () => {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      time.textContent = agoText((now() - Date.parse(time.dateTime)) / 1000);
    }
  };

  // What Unfold's markup leaves out for those who don't use a mouse: landmarks, and toggles that are only spans.
  const makeReachable = () => {
    document.getElementById("main")?.setAttribute("role", "main");
    for (const toggle of document.querySelectorAll('span[x-on\\:click*="sidebarMobileOpen"], span[x-on\\:click*="sidebarDesktopOpen"]')) {
      toggle.setAttribute("role", "button");
      toggle.setAttribute("tabindex", "0");
      toggle.setAttribute("aria-label", "Show or hide the sidebar");
      toggle.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        toggle.click();
      });
    }
  };
  // A link that looks and speaks like a button is pressed like one.
  document.addEventListener("keydown", (event) => {
    if (event.key === " " && event.target.matches?.("a[role=button]")) { event.preventDefault(); event.target.click(); }
  });
  // SimpleBar calls all its regions the same.
  window.addEventListener("load", () => {
    document.querySelectorAll(".simplebar-content-wrapper").forEach((region, place) => {
      const name = region.closest("#nav-sidebar-apps") ? "Pages of the portal" : `Scrollable content ${place}`;
      region.setAttribute("aria-label", name);
    });
  });

  document.addEventListener("DOMContentLoaded", () => {
    makeReachable();
    tick();
    setInterval(tick, 1000);
    setInterval(tickSlowly, 20000);
    document.addEventListener("visibilitychange", () => { tick(); tickSlowly(); });
    document.body.addEventListener("htmx:afterOnLoad", (event) => learn(event.detail.xhr.getResponseHeader("Date")));
    document.body.addEventListener("htmx:afterSettle", tick);
  });

  window.portal = { clockText, agoText, tick };
})();
