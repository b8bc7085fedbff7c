// Toasts: notes in a corner that go by themselves, or with a click. Loaded before the script of a page that has them.
(() => {
  "use strict";
  const toasts = document.getElementById("toasts");

  // What went wrong, in a sentence.
  window.portalToast = (text) => {
    const note = document.createElement("div");
    note.className = "ip-note ip-note--danger";
    note.dataset.toast = "";
    note.textContent = text;
    toasts.append(note);
  };
  new MutationObserver((records) => {
    for (const note of records.flatMap((record) => [...record.addedNodes])) {
      if (note.nodeType !== Node.ELEMENT_NODE) continue;
      note.addEventListener("click", () => note.remove());
      setTimeout(() => note.remove(), note.classList.contains("ip-note--danger") ? 12000 : 5000);
    }
  }).observe(toasts, { childList: true });
})();
