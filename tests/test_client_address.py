"""The address of a client comes from the proxies that are trusted; a header alone changes nothing."""

import pytest
from django.test import RequestFactory

from backoffice.client_address import TrustedProxies, client_address

PROXY = "10.0.0.7"
CLIENT = "203.0.113.9"
FORGED = "198.51.100.66"


def address(trusted, forwarded, *, peer=PROXY):
    return TrustedProxies.parse(trusted).client(peer, forwarded)


def test_without_the_setting_a_header_changes_nothing():
    assert address("", f"{FORGED}, {CLIENT}") == PROXY
    assert address("0", f"{FORGED}, {CLIENT}") == PROXY


@pytest.mark.parametrize("trusted", ["1", PROXY, "10.0.0.0/8", "192.0.2.0/24, 10.0.0.0/24"])
@pytest.mark.parametrize(
    "forwarded",
    [
        CLIENT,
        f"{FORGED}, {CLIENT}",
        f"{FORGED},{FORGED} , {CLIENT} ",
        f"unknown, {CLIENT}",
        f"<script>, , {CLIENT}",
        f"{FORGED}, {CLIENT}:51234",
        f'"{CLIENT}"',
        f"::ffff:{CLIENT}",
        f"[::ffff:{CLIENT}]:443",
    ],
)
def test_the_proxy_says_who_connected_to_it_whatever_came_with_the_request(trusted, forwarded):
    assert address(trusted, forwarded) == CLIENT


@pytest.mark.parametrize(
    "forwarded", ["2001:db8::5", "[2001:db8::5]", "[2001:db8::5]:443", "2001:DB8:0::5%eth0"]
)
def test_an_address_of_version_6_has_one_spelling(forwarded):
    assert address("1", forwarded) == "2001:db8::5"


@pytest.mark.parametrize(
    "forwarded",
    ["", "unknown", "_hidden", f"{FORGED}, unknown", "x" * 9000, ",,,", f"{FORGED}, 1.2.3"],
)
def test_where_the_proxy_names_nobody_its_own_address_counts_and_never_a_forged_one(forwarded):
    assert address("1", forwarded) == PROXY
    assert address("10.0.0.0/8", forwarded) == PROXY


@pytest.mark.parametrize("trusted", ["2", "10.0.0.0/8"])
def test_of_two_proxies_each_is_asked_for_the_one_before(trusted):
    assert address(trusted, f"{FORGED}, {CLIENT}, 10.9.9.9") == CLIENT


def test_who_does_not_come_through_a_listed_proxy_is_taken_for_who_connected():
    assert address("10.0.0.0/8", FORGED, peer=CLIENT) == CLIENT


def test_a_shorter_way_than_usual_never_reaches_what_the_client_wrote():
    assert address("3", f"{CLIENT}") == CLIENT
    assert address("1", f"{FORGED}, {CLIENT}") == CLIENT


def test_only_a_proxy_connects_to_a_unix_socket():
    assert address("1", f"{FORGED}, {CLIENT}", peer="") == CLIENT
    assert address("192.0.2.1", f"{FORGED}, {CLIENT}", peer="") == CLIENT
    assert address("", CLIENT, peer="") == ""


def test_a_request_is_read_the_same_way(settings):
    request = RequestFactory().get("/", REMOTE_ADDR=PROXY, HTTP_X_FORWARDED_FOR=CLIENT)
    assert client_address(request) == PROXY

    settings.TRUSTED_PROXIES = TrustedProxies.parse("1")
    assert client_address(request) == CLIENT


@pytest.mark.parametrize(
    "text",
    [
        "11",
        "999",
        "-1",
        "1.5",
        "proxy.example.com",
        "10.0.0.1/8",
        "0.0.0.0/0",
        "::/0",
        "10.0.0.1, 2",
    ],
)
def test_what_names_no_proxies_is_refused_with_the_reason(text):
    with pytest.raises(ValueError, match=r"proxies|network|everybody"):
        TrustedProxies.parse(text)
