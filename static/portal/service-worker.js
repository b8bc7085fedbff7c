// Shows a page as a notification, also with the portal closed, and opens what it is about. It caches nothing: what the
// portal says must be of now.
"use strict";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => {
  let told = {};
  try {
    told = event.data ? event.data.json() : {};
  } catch {
    told = { title: "Message from the incident portal" };
  }
  const options = {
    body: told.body || "",
    // The same message again replaces its notification instead of ringing twice.
    tag: told.tag || "portal",
    renotify: false,
    requireInteraction: Boolean(told.ack_url),
    icon: "/static/portal/icon-192.png",
    badge: "/static/portal/icon-192.png",
    data: { url: told.url || "/", ack_url: told.ack_url || "" },
    actions: told.ack_url ? [{ action: "acknowledge", title: "Acknowledge" }, { action: "open", title: "Open" }] : [],
  };
  event.waitUntil(self.registration.showNotification(told.title || "Incident portal", options));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const about = event.notification.data || {};
  const url = event.action === "acknowledge" && about.ack_url ? about.ack_url : about.url || "/";
  event.waitUntil((async () => {
    const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
    const there = windows.find((one) => one.url === url);
    return there ? there.focus() : self.clients.openWindow(url);
  })());
});
