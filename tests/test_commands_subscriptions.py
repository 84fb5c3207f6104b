"""``manage.py subscriptions``: what it says, what it does, and how it ends."""

from uuid import UUID, uuid4

import pytest
from django.core.management import CommandError, call_command

from backoffice.sandbox import Trouble
from orders.models import JournalEntry
from tests.upstream import START, running
from webhooks.models import Subscription
from webhooks.subscriptions import setup, trial, wanted

pytestmark = pytest.mark.django_db
URL = "https://desk.example.com/webhooks/investment-api"


@pytest.fixture
def upstream(settings, monkeypatch):
    settings.WEBHOOK_PUBLIC_URL = URL
    monkeypatch.setenv("LOGNAME", "mira")
    with running(settings) as upstream:
        yield upstream


@pytest.fixture
def run(capsys):
    def run(*arguments):
        call_command("subscriptions", *arguments)
        return capsys.readouterr().out

    return run


def made(upstream, url=URL):
    return UUID(upstream.subscriptions.create(wanted.document(url), now=START).id)


def answer(monkeypatch, text):
    monkeypatch.setattr("builtins.input", lambda: text)


def test_ensure_names_each_thing_it_changed_and_who_did_it(upstream, run):
    pk = made(upstream)
    upstream.subscriptions.update(str(pk), {"type": ["ORDER"], "title": "x"}, now=START)

    said = run("ensure")

    assert f"Subscription {pk}: topics from ORDER to" in said
    assert "; title from 'x' to 'Order Desk'; enabled it." in said
    assert JournalEntry.objects.get(type="SUBSCRIPTION").actor == "mira (command line)"
    assert run("ensure") == f"Subscription {pk}: nothing to change.\n"


def test_ensure_fails_where_the_broker_does_not_take_the_change(upstream, monkeypatch):
    it = upstream.subscriptions.get(str(made(upstream)))
    monkeypatch.setattr(upstream.subscriptions, "update", lambda *_, **__: it)

    with pytest.raises(CommandError, match="not what it should be"):
        call_command("subscriptions", "ensure")


@pytest.mark.parametrize("step", ["ensure", "test"])
def test_without_an_address_the_error_says_what_to_set(upstream, settings, step):
    settings.WEBHOOK_PUBLIC_URL = ""

    with pytest.raises(CommandError, match="WEBHOOK_PUBLIC_URL is not set"):
        call_command("subscriptions", step)


@pytest.mark.parametrize("arguments", [["list"], ["ensure"], ["test", str(uuid4())]])
def test_an_api_that_does_not_answer_is_an_error(upstream, arguments):
    upstream.expect(Trouble("problem", 503), times=3)

    with pytest.raises(CommandError, match="503"):
        call_command("subscriptions", *arguments)


def test_without_credentials_it_says_which_settings_are_missing(settings):
    with pytest.raises(CommandError, match="INVESTMENT_API"):
        call_command("subscriptions", "list")


def test_list_shows_what_is_registered_with_marks_and_the_condition(upstream, run):
    ours, other = made(upstream), made(upstream, "https://other.example.com/")

    said = run("list")

    assert f"{ours}  ours, disabled\n  {URL}\n  PORTFOLIO_ORDER, ORDER," in said
    assert f"{other}  foreign, disabled\n" in said
    assert "No updates arrive until it is enabled." in said
    assert Subscription.objects.count() == 2


def test_list_of_nothing_says_so(upstream, run):
    said = run("list")

    assert said.startswith("The broker has no subscription.\n")
    assert f"No updates arrive at {URL}" in said


def test_test_fails_when_nothing_came(upstream, monkeypatch):
    pk = setup.ensure(actor="mira").subscription_id
    slept: list[float] = []
    monkeypatch.setattr(trial, "sleep", slept.append)

    with pytest.raises(CommandError, match="No test event arrived within 3 s"):
        call_command("subscriptions", "test", "--wait", "3")

    assert sum(slept) == 3
    assert f"POST /webhooks/{pk}/test" in upstream.asked()


def test_test_needs_something_to_test(upstream):
    with pytest.raises(CommandError, match="run `subscriptions ensure` first"):
        call_command("subscriptions", "test")


def test_delete_asks_first_and_says_what_is_lost(upstream, run, monkeypatch, capsys):
    pk = made(upstream, "https://other.example.com/")
    answer(monkeypatch, "no")

    with pytest.raises(CommandError, match="nothing was deleted"):
        run("delete", str(pk))

    said = capsys.readouterr().out
    assert f"Delete subscription {pk}, 'Order Desk' to https://other.example.com/? Events" in said
    assert len(upstream.subscriptions.all()) == 1
    answer(monkeypatch, "yes")
    assert "Its queued events are lost." in run("delete", str(pk))
    assert upstream.subscriptions.all() == []


@pytest.mark.parametrize("typed", ["yes", "", "https://other.example.com/"])
def test_delete_of_the_live_subscription_asks_for_its_url(
    upstream, run, monkeypatch, capsys, typed
):
    pk = made(upstream)
    answer(monkeypatch, typed)

    with pytest.raises(CommandError, match="nothing was deleted"):
        run("delete", str(pk))

    said = capsys.readouterr().out
    assert "This is the live subscription: no more webhooks arrive here." in said
    assert said.endswith("Type its URL to delete it: ")
    assert len(upstream.subscriptions.all()) == 1
    answer(monkeypatch, URL)
    assert "Its queued events are lost." in run("delete", str(pk))
    assert upstream.subscriptions.all() == []


def test_delete_with_yes_asks_nothing(upstream, run):
    pk = made(upstream)

    assert run("delete", str(pk), "--yes").startswith(f"Deleted subscription {pk}")


def test_delete_without_anybody_to_ask_deletes_nothing(upstream, monkeypatch):
    def nobody():
        raise EOFError

    pk = made(upstream)
    monkeypatch.setattr("builtins.input", nobody)

    with pytest.raises(CommandError, match="--yes"):
        call_command("subscriptions", "delete", str(pk))

    assert len(upstream.subscriptions.all()) == 1


def test_delete_of_what_is_not_there_is_an_error(upstream):
    with pytest.raises(CommandError, match="The broker has no subscription"):
        call_command("subscriptions", "delete", str(uuid4()))


def test_what_is_no_id_is_told(upstream):
    with pytest.raises(CommandError, match="is not the id of a subscription"):
        call_command("subscriptions", "delete", "ours")
