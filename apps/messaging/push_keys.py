"""The key that signs web pushes: one for the portal, made when it is first needed, sealed in the database.

It stands in the database and not in a file, so that all processes on all hosts have the same one: a browser's
subscription belongs to one key.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from apps.foundation.actor import Actor, acting
from apps.messaging.models import Connection
from apps.people.crypto import seal

# The unique key of its row: two processes that make it at once get the same one.
_ROW = "web-push"


def push_public_key() -> str:
    """What browsers subscribe with: the uncompressed point in unpadded base64url. Makes the key when there is none."""
    found = _connection()
    return found.account + found.sender


def _connection() -> Connection:
    found = Connection.objects.filter(callback_key=_ROW).first()
    if found is not None:
        return found
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    public = urlsafe_b64encode(point).rstrip(b"=").decode()
    with acting(Actor.system("messaging"), "made when it was first needed"):
        made, _ = Connection.objects.get_or_create(
            callback_key=_ROW,
            defaults={
                "name": "Web push",
                "kind": Connection.Kind.PUSH,
                # 87 characters: the public key stands in two columns of 80.
                "account": public[:80],
                "sender": public[80:],
                "token_encrypted": seal(pem),
            },
        )
    return made
