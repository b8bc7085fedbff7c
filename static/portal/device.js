// This device as a contact point: asks for permission, subscribes at the browser's push service, hands it to the portal.
(() => {
  "use strict";
  const box = document.querySelector("[data-device]");
  if (!box) return;
  const state = box.querySelector("[data-device-state]");
  const on = box.querySelector("[data-device-on]"), off = box.querySelector("[data-device-off]");
  const form = box.querySelector("[data-device-code]");
  const KEPT = "portal-device";
  const say = (text) => { state.textContent = text; };
  const show = (button, shown) => { button.hidden = !shown; };

  const bytes = (text) => {
    const padded = text.replace(/-/g, "+").replace(/_/g, "/").padEnd(Math.ceil(text.length / 4) * 4, "=");
    return Uint8Array.from(atob(padded), (letter) => letter.charCodeAt(0));
  };
  const call = async (method, path, content) => {
    const answer = await fetch(box.dataset.api + path, {
      method,
      headers: { "Content-Type": "application/json", "X-CSRFToken": box.querySelector("[name=csrfmiddlewaretoken]").value },
      body: content === undefined ? undefined : JSON.stringify(content),
    });
    const said = answer.status === 204 ? {} : await answer.json();
    if (!answer.ok) throw new Error(said.detail || `The portal answered ${answer.status}.`);
    return said;
  };
  const label = () => {
    const brand = (navigator.userAgentData && navigator.userAgentData.brands || []).map((one) => one.brand).find((name) => !/not/i.test(name));
    return `${brand || "Browser"} on ${(navigator.userAgentData && navigator.userAgentData.platform) || navigator.platform || "a device"}`.slice(0, 80);
  };

  const turnOn = async () => {
    on.disabled = true;
    try {
      if (await Notification.requestPermission() !== "granted") {
        say("This browser may not show notifications: allow them for this site, then try again.");
        return;
      }
      const registration = await navigator.serviceWorker.ready;
      const subscription = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(box.dataset.key) });
      const point = await call("POST", "", { kind: "push", address: JSON.stringify(subscription), label: label() });
      localStorage.setItem(KEPT, String(point.id));
      look(point);
    } catch (error) {
      say(`It did not work: ${error.message}`);
    } finally {
      on.disabled = false;
    }
  };
  const turnOff = async () => {
    const registration = await navigator.serviceWorker.ready;
    const subscription = await registration.pushManager.getSubscription();
    if (subscription) await subscription.unsubscribe();
    try {
      await call("DELETE", `${localStorage.getItem(KEPT)}/`);
    } catch (error) {
      say(error.message);
    }
    localStorage.removeItem(KEPT);
    look(null);
  };
  const look = (point) => {
    const verified = point && point.state === "verified";
    say(!point ? "This device gets no pages yet." : verified ? "This device gets your pages." : "A notification with a code is on its way: enter the code, so that the portal knows that it arrived.");
    show(on, !point);
    show(off, Boolean(point));
    form.hidden = !point || verified;
  };

  on.addEventListener("click", turnOn);
  off.addEventListener("click", turnOff);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      look(await call("POST", `${localStorage.getItem(KEPT)}/verify/`, { code: form.elements.code.value.trim() }));
    } catch (error) {
      say(error.message);
    }
  });

  const begin = async () => {
    if (!("serviceWorker" in navigator) || !("PushManager" in window) || !("Notification" in window)) {
      say("This browser can't show notifications of a closed page. On an iPhone, add the portal to the home screen and open it from there.");
      return;
    }
    await navigator.serviceWorker.register(box.dataset.worker, { scope: "/" });
    const kept = localStorage.getItem(KEPT);
    let point = null;
    if (kept) {
      try { point = await call("GET", `${kept}/`); } catch { localStorage.removeItem(KEPT); }
    }
    look(point);
  };
  begin().catch((error) => say(`It did not work: ${error.message}`));
})();
