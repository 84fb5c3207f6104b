"""What the page of a delivery says of its signature, from the headers that were kept."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from backoffice.http_signatures import Message, Version, sign
from webhooks.evidence import doubt, evidence_in

CREATED = 1_790_000_000
KEYS = {
    "ECDSA P-521 with SHA-512": ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}


def evidence(kept, key_id):
    found = evidence_in(kept, key_id=key_id)
    assert found is not None
    return found


def headers(key, version=Version.V6, key_id="k1"):
    message = Message("POST", "/hook", "", {"content-type": "application/json"}, b"{}")
    added = sign(
        message, key=key, key_id=key_id, created=CREATED, nonce="n", lifetime=60, version=version
    )
    return {name.lower(): value for name, value in {**message.headers, **added}.items()}


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize("algorithm", KEYS)
def test_key_algorithm_version_times_and_components_are_read_from_the_headers(algorithm, version):
    found = evidence(headers(KEYS[algorithm], version), "k1")

    assert (found.key_id, found.algorithm, found.version) == ("k1", algorithm, version)
    assert found.created == datetime.fromtimestamp(CREATED, UTC)
    assert found.expires == found.created + timedelta(seconds=60)
    assert {"@method", "@path", version.digest_header} <= set(found.components)


def test_of_several_signatures_the_one_by_the_deliverys_key_is_shown():
    one, other = (headers(KEYS["Ed25519"], key_id=key_id) for key_id in ("k1", "k2"))
    both = {
        name: f"{one[name]}, {other[name].replace('sig1', 'sig2', 1)}"
        for name in ("signature-input", "signature")
    }

    assert evidence(both, "k2").key_id == "k2"
    assert evidence(both, "gone").key_id == "k1"


@pytest.mark.parametrize(
    "given",
    [
        {}, {"signature-input": "sig1=()"}, {"signature-input": "<b>", "signature": "x"},
        {"signature-input": 'sig1=("@method")', "signature": "sig1=nonsense"},
    ],
)  # fmt: skip
def test_headers_that_cannot_be_read_are_no_evidence(given):
    assert evidence_in(given, key_id="k1") is None


def test_a_signature_that_tells_nothing_of_itself_is_shown_as_such():
    given = {
        "signature-input": 'sig1=("@method");created=x;expires=99999999999999',
        "signature": "sig1=:eA==:",
    }

    found = evidence(given, "k1")

    assert (found.key_id, found.algorithm, found.created, found.expires) == (
        "",
        "not known",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(minutes=10), ""), (timedelta(minutes=11), "older than"),
        (-timedelta(seconds=60), ""), (-timedelta(seconds=61), "from the future"),
    ],
)  # fmt: skip
def test_an_age_is_doubted_beyond_upstreams_longest_pause_and_before_our_time(age, words):
    received = datetime.fromtimestamp(CREATED, UTC)

    said = doubt(received - age, received)

    assert said.startswith(words)
    assert bool(said) == bool(words)
