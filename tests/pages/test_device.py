"""A browser becomes a contact point: installed worker, push through a local push service, code, verified."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

import pytest

from apps.engine.operations import deliver
from apps.messaging.operations import send_due
from apps.people.models import ContactPoint
from tests.factories import person
from tests.messaging.servers import Answer, Receiver
from tests.messaging.test_channels import Browser
from tests.pages.conftest import OpenPage

HOST = "push.example.com"

# Chromium's own push service is out of reach of a test: the subscription leads to a local one instead.
SUBSCRIBE = """
const given = %s;
PushManager.prototype.subscribe = async function () { return { toJSON: () => given, unsubscribe: async () => true }; };
PushManager.prototype.getSubscription = async function () { return null; };
"""


@pytest.fixture
def push_service(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A push service on loopback that is known by a public name."""
    settings.WEBHOOK_ALLOW_PRIVATE = True
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: real("127.0.0.1" if host == HOST else host, *rest, **more)
    )
    server = Receiver()
    server.answer = lambda request: Answer(status=201)
    yield server
    server.close()


def shown(page: Any, portal: str, content: dict[str, Any]) -> list[dict[str, str]]:
    """Hand a push to the page's service worker, as the browser does, and return the notifications that it shows."""
    session = page.context.new_cdp_session(page)
    found: dict[str, str] = {}
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: found.update({one["scopeURL"]: one["registrationId"] for one in event["registrations"]}),
    )
    session.send("ServiceWorker.enable")
    page.evaluate("async () => { await navigator.serviceWorker.ready; }")
    told = {"origin": portal, "registrationId": found[f"{portal}/"], "data": json.dumps(content)}
    session.send("ServiceWorker.deliverPushMessage", told)
    notifications: list[dict[str, str]] = page.evaluate(
        """async () => {
          const registration = await navigator.serviceWorker.ready;
          for (;;) {
            const shown = await registration.getNotifications();
            if (shown.length) return shown.map((one) => ({ title: one.title, body: one.body, url: one.data.url }));
            await new Promise((done) => setTimeout(done, 50));
          }
        }"""
    )
    return notifications


@pytest.mark.browser
def test_a_device_is_installed_receives_a_push_and_is_verified_by_its_code(
    open_page: OpenPage, portal: str, push_service: Receiver
) -> None:
    browser, user = Browser(push_service.url("/push/1", host=HOST)), person("responder")
    page = open_page(user, "/admin/messaging/message/device/", width=390)
    page.context.grant_permissions(["notifications"], origin=portal)
    page.context.add_init_script(SUBSCRIBE % browser.subscription)
    page.reload()
    page.get_by_role("button", name="Get pages on this device").click()
    page.get_by_label("Code from the notification").wait_for()
    deliver()
    send_due()
    [request] = push_service.requests
    [told] = shown(page, portal, browser.read(request.body))
    assert told["title"] == "Confirm that pages reach you here"
    code = re.search(r"code is ([0-9a-f]{8})", told["body"])
    assert code is not None
    page.get_by_label("Code from the notification").fill(code[1])
    page.get_by_role("button", name="Verify").click()
    page.get_by_text("This device gets your pages.").wait_for()
    assert ContactPoint.objects.get(user=user, kind="push").state == "verified"
