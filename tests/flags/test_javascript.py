"""The official OpenFeature providers for JavaScript, from npm: in Node.js, and on a page of another origin."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from apps.flags.operations import bring_back, kill
from tests.flags.serving import Server, serving
from tests.flags.world import WITHIN_SECONDS, World, db, seconds_until, world

__all__ = ["db", "world"]
pytestmark = [pytest.mark.javascript, pytest.mark.usefixtures("db")]
HERE = Path(__file__).parent
PACKAGES = (
    "@openfeature/server-sdk@1.23.0",
    "@openfeature/ofrep-provider@0.1.3",
    "@openfeature/web-sdk@1.10.0",
    "@openfeature/ofrep-web-provider@0.4.3",
)


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the packages are, of exactly these versions. Without the registry: skipped, but never in CI."""
    folder = tmp_path_factory.mktemp("javascript")
    (folder / "package.json").write_text('{"private": true}')
    quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"]
    done = subprocess.run(
        ["npm", "install", *quiet, *PACKAGES], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode and "CI" not in os.environ:
        pytest.skip(f"npm could not install them: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return folder / "node_modules"


@pytest.fixture(scope="module")
def shop(modules: Path) -> Iterator[str]:
    """The origin of a page with the packages, on a server: browsers let only local pages ask this machine."""
    (modules / "index.html").write_text((HERE / "page.html").read_text())

    class Files(SimpleHTTPRequestHandler):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given, directory=str(modules))

        def log_message(self, *given: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


@pytest.fixture(scope="module")
def server(world: World, shop: str) -> Iterator[Server]:
    with serving("asgi", FLAG_ORIGINS=shop) as (found,):
        yield found


def test_the_provider_for_servers_gets_every_type_and_error(modules: Path, server: Server, world: World) -> None:
    program = modules.parent / "program.mjs"
    program.write_text((HERE / "javascript.mjs").read_text())
    command = ["node", str(program), server.url, world.token, "ptk_" + "x" * 40]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said = {line.pop("name"): line for line in map(json.loads, done.stdout.splitlines())}
    assert {name: (each["value"], each.get("errorCode")) for name, each in said.items()} == {
        "on": (True, None),
        "killed": (False, None),
        "disabled": (True, "GENERAL"),  # this provider is older than answers without a value: the default all the same
        "dotted": (True, None),
        "ruled": ("#f00", None),
        "otherwise": ("#00f", None),
        "integer": (25, None),
        "float": (0.5, None),
        "object": ({"dark": True, "sizes": [1, 2]}, None),
        "split": (said["split"]["value"], None),
        "nobody": (True, "TARGETING_KEY_MISSING"),
        "unknown": (True, "FLAG_NOT_FOUND"),
        "mistyped": (True, "TYPE_MISMATCH"),
        "refused": (False, "GENERAL"),
    }
    reasons = (said["ruled"]["reason"], said["split"]["reason"], said["killed"]["flagMetadata"]["state"])
    assert reasons == ("TARGETING_MATCH", "SPLIT", "killed")


OpenShop = Callable[..., Any]


@pytest.fixture
def open_shop(browser: Any, shop: str, server: Server, world: World) -> Iterator[OpenShop]:
    """`open_shop(pollInterval=…)`: a page of another origin whose scripts use the provider for browsers."""
    contexts = []

    def open_one(**options: Any) -> Any:
        context = browser.new_context()
        contexts.append(context)
        page = context.new_page()
        page.asked = []
        page.on("response", lambda got: page.asked.append(f"{got.request.method} {got.status}"))
        page.goto(shop)
        given = {"baseUrl": server.url, "headers": [["Authorization", f"Bearer {world.token}"]], **options}
        page.evaluate(
            """async (options) => {
                const { OpenFeature } = await import("@openfeature/web-sdk");
                const { OFREPWebProvider } = await import("@openfeature/ofrep-web-provider");
                await OpenFeature.setContext({ targetingKey: "ann", plan: "pro" });
                await OpenFeature.setProviderAndWait(new OFREPWebProvider(options));
                window.flags = OpenFeature.getClient();
            }""",
            given,
        )
        return page

    yield open_one
    for context in contexts:
        context.close()


def value(page: Any, key: str = "switched") -> Any:
    return page.evaluate("(key) => window.flags.getBooleanValue(key, false)", key)


@pytest.mark.browser
def test_the_provider_for_browsers_gets_every_type_on_a_page_of_an_allowed_origin(open_shop: OpenShop) -> None:
    page = open_shop(changeDetection="none")
    found = page.evaluate(
        """() => [
            flags.getBooleanValue("on", false), flags.getBooleanValue("killed", true),
            flags.getBooleanValue("disabled", true), flags.getBooleanValue("disabled", false),
            flags.getStringValue("colour", "none"), flags.getNumberValue("limit", 1),
            flags.getNumberValue("ratio", 1), flags.getObjectValue("theme", {}),
            flags.getBooleanDetails("nope", true).errorCode, flags.getBooleanDetails("split", true).reason,
        ]"""
    )
    types = [True, False, True, False, "#f00", 25, 0.5, {"dark": True, "sizes": [1, 2]}]
    assert found == [*types, "FLAG_NOT_FOUND", "SPLIT"]


@pytest.mark.browser
def test_a_page_that_polls_gets_304_until_a_kill(open_shop: OpenShop, world: World) -> None:
    page = open_shop(pollInterval=200, changeDetection="polling")
    page.wait_for_timeout(700)
    assert value(page) is True
    assert page.asked.count("POST 200") == 1
    assert page.asked.count("POST 304") >= 2
    world.do(kill, "switched")
    assert seconds_until(lambda: page.wait_for_timeout(50) or value(page) is False) < WITHIN_SECONDS
    world.do(bring_back, "switched")


@pytest.mark.browser
def test_a_page_that_listens_hears_of_a_kill_and_asks_once_more(open_shop: OpenShop, world: World) -> None:
    page = open_shop()
    page.wait_for_timeout(1000)
    asked = len([each for each in page.asked if each.startswith("POST")])
    assert value(page) is True
    world.do(kill, "switched")
    assert seconds_until(lambda: page.wait_for_timeout(50) or value(page) is False) < WITHIN_SECONDS
    assert len([each for each in page.asked if each.startswith("POST")]) == asked + 1
    world.do(bring_back, "switched")
    assert seconds_until(lambda: page.wait_for_timeout(50) or value(page) is True) < WITHIN_SECONDS
