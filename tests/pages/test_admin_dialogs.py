"""The dialogs of the admin's own actions, whose forms may be longer than the screen."""

from __future__ import annotations

import re

import pytest

from apps.people.models import ApiToken
from tests.factories import named
from tests.pages.conftest import OpenPage

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("width", [1280, 390])
def test_a_token_is_made_although_its_form_is_higher_than_the_screen(open_page: OpenPage, width: int) -> None:
    page = open_page(named("mona", "manager"), "/admin/people/apitoken/")
    page.get_by_role("link", name=re.compile("New token")).first.click()
    dialog = page.locator("#modal-content")
    dialog.locator("input[name=name]").fill("game flags")
    page.set_viewport_size({"width": width, "height": 600})
    dialog.locator("input[value='flags:read']").check()
    assert dialog.bounding_box()["width"] < width
    dialog.locator("button[type=submit]").click()
    page.get_by_text(re.compile("ptk_")).first.wait_for()
    assert ApiToken.objects.get().scopes == ["flags:read"]
