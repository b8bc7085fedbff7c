// The command page: live regions, the timeline that follows its end, dialogs, and the composer.
(() => {
  "use strict";
  const root = document.getElementById("command");
  const timeline = document.getElementById("timeline");
  const list = document.getElementById("timeline-list");
  const jump = document.getElementById("timeline-jump");
  const announcer = document.getElementById("announcer");
  const composer = document.getElementById("composer");
  const title = document.title;
  const toast = window.portalToast;
  let unseen = 0;

  const lastSeq = () => list.lastElementChild?.dataset.seq || "0";

  // --- the timeline follows its end unless one has scrolled up ---
  const scrolls = () => timeline.scrollHeight > timeline.clientHeight + 4 && getComputedStyle(timeline).overflowY !== "visible";
  const atEnd = () => !scrolls() || timeline.scrollHeight - timeline.scrollTop - timeline.clientHeight < 80;
  const toEnd = () => { timeline.scrollTop = timeline.scrollHeight; jump.hidden = true; };
  jump.addEventListener("click", () => { toEnd(); timeline.focus({ preventScroll: true }); });
  timeline.addEventListener("scroll", () => { if (atEnd()) jump.hidden = true; }, { passive: true });
  timeline.style.scrollBehavior = "auto";
  toEnd();
  timeline.style.scrollBehavior = "";

  let followed = true;
  document.body.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target, fragment } = event.detail;
    if (target === list) {
      followed = atEnd();
      for (const item of [...fragment.querySelectorAll("[data-seq]")]) {
        if (document.getElementById(item.id)) item.remove();
        else item.querySelector(".ip-entry").classList.add("ip-entry--new");
      }
      return;
    }
    // Nobody loses what they are typing or a form they have open in a region that is shown anew.
    const active = document.activeElement;
    if (target && target.contains(active) && active.matches("input:not([type=hidden]), textarea, select")) event.detail.shouldSwap = false;
  });
  document.body.addEventListener("htmx:oobAfterSwap", (event) => {
    if (event.detail.target !== list) return;
    const fresh = [...list.querySelectorAll(".ip-entry--new")].filter((entry) => !entry.dataset.told);
    for (const entry of fresh) entry.dataset.told = "1";
    if (!fresh.length) return;
    announcer.textContent = fresh.map((entry) => entry.innerText.replace(/\s+/g, " ")).join(". ");
    if (followed) toEnd(); else jump.hidden = false;
    if (document.hidden) { unseen += fresh.length; document.title = `(${unseen}) ${title}`; }
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { unseen = 0; document.title = title; } });

  // Every request says up to where this page knows the timeline, and gets only what came after.
  document.body.addEventListener("htmx:configRequest", (event) => { event.detail.parameters.after = lastSeq(); });

  // --- live ---
  const changed = () => htmx.ajax("GET", root.dataset.live, { source: root, swap: "none" });
  const page = window.portalStream(root, lastSeq, changed);
  document.body.addEventListener("htmx:responseError", (event) => {
    if ([401, 403, 404].includes(event.detail.xhr.status)) window.location.reload();
    else toast("The portal did not answer. Nothing may have happened: look at the timeline, then try again.");
  });
  document.body.addEventListener("htmx:sendError", () => toast("The portal can't be reached. What you typed is kept."));

  // --- dialogs: links work without scripts; with them they open in place ---
  let opener = null;
  root.addEventListener("click", (event) => {
    const link = event.target.closest("[data-opens]");
    if (link) {
      const dialog = document.getElementById(`dialog-${link.dataset.opens}`);
      if (!dialog) return;
      event.preventDefault();
      const role = dialog.querySelector("[data-role-field]");
      if (role && link.dataset.role) role.value = link.dataset.role;
      opener = link.id;
      if (dialog.open) dialog.close();
      dialog.showModal();
      dialog.querySelector("select, input:not([type=hidden]), textarea, button")?.focus();
      return;
    }
    const close = event.target.closest("[data-closes]");
    if (close) { event.preventDefault(); close.closest("dialog").close(); return; }
    if (event.target.matches("dialog.ip-dialog")) event.target.close(); // a click on the backdrop
  });
  for (const dialog of root.querySelectorAll("dialog")) {
    dialog.addEventListener("close", () => document.getElementById(opener || "")?.focus());
  }

  // --- after a button: only its own form is done with; another dialog, or a text typed since, stays ---
  const sent = new WeakMap();
  document.body.addEventListener("htmx:beforeRequest", (event) => { if (event.detail.elt === composer) sent.set(composer, composer.elements.text.value); });
  document.body.addEventListener("portal:acted", (event) => {
    const { verb, done, elt } = event.detail;
    if (!done) return;
    const form = elt?.closest?.("form");
    const dialog = form?.closest("dialog");
    if (dialog) { if (dialog.open) dialog.close(); form.reset(); }
    if (verb === "post" && form === composer && composer.elements.text.value === sent.get(composer)) {
      composer.elements.text.value = "";
      if (!document.querySelector("dialog[open]")) composer.elements.text.focus({ preventScroll: true });
      toEnd();
    }
  });
  composer?.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); composer.requestSubmit(); }
  });

  window.portalPage = page;
})();
