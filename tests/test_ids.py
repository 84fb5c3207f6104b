"""An id is read alike wherever people type or paste one: in a form, a search box or a command."""

from uuid import UUID

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class

from orders import ids, pasted
from orders.admin import reconcile_form
from orders.placing import retyping
from tests.upstream import running

TEXT = "4e97711f-794d-49c7-8fd1-df96532ab6f0"
PK = UUID(TEXT)
FORMS = [
    TEXT,
    TEXT.upper(),
    TEXT.replace("-", ""),
    f"  {TEXT}\t",
    f"\u200b{TEXT[:9]}\u200b{TEXT[9:]}\ufeff",
    f"\u00a0“{TEXT}”,",
    f"'{TEXT}';",
    f"<{TEXT}>",
    f"{{{TEXT}}}",
    f"urn:uuid:{TEXT}",
    TEXT.replace("-", "\u2011"),
    TEXT.replace("-", "\u2013"),
    TEXT.replace("-", "\uff0d"),
    TEXT.replace("-", "\u00ad-"),
    "".join(chr(ord(it) + 0xFEE0) if it.isdigit() else it for it in TEXT),  # full width
]
NONE = [
    "",
    "x",
    TEXT[:-1],
    f"{TEXT}0",
    f"{TEXT} 2292c0cd-4266-444c-a82c-d4138c65877f",
    "g" * 32,
    TEXT[:8] + TEXT[9:],
]


@pytest.mark.parametrize("text", FORMS)
def test_an_id_is_read_however_it_was_pasted(text):
    assert ids.read_id(text) == PK
    assert pasted.read(text).ids == [PK]
    assert reconcile_form.read({"scope": "ACCOUNT", "account": text}).account_id == PK


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_whole_id_is_none(text):
    assert ids.read_id(text) is None
    with pytest.raises(reconcile_form.WrongError, match="Enter the whole account ID"):
        reconcile_form.read({"scope": "ACCOUNT", "account": text})


@pytest.mark.parametrize("form", ["2ab6f0", "\u200b532AB6F0\u00a0", "“532ab6f0”,"])
def test_the_end_of_an_account_is_read_alike(form):
    right = form != "2ab6f0"
    assert right == ("tail" not in retyping.problems("1", PK, amount="1", tail=form))


@pytest.mark.django_db
@pytest.mark.parametrize("text", FORMS)
@pytest.mark.parametrize("command", [
    "refetch {}", "export_orders --portfolio-order={}", "export_history --portfolio-order={}",
    "export_portfolio_orders --portfolio-order={}", "export_executions --portfolio-order={}",
    "reconcile --account={}", "subscriptions delete {} --yes", "subscriptions test {} --wait=1",
])  # fmt: skip
def test_a_command_takes_an_id_however_it_was_pasted(settings, capsys, command, text):
    arguments = [it.format(text) for it in command.split()]

    with running(settings):
        try:
            call_command(*arguments)
            said = ""
        except CommandError as error:
            said = str(error)

    assert "is not the id of" not in said
    assert TEXT in said + "".join(capsys.readouterr())


def test_every_command_that_takes_an_id_reads_it_so():
    """No command has a reading of its own: what converts an argument is a plain type, or ``id_of``."""
    own = []
    for name, app in get_commands().items():
        if not app.startswith(("orders", "webhooks", "backoffice")):
            continue
        parser = load_command_class(app, name).create_parser("manage.py", name)
        waiting = [*parser._actions]
        while waiting:
            action = waiting.pop()
            if isinstance(action.choices, dict):
                waiting += [it for sub in action.choices.values() for it in sub._actions]
            made_by = getattr(action.type, "__module__", "")
            if action.dest in {"id", "ids", "account", "portfolio_order"}:
                own += [] if made_by == "orders.management.ids" else [(name, action.dest)]

    assert not own
