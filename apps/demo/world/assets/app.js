"use strict";
const byId = (id) => document.getElementById(id);

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function faultCard(name) {
  const card = element("div", "", "card");
  card.dataset.fault = name;
  card.append(element("h3", name.replace("-", " ").replace(/^./, (c) => c.toUpperCase())), element("p"));
  const button = element("button", "Break it so");
  button.type = "button";
  button.dataset.post = `/break/${name}`;
  button.setAttribute("aria-label", `Break it: ${name.replace("-", " ")}`);
  card.append(button);
  return card;
}

function clock(text) {
  return new Date(text).toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

function servers(found) {
  const times = (count) => (count === 1 ? "once" : `${count} times`);
  const last = (at) => (at ? `, last at ${clock(at)}` : "");
  return `Caches were invalidated ${times(found.cache_invalidations)}${last(found.cache_invalidated_at)}; ` +
    `servers were reloaded ${times(found.reloads)}${last(found.reloaded_at)}.`;
}

function showFaults(faults) {
  for (const [name, fault] of Object.entries(faults)) {
    let card = document.querySelector(`[data-fault="${name}"]`);
    if (!card) {
      card = faultCard(name);
      byId("faults").append(card);
    }
    card.classList.toggle("bad", fault.active);
    card.querySelector("p").textContent = fault.text;
    const button = card.querySelector("button");
    button.disabled = fault.active;
    button.textContent = fault.active ? "Broken" : "Break it so";
  }
}

function showAlerts(status) {
  const rows = Object.entries(status.alerts).map(([name, alert]) => {
    const row = element("li");
    row.append(element("b", name), element("span", alert.status === "firing" ? "fires" : "cleared"),
      element("span", alert.posted_at ? "the portal knows" : "not delivered yet", "quiet"));
    return row;
  });
  byId("alerts").replaceChildren(...rows);
  byId("watcher").textContent = status.watcher.problem || (!status.watcher.tells_alerts
    ? "Prometheus and Alertmanager watch this world and tell the portal."
    : rows.length ? "This world tells the portal itself, as Alertmanager would."
      : "None yet. This world tells the portal itself, as Alertmanager would.");
}

function showSwitches(switches) {
  const rows = Object.entries(switches.flags).map(([key, flag]) => {
    const row = element("li", "", flag.on ? "" : "bad");
    row.dataset.flag = key;
    row.append(element("b", flag.name), element("span", flag.on ? "on" : "killed"),
      element("span", flag.on ? key : flag.killed, "quiet"));
    return row;
  });
  byId("switches").replaceChildren(...rows);
  byId("switches-note").textContent = switches.problem || "This world asks the portal for them each second, by OFREP.";
}

function showEvents(events) {
  const rows = Object.values(events).map((event) => {
    const row = element("li", "", event.state === "paused" ? "bad" : "");
    row.dataset.event = event.id;
    row.append(element("b", event.name), element("span", event.state), element("span", event.message, "quiet"));
    return row;
  });
  byId("events").replaceChildren(...rows);
}

function show(status) {
  for (const place of document.querySelectorAll("[data-signal]")) {
    const value = status.signals[place.dataset.signal];
    place.textContent = value.toLocaleString("en") + (place.dataset.unit || "");
    place.classList.toggle("bad", Boolean(place.dataset.limit) && value > Number(place.dataset.limit));
  }
  const broken = Object.values(status.faults).some((fault) => fault.active);
  byId("state").textContent = broken ? "Broken" : "Healthy";
  byId("state").classList.toggle("bad", broken);
  byId("version").textContent = `version ${status.config.version}`;
  byId("config-note").textContent =
    `Version ${status.config.version}, changed by ${status.config.author} at ${clock(status.config.changed_at)}: ${status.config.note || "no note"}`;
  byId("servers").textContent = servers(status.servers);
  byId("config").textContent = JSON.stringify(status.config.document, null, 2);
  if (status.portal_url) {
    byId("portal").href = status.portal_url;
    byId("portal").hidden = false;
  }
  showFaults(status.faults);
  showAlerts(status);
  showSwitches(status.switches);
  showEvents(status.events);
}

async function refresh() {
  try {
    show(await (await fetch("/status")).json());
    byId("problem").hidden = true;
  } catch {
    byId("problem").textContent = "The world does not answer. It may be stopped.";
    byId("problem").hidden = false;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-post]");
  if (!button) return;
  button.disabled = true;
  try {
    await fetch(button.dataset.post, { method: "POST" });
  } finally {
    button.disabled = false;
    await refresh();
  }
});
refresh();
setInterval(refresh, 2000);
