// Declare: keep the choice of severity when the pack's severities are fetched again for another team.
(() => {
  "use strict";
  const form = document.getElementById("declare");
  form.addEventListener("submit", () => { document.getElementById("declare-send").disabled = true; });
  window.addEventListener("pageshow", () => { document.getElementById("declare-send").disabled = false; });
})();
