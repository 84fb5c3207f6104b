"""Deliveries signed the way upstream signs them: version 6, P-521, over the bytes that are posted."""

import json
import time
from pathlib import Path
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from django.core.cache import cache
from django.utils import timezone

from backoffice.http_signatures import Message, Version, jwk_from_public_key, sign
from webhooks import reading
from webhooks.authentication import key_set
from webhooks.key_set import CACHED_SET

SAMPLES = Path(__file__).parent / "samples"
PATH = "/webhooks/investment-api"
KEY_ID = "b4502fc7-66a4-4557-a3bc-a3f7de3080f3"
KEY = ec.generate_private_key(ec.SECP521R1())


def sample(name):
    """Return the JSON of a sample, parsed; ``name`` without the ending."""
    return json.loads((SAMPLES / f"{name}.json").read_text())


def envelope(*events):
    """Return the body of a delivery of ``events``, as upstream packs them."""
    return json.dumps({"payload": list(events)}).encode()


def publish(keys=None):
    """Make upstream's key set ``keys`` (id -> private key), fetched just now by another process."""
    keys = {KEY_ID: KEY} if keys is None else keys
    jwks = [jwk_from_public_key(key_id, key.public_key()) for key_id, key in keys.items()]
    cache.set(CACHED_SET, json.dumps({"keys": jwks, "fetched_at": time.time()}), None)
    key_set.forget()


def headers_for(
    body,
    *,
    path=PATH,
    query="",
    key=KEY,
    key_id=KEY_ID,
    created=None,
    version=Version.V6,
    accept="application/json",
    content_type="application/json",
    chunked=False,
):
    """Return the headers of a signed delivery of the bytes ``body``."""
    headers = {"accept": accept}
    if not chunked:
        headers["content-length"] = str(len(body))
    if content_type:
        headers["content-type"] = content_type
    created = int(time.time()) if created is None else created
    message = Message("POST", path, query, headers, body)
    added = sign(
        message, key=key, key_id=key_id, created=created, nonce=uuid4().hex, version=version
    )
    return headers | added


def post(client, body, *, path=PATH, headers=None, **signing):
    """Post the bytes ``body`` with a good signature, or with ``headers`` instead; return the answer."""
    if cache.get(CACHED_SET) is None:
        publish()
    headers = headers_for(body, path=path, **signing) if headers is None else headers
    content_type = headers.get("content-type", "")
    return client.generic("POST", path, body, content_type=content_type, headers=headers)


def take_in(client, body, **posting):
    """Post the bytes ``body`` and have the inbox read into the journal; return the answer."""
    answer = post(client, body, **posting)
    reading.read_next(now=timezone.now())
    return answer
