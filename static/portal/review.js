// The review page and the page of an action item: dialogs, sections that lose nothing that was typed.
(() => {
  "use strict";
  const root = document.getElementById("review");
  const dialog = document.getElementById("dialog");
  const place = document.getElementById("dialog-place");
  const toast = window.portalToast;

  // --- dialogs: links work without scripts; with them their form opens in place ---
  let opener = null;
  root.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      opener = link.id;
      place.replaceChildren();
      await htmx.ajax("GET", link.href, { source: place, target: place, swap: "innerHTML" });
      if (!place.firstElementChild) return;
      dialog.showModal();
      place.querySelector("input:not([type=hidden]), select, textarea, button[type=submit], [data-closes]")?.focus();
      return;
    }
    const close = event.target.closest("#dialog [data-closes]");
    if (close) { event.preventDefault(); dialog.close(); return; }
    if (event.target === dialog) dialog.close(); // a click on the backdrop
  });
  dialog.addEventListener("close", () => {
    place.replaceChildren();
    (document.getElementById(opener || "") || document.getElementById("next-title"))?.focus();
  });
  // Only the dialog's own form closes it: the late answer of another button must not take away what is typed in it.
  document.body.addEventListener("portal:acted", (event) => { if (dialog.open && dialog.contains(event.detail.elt)) dialog.close(); });

  // --- what is typed is kept in this tab until it is saved ---
  const key = (form) => `portal-review-draft-${form.dataset.editor}`;
  const box = (form) => form.querySelector("textarea[name=text]");
  const keep = (name, text) => { try { sessionStorage.setItem(name, text); } catch { /* storage is full or off */ } };
  const editors = () => [...root.querySelectorAll("form[data-editor]")];
  const isDirty = (form) => box(form).value !== box(form).defaultValue;

  const begin = (form) => {
    if (form.dataset.begun) return;
    form.dataset.begun = "1";
    const kept = sessionStorage.getItem(key(form));
    const note = form.querySelector("[data-draft]");
    if (kept !== null && kept !== box(form).value) {
      note.hidden = false;
      note.querySelector("[data-draft-take]").addEventListener("click", () => {
        box(form).value = kept;
        note.hidden = true;
        box(form).dispatchEvent(new Event("input", { bubbles: true }));
        box(form).focus();
      });
      note.querySelector("[data-draft-drop]").addEventListener("click", () => {
        sessionStorage.removeItem(key(form));
        note.hidden = true;
        box(form).focus();
      });
    }
  };
  root.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-editor]");
    if (form && event.target === box(form)) keep(key(form), box(form).value);
  });
  root.addEventListener("keydown", (event) => {
    const form = event.target.closest("form[data-editor]");
    if (form && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit(form.querySelector("[data-save]"));
    }
  });
  window.addEventListener("beforeunload", (event) => { if (editors().some(isDirty)) event.preventDefault(); });

  document.body.addEventListener("htmx:afterSettle", () => editors().forEach(begin));
  document.body.addEventListener("portal:saved", (event) => {
    sessionStorage.removeItem(`portal-review-draft-${event.detail.section}`);
  });
  // The focus stays where the work is: on the button of the section that was just closed.
  document.body.addEventListener("htmx:afterSwap", (event) => {
    const section = event.detail.elt;
    if (!section?.matches?.("[data-section]") || section.querySelector("form[data-editor]")) return;
    section.querySelector("a[role=button]")?.focus({ preventScroll: true });
  });

  // --- what goes wrong is told, and nothing that was typed is replaced by it ---
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (!event.detail.xhr.responseURL.includes("/login/")) return;
    event.detail.shouldSwap = false;
    toast("You are logged out. Log in again in another tab, then reload this one: what you typed is kept here.");
  });
  document.body.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    if (status === 404) toast("It is not there any more, or you may not see it any more. What you typed is kept.");
    else if (status === 403) toast("Refused: perhaps you logged in anew. Reload the page: what you typed is kept.");
    else toast("The portal could not do it. What you typed is kept: try again.");
  });
  document.body.addEventListener("htmx:sendError", () => toast("The portal can't be reached. What you typed is kept: try again."));

  editors().forEach(begin);
})();
