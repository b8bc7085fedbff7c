// portalStream(address, after, worker, heard): live updates, shared between tabs where the browser can.
// heard({name, id, data}) is called for each event; "live" and "lost" tell of the connection.
(() => {
  "use strict";
  const NAMES = ["open", "entry", "state", "refetch", "end"];

  const plain = (address, after, heard) => {
    const source = new EventSource(after ? `${address}?after=${after}` : address);
    for (const name of NAMES) {
      source.addEventListener(name, (event) => {
        heard({ name, id: event.lastEventId, data: event.data });
        if (name === "end" && !JSON.parse(event.data).reconnect) source.close();
      });
    }
    source.addEventListener("error", () => heard({ name: "lost", closed: source.readyState === EventSource.CLOSED }));
    return () => source.close();
  };

  const shared = (address, after, worker, heard) => {
    const port = new SharedWorker(worker, "portal-streams").port;
    port.addEventListener("message", ({ data }) => heard(data));
    port.start();
    port.postMessage({ address, after });
    return () => port.postMessage({ leave: true });
  };

  // Where there is no SharedWorker (Chrome on Android): the tab that holds the lock listens and tells the others.
  const led = (address, after, heard) => {
    const channel = new BroadcastChannel(`portal ${address}`);
    let stop = () => {};
    let release = () => {};
    let isLeader = false;
    channel.addEventListener("message", ({ data }) => {
      if (data.name !== "hello") heard(data);
      else if (isLeader) channel.postMessage({ name: "joined" });
    });
    channel.postMessage({ name: "hello" });
    navigator.locks.request(`portal ${address}`, () => new Promise((resolve) => {
      isLeader = true;
      release = resolve;
      stop = plain(address, after, (message) => { heard(message); channel.postMessage(message); });
    }));
    return () => { stop(); release(); channel.close(); };
  };

  const connect = (address, after, worker, heard) => {
    if (window.SharedWorker && worker) return shared(address, after, worker, heard);
    if (navigator.locks && window.BroadcastChannel) return led(address, after, heard);
    return plain(address, after, heard);
  };

  const WORDS = { live: "live", lost: "reconnecting…", ended: "no longer live", wait: "connecting…" };
  const show = (state) => {
    for (const place of document.querySelectorAll("[data-live-state]")) {
      place.dataset.state = state;
      place.lastElementChild.textContent = WORDS[state];
    }
  };

  // Keeps a page live: `changed` is called, at most once at a time and soon after, when there is more to see.
  window.portalStream = (root, after, changed) => {
    let leave = () => {}, waiting = null, state = "wait", wanted = false, busy = false;
    const set = (value) => { state = value; show(value); };
    const run = async () => {
      waiting = null;
      if (busy) { wanted = true; return; }
      busy = true;
      try { await changed(); } catch { wanted = false; }
      busy = false;
      show(state);
      if (wanted) { wanted = false; soon(); }
    };
    const soon = () => { if (!waiting) waiting = setTimeout(run, 120); };
    const heard = (message) => {
      if (message.name === "lost") {
        set("lost");
        if (message.closed) setTimeout(open, 5000 + Math.random() * 5000);
        return;
      }
      if (message.name === "end") {
        const again = JSON.parse(message.data).reconnect;
        set(again ? "lost" : "ended");
        if (!again) soon();
        return;
      }
      const back = state === "lost";
      set("live");
      if (message.name !== "open" || back) soon();
    };
    const open = () => { leave(); leave = connect(root.dataset.stream, after(), root.dataset.worker, heard); };
    open();
    window.addEventListener("pagehide", () => leave());
    window.addEventListener("pageshow", (event) => { if (event.persisted) { open(); soon(); } });
    return { refresh: soon };
  };
})();
