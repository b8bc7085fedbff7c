// Questions before a deed as dialogs, folds that stay open, and the page of an execution that follows its work.
(() => {
  "use strict";
  if (window.portalRunbooks) return;
  window.portalRunbooks = true;

  // --- questions: a link works without scripts; with them it opens in place ---
  const place = () => document.getElementById("command") || document.querySelector("[data-asks]");
  let opener = "";

  const open = (html) => {
    const dialog = document.createElement("dialog");
    dialog.className = "ip-dialog p-runbooks-dialog";
    dialog.setAttribute("aria-labelledby", "ask-title");
    dialog.innerHTML = html;
    dialog.addEventListener("close", () => {
      dialog.remove();
      document.getElementById(opener)?.focus();
    });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    place().append(dialog);
    htmx.process(dialog);
    dialog.showModal();
    dialog.querySelector("input:not([type=hidden]), textarea, button")?.focus();
  };

  let asking = false;
  const ask = async (link) => {
    if (asking) return;
    asking = true;
    opener = link.id;
    try {
      const answer = await fetch(link.href, { headers: { "HX-Request": "true" } });
      const html = answer.ok && !answer.redirected ? await answer.text() : "";
      if (html.includes('id="ask-title"')) open(html); else window.location.assign(link.href);
    } catch {
      window.location.assign(link.href);
    } finally {
      asking = false;
    }
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-ask]");
    if (link && place() && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      ask(link);
      return;
    }
    const leave = event.target.closest("[data-leaves]");
    const dialog = leave?.closest("dialog");
    if (dialog) { event.preventDefault(); dialog.close(); }
  });
  document.addEventListener("portal:acted", (event) => {
    event.detail.elt?.closest?.("dialog.p-runbooks-dialog[open]")?.close();
    window.portalPage?.refresh();
  });
  document.addEventListener("submit", (event) => {
    const button = event.target.querySelector("button:not([type=button])");
    if (!event.target.dataset.busy || !button) return;
    button.disabled = true;
    button.textContent = event.target.dataset.busy;
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted && document.querySelector("form[data-busy]")) window.location.reload(); });

  // --- folds stay as they were when their region is shown anew ---
  const folds = new Map();
  document.addEventListener("toggle", (event) => {
    if (event.target.matches?.("details.p-runbooks-fold[id]") && event.target.isConnected) folds.set(event.target.id, event.target.open);
  }, true);
  const unfold = () => { for (const [id, isOpen] of folds) document.getElementById(id)?.toggleAttribute("open", isOpen); };
  document.addEventListener("htmx:oobAfterSwap", unfold);

  // --- an execution at work ---
  const announcer = document.getElementById("execution-announcer");
  const live = () => document.getElementById("execution-live");
  const log = () => document.getElementById("log");
  let told = live()?.dataset.told;
  let kept = null;
  const toEnd = () => { if (log()) log().scrollTop = log().scrollHeight; };
  toEnd();

  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target.id !== "execution-live") return;
    if (!event.detail.xhr.responseText.includes('id="execution-live"')) { // a login page, say
      event.detail.shouldSwap = false;
      window.location.reload();
      return;
    }
    const box = log();
    kept = box && box.scrollHeight - box.scrollTop - box.clientHeight > 24 ? box.scrollTop : null;
  });
  document.addEventListener("htmx:afterSwap", () => {
    if (!live()) return;
    unfold();
    if (kept === null) toEnd(); else if (log()) log().scrollTop = kept;
    const news = live().dataset.told;
    if (announcer && news !== told) announcer.textContent = news;
    told = news;
  });
  const lost = () => {
    for (const sign of document.querySelectorAll("[data-polling]")) {
      sign.dataset.state = "lost";
      sign.lastElementChild.textContent = "the portal does not answer, trying again…";
    }
  };
  document.addEventListener("htmx:sendError", lost);
  document.addEventListener("htmx:responseError", (event) => {
    if (!document.getElementById("execution")) return;
    if ([401, 403, 404].includes(event.detail.xhr.status)) window.location.reload(); else lost();
  });
})();
