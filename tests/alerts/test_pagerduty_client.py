"""The `pagerduty` client library, as anybody installs it, pointed at the portal over a real socket."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pagerduty
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from django.db import transaction

from apps.alerts.models import Alert, Integration, Receipt
from apps.alerts.operations import group
from apps.catalog.models import Change
from incidentportal.wsgi import application
from tests.factories import integration, novacron

KEY = "R0123456789abcdef0123456789abcde"


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that wsgiref gave it
        """Say nothing."""


@pytest.fixture
def source(committed: None, committer: None) -> Integration:
    return integration("pagerduty", key=KEY)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate of our own making for 127.0.0.1: the library speaks to nothing but https."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "portal")])
    start = datetime.now(UTC) - timedelta(hours=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "portal.pem"
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def client(source: Integration, certificate: Path) -> Iterator[pagerduty.EventsApiV2Client]:
    server = make_server("127.0.0.1", 0, application, server_class=_Server, handler_class=_Quiet)
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain(certificate)
    server.socket = inside.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    trusted = ssl.create_default_context(cafile=str(certificate))
    address = f"https://127.0.0.1:{server.server_port}"
    yield pagerduty.EventsApiV2Client(KEY, base_url=address, verify=trusted)
    server.shutdown()
    server.server_close()


def test_it_triggers_acknowledges_and_resolves(client: pagerduty.EventsApiV2Client, source: Integration) -> None:
    key = client.trigger("Disk is full", source="db-1", severity="critical", custom_details={"free": "2 %"})
    assert client.acknowledge(key) == client.resolve(key) == key
    states = []
    with transaction.atomic():
        novacron()
        for pk in Receipt.objects.filter(integration=source).order_by("pk").values_list("pk", flat=True):
            Receipt.objects.exclude(pk=pk).update(state="done")
            group()
            incident = Alert.objects.get(dedup_key=key).group.incident  # type: ignore[union-attr]  # it has one
            assert incident is not None
            states.append((incident.title, incident.acknowledged_at is not None, incident.is_open))
            Receipt.objects.filter(pk__gt=pk).update(state="new")
        transaction.set_rollback(True)
    title = "Disk is full"
    assert states == [(title, False, True), (title, True, True), (title, True, False)]


def test_it_tells_of_changes_and_of_what_is_wrong(client: pagerduty.EventsApiV2Client, source: Integration) -> None:
    client.send_change_event({"summary": "Deployed 2.3", "custom_details": {"version": "2.3"}})
    with pytest.raises(pagerduty.HttpError) as raised:
        client.trigger("x", source="y", severity="awful")
    assert raised.value.response is not None
    assert raised.value.response.json()["errors"][0].startswith("payload.severity: ")
    with transaction.atomic():
        novacron()
        group()
        assert Change.objects.values_list("title", "version").get() == ("Deployed 2.3", "2.3")
        transaction.set_rollback(True)
