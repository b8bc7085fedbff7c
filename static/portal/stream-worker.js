// One connection for each stream, however many tabs show it: browsers allow six per host over HTTP/1.1.
"use strict";
const streams = new Map(); // address -> { source, ports, last, open }
const NAMES = ["open", "entry", "state", "refetch", "end"];

const tell = (stream, message) => {
  for (const port of stream.ports) port.postMessage(message);
};

const start = (address, after) => {
  const stream = { ports: new Set(), source: null, live: false };
  stream.source = new EventSource(after ? `${address}?after=${after}` : address);
  for (const name of NAMES) {
    stream.source.addEventListener(name, (event) => {
      stream.live = name !== "end";
      tell(stream, { name, id: event.lastEventId, data: event.data });
      if (name === "end" && !JSON.parse(event.data).reconnect) close(address);
    });
  }
  stream.source.addEventListener("error", () => {
    stream.live = false;
    tell(stream, { name: "lost", closed: stream.source.readyState === EventSource.CLOSED });
    if (stream.source.readyState === EventSource.CLOSED) close(address);
  });
  streams.set(address, stream);
  return stream;
};

const close = (address) => {
  streams.get(address)?.source.close();
  streams.delete(address);
};

self.addEventListener("connect", (event) => {
  const port = event.ports[0];
  let mine = null;
  const leave = () => {
    const stream = streams.get(mine);
    stream?.ports.delete(port);
    if (stream && stream.ports.size === 0) close(mine);
  };
  port.addEventListener("message", ({ data }) => {
    if (data.leave) { leave(); return; }
    mine = data.address;
    const stream = streams.get(mine) || start(mine, data.after);
    stream.ports.add(port);
    // A tab that joins a running stream may have missed what came since its page was made: it fetches once.
    if (stream.live) port.postMessage({ name: "joined" });
  });
  port.start();
});
