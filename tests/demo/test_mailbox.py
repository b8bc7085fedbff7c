"""The demo's mailbox: for administrators of a demo only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.mail import EmailMessage, get_connection
from django.test import Client

from apps.demo.queries import newest_mails
from apps.people.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.DEMO = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path)
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    return tmp_path


def send(subject: str, text: str) -> None:
    EmailMessage(subject, text, "portal@x.example", ["ines@x.example"], connection=get_connection()).send()


def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="a long password"))
    return client


def test_two_mails_of_one_connection_are_two_mails(folder: Path) -> None:
    connection = get_connection()
    connection.open()
    for name in ("one", "two"):
        EmailMessage(name, "text", "a@x.example", ["b@x.example"], connection=connection).send()
    connection.close()
    assert {mail.subject for mail in newest_mails()} == {"one", "two"}
    assert len({mail.key for mail in newest_mails()}) == 2


def test_an_administrator_reads_a_mail_and_can_follow_its_link(folder: Path) -> None:
    send("P0 <b>Players</b>", "Acknowledge: http://127.0.0.1:8000/ack/1.x/ now")
    client = admin()
    listed = client.get("/demo/mail/")
    assert b"P0 &lt;b&gt;Players" in listed.content
    shown = client.get(f"/demo/mail/{newest_mails()[0].key}/")
    assert b'href="http://127.0.0.1:8000/ack/1.x/"' in shown.content


def test_others_than_administrators_are_refused(folder: Path) -> None:
    send("P0", "secret")
    assert Client().get("/demo/mail/").status_code == 302
    client = Client()
    client.force_login(User.objects.create_user("vera", password="a long password", is_staff=True))
    assert client.get("/demo/mail/").status_code == 403
    assert client.get(f"/demo/mail/{newest_mails()[0].key}/").status_code == 403


def test_there_is_no_mailbox_outside_the_demo(folder: Path, settings: Any) -> None:
    settings.DEMO = False
    assert admin().get("/demo/mail/").status_code == 404


@pytest.mark.parametrize("key", ["nothing", "../../etc/passwd-0", "x-1"])
def test_an_unknown_mail_is_not_found(folder: Path, key: str) -> None:
    assert admin().get(f"/demo/mail/{key}/").status_code == 404
