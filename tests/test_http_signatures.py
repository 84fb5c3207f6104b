"""Signing requests and verifying deliveries: the Investment API contract, sections 1.4 and 4.4."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from backoffice.http_signatures import (
    Address,
    Message,
    MisfitError,
    PrivateKey,
    PublicKey,
    SignatureError,
    UnsupportedKeyError,
    Verified,
    Version,
    jwk_from_public_key,
    key_ids,
    load_private_key,
    public_key_from_jwk,
    sign,
    signature_base,
    verify,
)
from backoffice.http_signatures.base import check_digest, digest_of, fields_of
from backoffice.http_signatures.candidates import bases
from backoffice.http_signatures.parameters import read_inputs, read_signatures, write_params

SAMPLES = Path(__file__).parent / "samples"
REQUESTS = json.loads((SAMPLES / "signing_vectors.requests.json").read_text())
WEBHOOKS = json.loads((SAMPLES / "signing_vectors.webhooks.json").read_text())

KEY_ID = "b4502fc7-66a4-4557-a3bc-a3f7de3080f3"
KEY = ec.generate_private_key(ec.SECP521R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
ECDSA = ec.ECDSA(hashes.SHA512())
CREATED = 1795300000

DELIVERY = Message(
    method="POST",
    path="/webhooks/investment-api",
    query="",
    headers={
        "Content-Type": "application/json",
        "Content-Length": "14",
        "Accept": "application/json",
        "User-Agent": "upstream",
        "Host": "desk.example.com",
        "X-Forwarded-For": "10.0.0.1",
    },
    body=b'{"payload":[]}',
)


def known(key_id: str) -> PublicKey | None:
    return KEY.public_key() if key_id == KEY_ID else None


def knows(key: PublicKey) -> Callable[[str], PublicKey]:
    return lambda key_id: key


def signed(
    message: Message = DELIVERY,
    *,
    key: PrivateKey = KEY,
    version: Version = Version.V6,
    key_id: str = KEY_ID,
) -> Message:
    added = sign(message, key=key, key_id=key_id, created=CREATED, nonce="n1", version=version)
    return replace(message, headers={**message.headers, **added})


def signed_over(
    components: list[str],
    *,
    message: Message = DELIVERY,
    version: Version = Version.V6,
    label: str = "sig1",
    **parameters: str | int,
) -> Message:
    """Sign exactly these components, as a sender would that follows no rule of ours."""
    headers = {version.digest_header: digest_of(message.body, version), **message.headers}
    message = replace(message, headers=headers)
    params = write_params(components, {"keyid": KEY_ID, **parameters})
    base = signature_base(message, components, params, version)
    signature = base64.b64encode(KEY.sign(base, ECDSA)).decode()
    return with_headers(
        message, **{"signature-input": f"{label}={params}", "signature": f"{label}=:{signature}:"}
    )


def with_headers(message: Message, **headers: str) -> Message:
    return replace(message, headers={**message.headers, **headers})


def without_header(message: Message, name: str) -> Message:
    return replace(message, headers={n: v for n, v in message.headers.items() if n.lower() != name})


def signature_octets(message: Message) -> bytes:
    return read_signatures(message.headers["signature"])["sig1"]


def with_signature(message: Message, octets: bytes) -> Message:
    return with_headers(message, signature=f"sig1=:{base64.b64encode(octets).decode()}:")


def message_of(vector: dict[str, Any]) -> Message:
    body = base64.b64decode(vector["body_base64"])
    return Message(vector["method"], vector["path"], vector["query"], vector["headers"], body)


# The samples


@pytest.mark.parametrize("vector", REQUESTS["vectors"], ids=lambda vector: vector["name"])
def test_the_base_of_each_sample_request_is_right_byte_for_byte(vector: dict[str, Any]) -> None:
    message = message_of(vector)
    (signature_input,) = read_inputs(message.headers["signature-input"])

    base = signature_base(
        message,
        signature_input.components,
        vector["signature_params"],
        Version(vector["signature_version"]),
    )

    assert base == vector["signature_base"].encode()


@pytest.mark.parametrize("vector", REQUESTS["vectors"], ids=lambda vector: vector["name"])
def test_signing_a_sample_request_covers_and_writes_exactly_what_the_sample_does(
    vector: dict[str, Any],
) -> None:
    message = message_of(vector)
    version = Version(vector["signature_version"])
    (theirs,) = read_inputs(message.headers["signature-input"])
    created, nonce = theirs.parameters["created"], theirs.parameters["nonce"]
    assert isinstance(created, int)
    assert isinstance(nonce, str)

    added = sign(message, key=KEY, key_id=KEY_ID, created=created, nonce=nonce, version=version)
    again = replace(message, headers={**message.headers, **added})

    expected = {name for name in vector["headers"] if "signature" in name or "digest" in name}
    assert added.keys() == expected
    assert {n: v for n, v in again.headers.items() if n != "signature"} == {
        n: v for n, v in message.headers.items() if n != "signature"
    }
    KEY.public_key().verify(signature_octets(again), vector["signature_base"].encode(), ECDSA)
    assert verify(again, known).version is version


@pytest.mark.parametrize("vector", REQUESTS["vectors"], ids=lambda vector: vector["name"])
def test_each_sample_request_verifies_with_its_key(vector: dict[str, Any]) -> None:
    verified = verify(message_of(vector), knows(public_key_from_jwk(REQUESTS["public_jwk"])))

    assert verified.version == vector["signature_version"]


@pytest.mark.parametrize("vector", WEBHOOKS["vectors"], ids=lambda vector: vector["name"])
def test_each_sample_delivery_gets_its_verdict(vector: dict[str, Any]) -> None:
    keys = {jwk["kid"]: public_key_from_jwk(jwk) for jwk in WEBHOOKS["keys"]}

    if vector["expect"] == "reject":
        with pytest.raises(SignatureError):
            verify(message_of(vector), keys.get)
    else:
        assert verify(message_of(vector), keys.get).version == vector["signature_version"]


@pytest.mark.parametrize("check", REQUESTS["digest_checks"], ids=lambda check: check["body"])
def test_the_sample_digests_are_right(check: dict[str, Any]) -> None:
    assert digest_of(check["body"].encode(), Version.V15) == check["content_digest"]


def test_the_digest_of_version_6_is_sha_256_in_plain_base64() -> None:
    assert (
        digest_of(b'{"key": "value"}', Version.V6)
        == "SHA-256=lyTB4g5uPk1/V+0l+dTvsAblCFkNUoyQ2ll/andcE+U="
    )


# What is signed, and how


def test_a_delivery_of_version_6_leaves_the_names_in_its_base_unquoted() -> None:
    params = '("@method" "@path" "digest");keyid="k"'
    message = with_headers(DELIVERY, digest="SHA-256=x")

    base = signature_base(message, ["@method", "@path", "digest"], params, Version.V6)

    assert base == (
        b"@method: POST\n@path: /webhooks/investment-api\ndigest: SHA-256=x\n"
        b'@signature-params: ("@method" "@path" "digest");keyid="k"'
    )


@pytest.mark.parametrize("version", list(Version))
@pytest.mark.parametrize("key", [KEY, ED_KEY], ids=["P-521", "Ed25519"])
def test_what_we_sign_we_verify(key: PrivateKey, version: Version) -> None:
    verified = verify(signed(key=key, version=version), knows(key.public_key()))

    assert verified == Verified(
        key_id=KEY_ID,
        created=datetime.fromtimestamp(CREATED, UTC),
        expires=datetime.fromtimestamp(CREATED + 60, UTC),
        nonce="n1",
        components=(
            "@method",
            "@path",
            "accept",
            *sorted([version.digest_header, "content-length", "content-type"]),
        ),
        version=version,
        label="sig1",
    )


def test_headers_that_others_set_or_rewrite_on_the_way_are_never_covered() -> None:
    noise = dict.fromkeys(
        [
            "host",
            "user-agent",
            "accept-encoding",
            "connection",
            "cookie",
            "x-b3",
            "cf-ray",
            "cdn-loop",
            "priority",
        ],
        "v",
    )
    message = signed(with_headers(DELIVERY, **noise, **{"sec-fetch-mode": "cors"}))

    assert not {*noise, "sec-fetch-mode"} & {*verify(message, known).components}


def test_a_header_that_we_add_on_purpose_is_covered() -> None:
    assert (
        "idempotency-key"
        in verify(signed(with_headers(DELIVERY, **{"Idempotency-Key": "k"})), known).components
    )


def test_a_query_is_covered_as_sent_and_left_out_when_there_is_none() -> None:
    with_query = signed(replace(DELIVERY, query="b=2&a=%201"))

    assert "@query" in verify(with_query, known).components
    assert "@query" not in verify(signed(), known).components
    with pytest.raises(SignatureError):
        verify(replace(with_query, query="a=%201&b=2"), known)


def test_a_request_without_a_body_has_no_digest() -> None:
    message = signed(
        Message("GET", "", "", {"accept": "application/json"}, b""), version=Version.V15
    )

    assert "content-digest" not in message.headers
    assert verify(message, known).components == ("@method", "@path", "accept")


def test_an_ecdsa_signature_is_der_in_standard_base64() -> None:
    octets = signature_octets(signed())

    assert octets[0] == 0x30
    assert decode_dss_signature(octets)


def test_a_header_with_a_line_break_cannot_be_signed() -> None:
    with pytest.raises(SignatureError, match="line break"):
        signed(with_headers(DELIVERY, accept="a\nb"))


# What is refused


TAMPERINGS: dict[str, Callable[[Message], Message]] = {
    "method": lambda m: replace(m, method="PUT"),
    "path": lambda m: replace(m, path="/webhooks/other"),
    "path encoding": lambda m: replace(m, path="/webhooks/investment%2Dapi"),
    "query": lambda m: replace(m, query="a=2"),
    "query removed": lambda m: replace(m, query=""),
    "body": lambda m: replace(m, body=b'{"payload":[1]}'),
    "body removed": lambda m: replace(m, body=b""),
    "digest": lambda m: with_headers(m, digest=digest_of(b"x", Version.V6)),
    "body and digest": lambda m: with_headers(
        replace(m, body=b"x"), digest=digest_of(b"x", Version.V6)
    ),
    "content-type": lambda m: with_headers(m, **{"Content-Type": "text/plain"}),
    "content-length": lambda m: with_headers(m, **{"Content-Length": "15"}),
    "header removed": lambda m: without_header(m, "accept"),
    "created": lambda m: with_headers(
        m, **{"signature-input": m.headers["signature-input"].replace("1795", "1796")}
    ),
    "nonce": lambda m: with_headers(
        m, **{"signature-input": m.headers["signature-input"].replace("n1", "n2")}
    ),
    "component dropped": lambda m: with_headers(
        m, **{"signature-input": m.headers["signature-input"].replace(' "accept"', "")}
    ),
    "parameter added": lambda m: with_headers(
        m, **{"signature-input": m.headers["signature-input"] + ";x=1"}
    ),
    "signature": lambda m: with_signature(
        m, signature_octets(m)[:-1] + bytes([signature_octets(m)[-1] ^ 1])
    ),
}


@pytest.mark.parametrize("tamper", TAMPERINGS.values(), ids=TAMPERINGS.keys())
def test_whatever_is_covered_cannot_be_changed(tamper: Callable[[Message], Message]) -> None:
    good = signed(replace(DELIVERY, query="a=1"))
    assert verify(good, known)

    with pytest.raises(SignatureError):
        verify(tamper(good), known)


def test_a_good_signature_by_another_key_is_refused() -> None:
    with pytest.raises(SignatureError, match="does not fit"):
        verify(signed(key=ec.generate_private_key(ec.SECP521R1())), known)


@pytest.mark.parametrize("missing", ["@method", "@path", "digest"])
def test_a_signature_must_cover_method_path_and_digest(missing: str) -> None:
    covered = ["@method", "@path", "digest", "content-type"]
    assert verify(signed_over(covered), known)

    with pytest.raises(SignatureError, match="does not cover"):
        verify(signed_over([name for name in covered if name != missing]), known)


def test_a_component_covered_twice_is_refused() -> None:
    with pytest.raises(SignatureError, match="twice"):
        verify(signed_over(["@method", "@path", "digest", "accept", "accept"]), known)


def test_a_component_that_the_request_does_not_have_is_refused_by_its_name() -> None:
    message = signed_over(["@method", "@path", "digest", "accept"])

    with pytest.raises(SignatureError, match="covers accept, which the request does not have"):
        verify(without_header(message, "accept"), known)


@pytest.mark.parametrize(
    "item", ['"@query-param";name="a"', '"content-type";bs', '"@target-uri"', '"@status"']
)
def test_a_component_we_do_not_know_is_refused(item: str) -> None:
    message = signed()
    changed = message.headers["signature-input"].replace('"accept"', item)

    with pytest.raises(SignatureError, match="does not have"):
        verify(with_headers(message, **{"signature-input": changed}), known)


@pytest.mark.parametrize(
    "alg", ["ecdsa-p256-sha256", "rsa-pss-sha512", "ed25519", "hmac-sha256", "none"]
)
def test_an_algorithm_that_is_not_the_keys_own_is_refused(alg: str) -> None:
    with pytest.raises(SignatureError, match=alg):
        verify(signed_over(["@method", "@path", "digest"], alg=alg), known)


def test_the_keys_own_algorithm_may_be_named() -> None:
    assert verify(signed_over(["@method", "@path", "digest"], alg="ecdsa-p521-sha512"), known)


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(SignatureError, match="the key 4711 is not known"):
        verify(signed(key_id="4711"), known)


def test_a_signature_without_a_key_id_is_refused() -> None:
    message = signed_over(["@method", "@path", "digest"], keyid="")

    with pytest.raises(SignatureError, match="names no key"):
        verify(message, known)


def test_a_key_on_another_curve_verifies_nothing() -> None:
    with pytest.raises(SignatureError, match="P-521 or Ed25519"):
        verify(signed(), knows(ec.generate_private_key(ec.SECP256R1()).public_key()))


@pytest.mark.parametrize("name", ["signature", "signature-input"])
def test_a_missing_header_is_named(name: str) -> None:
    with pytest.raises(SignatureError, match=f"{name} is missing"):
        verify(without_header(signed(), name), known)


@pytest.mark.parametrize("created", [10**15 - 1, -(10**15 - 1), "soon"])
def test_a_moment_that_is_none_is_refused(created: str | int) -> None:
    with pytest.raises(SignatureError, match="created"):
        verify(signed_over(["@method", "@path", "digest"], created=created), known)


def test_a_digest_of_an_algorithm_we_do_not_know_binds_nothing() -> None:
    with pytest.raises(SignatureError, match="neither SHA-256 nor SHA-512"):
        check_digest("md5=XUFAKrxLKna5cZ2REBfFkg==", b"hello")


def test_every_digest_that_is_named_must_be_right() -> None:
    right = digest_of(b"body", Version.V6)
    check_digest(f"md5=AAAA,{right}", b"body")

    with pytest.raises(SignatureError, match="does not match"):
        check_digest(f"{right},sha-512=AAAA", b"body")


def test_a_stranger_cannot_choose_how_many_signatures_we_check() -> None:
    message = signed()
    many = ", ".join(f'{label}=("@method");keyid="{KEY_ID}"' for label in "abcde")

    with pytest.raises(SignatureError, match="more than 4"):
        verify(with_headers(message, **{"signature-input": many}), known)


# What is tolerated, since upstream does not say


def test_a_raw_signature_of_two_numbers_is_taken_as_well_as_der() -> None:
    message = signed()
    r, s = decode_dss_signature(signature_octets(message))

    assert verify(with_signature(message, r.to_bytes(66, "big") + s.to_bytes(66, "big")), known)


def test_any_label_will_do() -> None:
    assert (
        verify(signed_over(["@method", "@path", "digest"], label="upstream"), known).label
        == "upstream"
    )


def test_of_several_signatures_one_good_one_is_enough() -> None:
    good = signed_over(["@method", "@path", "digest"], label="good")
    other = f'other=("@method");keyid="{KEY_ID}"'
    message = with_headers(
        good,
        **{
            "signature-input": f"{other}, {good.headers['signature-input']}",
            "signature": f"other=:AAAA:,{good.headers['signature']}",
        },
    )

    assert verify(message, known).label == "good"
    with pytest.raises(SignatureError, match=r"other: .*; good: the body does not match"):
        verify(replace(message, body=b"x"), known)


def test_a_delivery_may_bind_its_body_by_either_digest_in_either_version() -> None:
    message = with_headers(DELIVERY, **{"content-digest": digest_of(DELIVERY.body, Version.V15)})

    assert (
        verify(signed_over(["@method", "@path", "content-digest"], message=message), known).version
        is Version.V6
    )


@pytest.mark.parametrize("components", [["@authority"], ["@request-target"], ["@query"]])
def test_other_parts_of_the_address_may_be_covered(components: list[str]) -> None:
    message = signed_over(["@method", "@path", "digest", *components])

    assert verify(message, known)
    with pytest.raises(SignatureError):
        verify(
            with_headers(replace(message, query="a=1", path="/other"), Host="evil.example.com"),
            known,
        )


def test_a_repeated_header_that_the_server_joined_with_a_bare_comma_still_fits() -> None:
    message = signed(with_headers(DELIVERY, via="a, b"))

    assert verify(with_headers(message, via="a,b"), known)
    with pytest.raises(SignatureError):
        verify(with_headers(message, via="a,c"), known)


def test_header_names_count_in_any_case_and_values_without_the_space_around() -> None:
    message = signed()

    assert verify(
        replace(message, headers={n.upper(): f" {v}\t" for n, v in message.headers.items()}), known
    )


def test_bytes_of_a_header_that_are_not_ascii_count_as_they_came() -> None:
    as_wsgi_shows_it = "Prüfung €".encode().decode("latin-1")

    assert verify(signed(with_headers(DELIVERY, title=as_wsgi_shows_it)), known)


def test_created_expires_and_nonce_may_be_absent() -> None:
    verified = verify(signed_over(["@method", "@path", "digest"]), known)

    assert (verified.created, verified.expires, verified.nonce) == (None, None, "")


def test_what_the_key_set_raises_goes_through() -> None:
    def unavailable(key_id: str) -> PublicKey:
        raise ConnectionError(key_id)

    with pytest.raises(ConnectionError):
        verify(signed(), unavailable)


def test_the_keys_a_message_names_can_be_read_before_it_is_verified() -> None:
    inputs = 'a=("@method");keyid="k1", b=();keyid="k2";x, c=("date");keyid="k1"'

    assert key_ids(with_headers(DELIVERY, **{"signature-input": inputs})) == ["k1", "k2"]


# What a proxy may do to a delivery on its way


FRAMED = {**DELIVERY.headers, "Transfer-Encoding": "chunked", "Expect": "100-continue"}


@pytest.mark.parametrize("version", list(Version))
@pytest.mark.parametrize(
    ("covered", "lost"),
    [
        (["content-length"], ["content-length"]),
        (["transfer-encoding"], ["transfer-encoding"]),
        (["content-length", "transfer-encoding"], ["content-length", "transfer-encoding"]),
        (["expect"], ["expect"]),
        (["content-length"], ["content-length", "digest"]),
    ],
)
def test_a_covered_header_that_follows_from_the_body_may_be_lost_on_the_way(
    covered: list[str], lost: list[str], version: Version
) -> None:
    message = replace(DELIVERY, headers=FRAMED)
    sent = signed_over(
        ["@method", "@path", version.digest_header, *covered], message=message, version=version
    )
    for name in lost:
        sent = without_header(sent, name)

    assert verify(sent, known).version is version
    with pytest.raises(SignatureError):
        verify(replace(sent, body=DELIVERY.body + b" "), known)


def test_the_length_of_an_empty_body_is_known_too() -> None:
    message = Message("POST", "/hook", "", {"content-length": "0"}, b"")
    sent = signed(message)

    assert verify(without_header(sent, "content-length"), known)
    with pytest.raises(SignatureError):
        verify(replace(without_header(sent, "content-length"), body=b"{}"), known)


@pytest.mark.parametrize("length", ["0014", "014", "14,14", "14, 14", ""])
def test_another_spelling_of_the_right_length_fits(length: str) -> None:
    assert verify(with_headers(signed(), **{"Content-Length": length}), known)


@pytest.mark.parametrize("length", ["13", "15", "-14", "14, 15"])
def test_a_length_that_is_not_that_of_the_body_does_not_fit(length: str) -> None:
    with pytest.raises(SignatureError):
        verify(with_headers(signed(), **{"Content-Length": length}), known)


@pytest.mark.parametrize("name", ["accept", "content-type", "x-trace"])
def test_a_covered_header_that_follows_from_nothing_may_not_be_lost(name: str) -> None:
    message = with_headers(DELIVERY, **{"x-trace": "1"})
    sent = signed_over(["@method", "@path", "digest", name], message=message)

    with pytest.raises(SignatureError, match=f"covers {name}, which the request does not have"):
        verify(without_header(without_header(sent, name), "content-length"), known)


SPELLINGS = [
    ("a, b", "a,b"), ("a,b", "a, b"), ("a, b", "a ,  b"), ("a;q=1, b", "a;q=1,b"),
    ("a;q=1,b;q=2", "a; q=1, b; q=2"), ("a; q=1, b", "a;q=1,b"), ("a", "a,a"), ("a, b", "a, b, a, b"),
    ("a b", "a  b"), ('text; x="a,b;c", d', 'text;x="a,b;c",d'),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "came"), SPELLINGS)
def test_a_header_that_a_proxy_joined_repeated_or_spaced_otherwise_fits(
    sent: str, came: str
) -> None:
    message = signed(with_headers(DELIVERY, via=sent))

    assert verify(with_headers(message, via=came), known)


@pytest.mark.parametrize("came", ["a, c", "b, a", "a", "ab", 'a, "b"', "A, B"])
def test_a_header_with_other_words_does_not_fit(came: str) -> None:
    with pytest.raises(SignatureError):
        verify(with_headers(signed(with_headers(DELIVERY, via="a, b")), via=came), known)


def test_space_inside_of_quotes_is_never_changed() -> None:
    message = signed(with_headers(DELIVERY, via='x="a,b"'))

    with pytest.raises(SignatureError):
        verify(with_headers(message, via='x="a, b"'), known)


def test_several_changes_at_once_fit_too() -> None:
    message = signed(with_headers(DELIVERY, via="a, b", Accept="x,y"))
    changed = with_headers(message, via="a,b", Accept="x, y")

    assert verify(without_header(changed, "content-length"), known)


@pytest.mark.parametrize("name", ["signature-input", "signature"])
def test_a_signature_header_that_a_proxy_repeated_is_read_once(name: str) -> None:
    message = signed()

    assert verify(
        with_headers(message, **{name: f"{message.headers[name]},{message.headers[name]}"}), known
    )


def test_parameters_that_a_proxy_spaced_otherwise_fit() -> None:
    message = signed()
    spaced = message.headers["signature-input"].replace(";", "; ").replace("(", "( ")

    assert verify(with_headers(message, **{"signature-input": spaced}), known)


def test_no_message_has_more_candidates_than_the_limit() -> None:
    message = with_headers(DELIVERY, **{f"x-{n}": "a,b, c;d" for n in range(20)})
    sent = signed_over(
        ["@method", "@path", "digest", *(f"x-{n}" for n in range(20))], message=message
    )
    (signed_input,) = read_inputs(sent.headers["signature-input"])

    found = list(bases(sent, fields_of(sent), signed_input, PUBLIC))

    assert len(found) == len({base for _, base in found}) == 32


# The public address as a second candidate

PUBLIC = Address.parse("https://Desk.example.com/desk/webhooks/investment-api")
AT_PUBLIC = replace(
    with_headers(DELIVERY, Host="desk.example.com"),
    path="/desk/webhooks/investment-api",
    scheme="https",
)


def moved(message: Message, **headers: str) -> Message:
    """Return the message as a proxy hands it on that strips the prefix and sends its own Host."""
    return with_headers(
        replace(message, path=DELIVERY.path, scheme=""), Host="10.0.0.7:8000", **headers
    )


@pytest.mark.parametrize(
    "component", ["@path", "@authority", "@request-target", "@target-uri", "@scheme", "host"]
)
def test_a_delivery_signed_for_the_public_address_fits_where_a_proxy_changed_prefix_and_host(
    component: str,
) -> None:
    covered = list(dict.fromkeys(["@method", "@path", "digest", component]))
    sent = signed_over(covered, message=AT_PUBLIC)

    assert verify(moved(sent), known, public=PUBLIC)
    for other in (None, Address.parse("https://desk.example.com/other/webhooks/investment-api")):
        with pytest.raises(SignatureError):
            verify(moved(sent), known, public=other)


def test_a_delivery_signed_for_where_it_arrived_fits_whatever_the_public_address_is() -> None:
    sent = signed_over(["@method", "@path", "@authority", "digest"])

    assert verify(sent, known, public=PUBLIC)


@pytest.mark.parametrize("host", ["desk.example.com", "desk.example.com:443"])
def test_the_default_port_may_be_named_or_not(host: str) -> None:
    sent = signed_over(
        ["@method", "@path", "@authority", "digest"], message=with_headers(AT_PUBLIC, Host=host)
    )

    assert verify(moved(sent), known, public=PUBLIC)


def test_the_public_address_may_end_in_the_slash_that_the_setting_is_read_without() -> None:
    sent = signed_over(
        ["@method", "@path", "digest"], message=replace(AT_PUBLIC, path=f"{AT_PUBLIC.path}/")
    )

    assert verify(moved(sent), known, public=PUBLIC)


def test_a_query_of_the_public_address_that_a_proxy_drops_fits() -> None:
    public = Address.parse(f"{PUBLIC}?source=broker")
    sent = signed_over(
        ["@method", "@path", "@query", "digest"],
        message=replace(AT_PUBLIC, query="source=broker"),
    )

    assert verify(replace(moved(sent), query=""), known, public=public)
    with pytest.raises(SignatureError):
        verify(replace(moved(sent), query=""), known, public=PUBLIC)


def test_what_fits_at_no_address_is_told_apart_from_what_is_wrong_in_itself() -> None:
    with pytest.raises(MisfitError):
        verify(moved(signed(AT_PUBLIC)), known)
    with pytest.raises(SignatureError) as found:
        verify(replace(moved(signed(AT_PUBLIC)), body=b"x"), known, public=PUBLIC)
    assert not isinstance(found.value, MisfitError)


# The parser

NAMES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
LABELS = st.from_regex(r"[a-z*][a-z0-9_.*-]{0,8}", fullmatch=True)
VALUES = st.integers(-(10**15) + 1, 10**15 - 1) | NAMES
HEADERS = ["signature-input", "signature", "digest", "content-digest", "content-length"]


@given(
    st.dictionaries(
        LABELS, st.tuples(st.lists(NAMES), st.dictionaries(LABELS, VALUES)), min_size=1, max_size=4
    )
)
@settings(max_examples=100)
def test_what_is_written_into_signature_input_is_read_back_the_same(
    inputs: dict[str, tuple[list[str], dict[str, str | int]]],
) -> None:
    texts = {label: write_params(*given_input) for label, given_input in inputs.items()}

    read = read_inputs(" ,\t".join(f"{label}={text}" for label, text in texts.items()))

    assert {one.label: one.params for one in read} == texts
    assert {one.label: ([*one.components], dict(one.parameters)) for one in read} == inputs


PIECES = [
    "sig1=",
    '("@method" "@path")',
    ";keyid=",
    '"k"',
    ";created=179",
    ",",
    " ",
    "(",
    ")",
    '"',
    "\\",
    ":AA==:",
    ":",
]
ASSEMBLED = st.lists(st.sampled_from(PIECES)).map("".join)
AS_BYTES = st.binary().map(lambda octets: octets.decode("latin-1"))


@given(st.text() | AS_BYTES | ASSEMBLED)
@settings(max_examples=300)
def test_any_text_in_the_signature_headers_is_read_or_refused_and_never_breaks_us(
    text: str,
) -> None:
    for read in (read_inputs, read_signatures):
        try:
            read(text)
        except SignatureError as error:
            assert str(error)


@given(st.dictionaries(st.sampled_from(HEADERS), st.text() | ASSEMBLED), st.binary())
@settings(max_examples=100)
def test_no_message_makes_verify_raise_anything_but_a_signature_error(
    headers: dict[str, str], body: bytes
) -> None:
    message = signed_over(["@method", "@path", "digest", "content-type"])

    with pytest.raises(SignatureError):
        verify(replace(message, body=body, headers={**message.headers, **headers}), known)


@given(st.binary(max_size=140))
@settings(max_examples=100)
def test_no_bytes_but_a_signature_are_one(octets: bytes) -> None:
    with pytest.raises(SignatureError):
        verify(with_signature(signed(), octets), known)


def test_a_long_hostile_header_is_refused_at_once() -> None:
    hostile = "sig1=(" + '"a" ' * 50_000 + ";a" * 50_000

    with pytest.raises(SignatureError, match="cannot be read"):
        read_inputs(hostile)


# Keys


def pem(key: Any, passphrase: str = "", encoding: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    protect = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    private: bytes = key.private_bytes(Encoding.PEM, encoding, protect)
    return private


@pytest.mark.parametrize("encoding", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("passphrase", ["", "geheim"])
def test_a_p_521_key_is_read_with_and_without_a_passphrase(
    encoding: PrivateFormat, passphrase: str
) -> None:
    key = load_private_key(pem(KEY, passphrase, encoding), passphrase)

    assert verify(signed(key=key), known)


def test_an_ed25519_key_is_read() -> None:
    assert verify(signed(key=load_private_key(pem(ED_KEY))), knows(ED_KEY.public_key()))


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "secp256r1"),
        (ec.generate_private_key(ec.SECP384R1()), "secp384r1"),
        (rsa.generate_private_key(65537, 1024), "RSA"),
    ],
    ids=["P-256", "P-384", "RSA"],
)
def test_another_kind_of_key_is_refused_with_the_kinds_that_work(key: Any, kind: str) -> None:
    with pytest.raises(UnsupportedKeyError, match=f"{kind}; use ECDSA P-521 or Ed25519"):
        load_private_key(pem(key))


def test_a_key_that_cannot_be_read_is_refused_with_the_reason() -> None:
    with pytest.raises(UnsupportedKeyError, match="needs a passphrase"):
        load_private_key(pem(KEY, "geheim"))
    with pytest.raises(UnsupportedKeyError, match="passphrase is wrong"):
        load_private_key(pem(KEY, "geheim"), "falsch")
    with pytest.raises(UnsupportedKeyError, match="not encrypted but a passphrase is given"):
        load_private_key(pem(KEY), "geheim")
    with pytest.raises(UnsupportedKeyError, match="not readable PEM"):
        load_private_key(b"")


@pytest.mark.parametrize("key", [KEY, ED_KEY], ids=["P-521", "Ed25519"])
def test_a_public_key_survives_the_way_through_a_jwk(key: PrivateKey) -> None:
    jwk = jwk_from_public_key(KEY_ID, key.public_key())

    assert jwk["kid"] == KEY_ID
    assert verify(signed(key=key), knows(public_key_from_jwk(jwk)))


def test_a_jwk_is_written_as_upstream_writes_it() -> None:
    (jwk, _) = json.loads((SAMPLES / "verify_keys.json").read_text())["keys"]

    assert jwk_from_public_key(jwk["kid"], public_key_from_jwk(jwk)) == jwk


@pytest.mark.parametrize(
    "change",
    [
        {"crv": "P-256"},
        {"kty": "RSA"},
        {"kty": None},
        {"x": "AAAA"},
        {"x": None},
        {"y": "%"},
        {"kty": "OKP", "crv": "Ed25519"},
    ],
    ids=str,
)
def test_a_jwk_that_is_no_key_of_ours_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedKeyError):
        public_key_from_jwk({**REQUESTS["public_jwk"], **change})
