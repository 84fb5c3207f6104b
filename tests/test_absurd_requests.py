"""No request to the desk, however absurd, is answered 500 or leaves an error in the log."""

from typing import Any
from urllib.parse import quote

import pytest
import time_machine
from django.contrib import admin as django_admin
from django.test import Client
from django.urls import resolve

from backoffice import admin
from tests import scenes
from tests.absurd import (
    ENCODED,
    LONG,
    LOOKUPS,
    NAMES,
    OTHER_NAMES,
    VALUES,
    Prober,
    forms_in,
    paths,
    queries,
    routes,
)
from tests.staff import browser
from tests.stories import START
from tests.upstream import PEM

pytestmark = pytest.mark.django_db

ROUTES = [*routes()]
SECTIONS = ["admin/auth/", "admin/otp", "admin/orders/", "admin/webhooks/", ""]
LISTS = {
    f"/admin/{model._meta.app_label}/{model._meta.model_name}/": model_admin
    for model, model_admin in django_admin.site._registry.items()
}
GROUPS = ["Viewer", "Operator", "Auditor", "Trader"]
# The values that break something differ from door to door; these few go through every door.
SOME_VALUES = ["\0", "99999999999999999999", "٣", "0001-01-01"]
SOME = ["%00", "99999999999999999999", "%D9%A3", "0001-01-01"]
MORE = [*SOME, "%ED%A0%80", "9999-12-31", LONG]
# One of each kind of list: Django's, a library's, ours.
ANY_LOOKUP = {"/admin/auth/user/", "/admin/otp_totp/totpdevice/", "/admin/orders/portfolioorder/"}


@pytest.fixture
def desk(monkeypatch):
    """A desk with a row of everything, and lists that are too long to be counted."""
    monkeypatch.setattr(admin, "CAP", 2)
    with time_machine.travel(START, tick=False) as traveller:
        scenes.furnish(scenes.Desk(traveller), count=1)
        scenes.add_the_rest()
        yield


@pytest.fixture
def probing(desk, caplog, settings):
    """Return a prober of somebody in a group; of a superuser without one, of a stranger for None."""

    settings.INVESTMENT_API_URL = "http://127.0.0.1:9"  # nobody answers
    settings.INVESTMENT_API_CLIENT_ID = settings.INVESTMENT_API_CLIENT_SECRET = "made up"
    settings.INVESTMENT_API_KEY_ID, settings.INVESTMENT_API_PRIVATE_KEY = "made up", PEM

    def probing(group=""):
        return Prober(Client() if group is None else browser(group), caplog)

    return probing


def of(section):
    """Return the routes of a section; those of none of the others for ""."""
    others = tuple(each for each in SECTIONS if each)
    mine = section or others
    return [it for it in ROUTES if it.startswith(mine) == bool(section)]


def lists_of(section):
    """Return the lists of a section."""
    return [path for path in LISTS if path.startswith(f"/{section}")]


def keys_of(route):
    """Return what leads to a row that is there: the keys of the rows of a list."""
    for path, model_admin in LISTS.items():
        if f"/{route}".startswith(path):
            return [str(pk) for pk in model_admin.model.objects.values_list("pk", flat=True)[:2]]
    return [str(scenes.RECOVERED)]


def read_by(path):
    """Return the parameters that a list reads."""
    filters: list[Any] = [it for it in LISTS[path].list_filter if hasattr(it, "names")]
    return [*(name for it in filters for name in it.names()), *NAMES]


@pytest.mark.parametrize("section", SECTIONS)
def test_an_absurd_path_is_never_an_error(probing, section):
    prober = probing()

    for route in of(section):
        for path in paths(route, [*keys_of(route), *ENCODED]):
            prober.get(path)
            if route.endswith(("/config/", "/qrcode/", "/delete/", "/password/")):
                prober.post(path, {"post": "yes"})

    assert prober.broken == []
    assert prober.requests >= len(of(section))


