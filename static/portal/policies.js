// The editor of a pack: numbered lines, those with a mistake marked, and a link from each mistake to its place.
(() => {
  "use strict";
  const frame = document.querySelector("[data-code]");
  const box = frame?.querySelector("textarea");
  if (!box) return;
  const places = [...document.querySelectorAll("a[data-line]")];
  const checked = box.value;
  const numbers = document.createElement("div");
  numbers.className = "ip-code__numbers";
  numbers.setAttribute("aria-hidden", "true"); // the mistakes themselves stand above, as text
  frame.classList.add("ip-code--numbered");
  frame.prepend(numbers);

  let shown = "";
  function number() {
    const count = box.value.split("\n").length;
    // Marks hold for the text that was checked; after an edit lines may have moved.
    const state = `${count} ${box.value === checked}`;
    if (state === shown) return;
    shown = state;
    const wrong = new Map(box.value === checked ? places.map((place) => [Number(place.dataset.line), place.dataset.message]) : []);
    numbers.replaceChildren();
    let plain = "";
    for (let line = 1; line <= count; line += 1) {
      if (!wrong.has(line)) { plain += `${line}\n`; continue; }
      const mark = document.createElement("span");
      mark.className = "ip-code__wrong";
      mark.title = wrong.get(line);
      mark.textContent = line;
      numbers.append(plain, mark);
      plain = "";
    }
    numbers.append(plain, "\n\n"); // room for the scroll bar of the text
    follow();
  }
  function follow() { numbers.scrollTop = box.scrollTop; }
  box.addEventListener("input", number);
  box.addEventListener("scroll", follow);

  function show(place) {
    const rows = box.value.split("\n");
    const line = Math.min(Number(place.dataset.line), rows.length);
    const start = rows.slice(0, line - 1).reduce((sum, row) => sum + row.length + 1, 0);
    const at = Math.min(start + Number(place.dataset.column) - 1, start + rows[line - 1].length);
    box.focus();
    box.setSelectionRange(at, start + rows[line - 1].length);
    const height = parseFloat(getComputedStyle(box).lineHeight);
    box.scrollTop = Math.max(0, (line - 6) * height);
    follow();
  }
  for (const place of places) {
    place.addEventListener("click", (event) => { event.preventDefault(); show(place); });
  }
  number();
})();
