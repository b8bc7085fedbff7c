// Home: fetch the page's live part again whenever the shared stream says that something changed.
(() => {
  "use strict";
  const root = document.getElementById("home-live");
  const announcer = document.getElementById("home-announcer");
  let headline = root.firstElementChild.dataset.headline;
  const changed = async () => {
    await htmx.ajax("GET", root.dataset.live, { target: root, swap: "innerHTML" });
    const fresh = root.firstElementChild.dataset.headline;
    if (fresh !== headline) announcer.textContent = headline = fresh;
  };
  const page = window.portalStream(root, () => "", changed);
  // Who is on call and the portal's health change without an incident changing.
  setInterval(() => { if (!document.hidden) page.refresh(); }, 30000);
})();