@pytest.mark.parametrize("section", SECTIONS[:-1])
def test_an_absurd_query_of_a_list_is_never_an_error(probing, section):
    prober = probing()

    for path in lists_of(section):
        for name in read_by(path):
            for query in queries(name, MORE if section == "admin/orders/" else SOME):
                prober.get(path, query)
        for name in [*LOOKUPS, *OTHER_NAMES] if path in ANY_LOOKUP else LOOKUPS[:2]:
            for query in queries(name, SOME):
                prober.get(path, query)

    assert prober.broken == []
    assert prober.requests > 50


@pytest.mark.parametrize("section", SECTIONS)
def test_an_absurd_query_of_any_page_is_never_an_error(probing, section):
    prober = probing()

    for route in of(section):
        for path in paths(route, keys_of(route)):
            for value in SOME:
                prober.get(path, "&".join(f"{name}={value}" for name in OTHER_NAMES))

    assert prober.broken == []


@pytest.mark.parametrize("section", SECTIONS[:-1])
def test_an_absurd_action_is_never_an_error(probing, section):
    prober = probing()

    for path in lists_of(section):
        actions = [getattr(it, "__name__", it) for it in LISTS[path].actions or ()]
        keys = keys_of(path[1:])
        for value in SOME_VALUES:
            for action in [*actions, "delete_selected", value]:
                chosen = {"action": action, "index": value, "_selected_action": [value, value]}
                prober.post(path, chosen)
                prober.post(path, {**chosen, "index": "0", "select_across": value})
                prober.post(path, {**chosen, "index": "0", "_selected_action": keys, "post": value})

    assert prober.broken == []
    assert prober.requests > 20


@pytest.mark.parametrize("section", SECTIONS)
def test_an_absurd_form_is_never_an_error(probing, section):
    prober = probing()
    forms = {}
    for route in of(section):
        for path in paths(route, keys_of(route)[:1]):
            for target, fields in forms_in(path, prober.get(path)):
                forms[resolve(target).view_name, *fields] = target, fields

    for target, fields in forms.values():
        prober.post(target, fields)
        for name in fields:
            for value in VALUES[:10] if "/orders/" in target else SOME_VALUES:
                prober.post(target, {**fields, name: value})

    assert prober.broken == []
    assert prober.requests >= len(of(section))


@pytest.mark.parametrize("group", [*GROUPS, None])
def test_no_group_and_no_stranger_meets_an_error(probing, group):
    prober = probing(group)

    for route in ROUTES:
        for path in paths(route, [*keys_of(route)[:1], *SOME]):
            prober.get(path, "q=%00&p=99999999999999999999&status=%D9%A3")
            prober.post(path, {"text": "\0", "reason": "\0", "action": "\0", "key": "\0"})

    assert prober.broken == []


@pytest.mark.parametrize("required", [True, False])
def test_an_absurd_log_in_is_never_an_error(probing, settings, required):
    settings.REQUIRE_SECOND_FACTOR = required
    prober = probing(None)
    sound = {"username": "ada", "password": "x", "code": "1"}

    for value in VALUES:
        for name in sound:
            prober.post("/admin/login/", {**sound, name: value})
        prober.post("/admin/login/", {**sound, "next": value}, query=f"next={quote(value)}")

    assert prober.broken == []


def test_an_absurd_second_factor_is_never_an_error(probing, settings):
    prober = probing()
    settings.REQUIRE_SECOND_FACTOR = True

    assert prober.get("/admin/second-factor/").status_code == 200
    for value in VALUES:
        prober.post("/admin/second-factor/", {"code": value})

    assert prober.broken == []


def test_an_absurd_cookie_is_never_an_error(probing):
    prober = probing(None)

    for name in ("sessionid", "csrftoken", "messages"):
        for value in ('"\\000aaaaaaaaa"', '"\\015\\012\\033"', "9" * 5_000, "\xff" * 40):
            header = {"HTTP_COOKIE": f"{name}={value}"}
            prober.get("/admin/login/", **header)
            prober.post("/admin/login/", {"username": "ada", "password": "x"}, **header)
            prober.post("/admin/orders/order/", {}, **header)

    assert prober.broken == []
