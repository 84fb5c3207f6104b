"""Migrations neither stop the desk nor break the release before."""

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, connections, migrations, models, transaction
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED
from django.utils import timezone

from backoffice.management.commands import migrate
from backoffice.moments import MomentIndex, newest_first
from backoffice.schema.operations import AddConstraint, AddIndex, SetDefaults
from webhooks.models import Delivery

ON_POSTGRESQL = connection.vendor == "postgresql"
only_postgresql = pytest.mark.skipif(not ON_POSTGRESQL, reason="SQLite has neither")


def insert(table, **values):
    """Insert a row as a release does that knows no other columns."""
    names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", [*values.values()])


def test_every_column_with_a_default_in_the_code_has_one_in_the_database():
    without = [
        str(field)
        for app in ("orders", "webhooks")
        for model in apps.get_app_config(app).get_models()
        for field in model._meta.local_concrete_fields
        if field.has_default() and not field.primary_key and field.db_default is NOT_PROVIDED
    ]

    assert without == []


def test_a_release_that_does_not_know_a_column_can_go_on_writing(db):
    insert("webhooks_delivery", received_at=timezone.now(), verdict="ACCEPTED")
    insert("orders_journalentry", source="POLL", outcome="NOTED", occurred_at=timezone.now(),
           recorded_at=timezone.now())  # fmt: skip
    insert("orders_order", id="0" * 32)
    insert("orders_portfolioorder", id="0" * 32)

    assert Delivery.objects.get().headers == {}


@pytest.fixture
def state():
    """Return a table of our own, as migrations see it, and how to apply an operation to it."""
    fields: list[tuple[str, models.Field]] = [
        ("id", models.BigAutoField(primary_key=True)),
        ("name", models.CharField(max_length=9)),
    ]
    create = migrations.CreateModel("Thing", fields)

    class Table:
        before = ProjectState()

        def apply(self, operation, *, atomic=False):
            after = self.before.clone()
            operation.state_forwards("orders", after)
            with connection.schema_editor(atomic=atomic) as editor:
                operation.database_forwards("orders", editor, self.before, after)
            return after

    table = Table()
    table.before = table.apply(create)
    yield table
    connections.close_all()
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE orders_thing")


def things():
    with connection.cursor() as cursor:
        return connection.introspection.get_constraints(cursor, "orders_thing")


BY_NAME = models.Index(fields=["name"], name="thing_name")
ONE_OF_A_NAME = models.UniqueConstraint(
    fields=["name"], condition=models.Q(id__gt=0), name="thing_one"
)
NAMED = models.CheckConstraint(condition=~models.Q(name=""), name="thing_named")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "operation",
    [AddIndex("thing", BY_NAME), AddConstraint("thing", ONE_OF_A_NAME), AddConstraint("thing", NAMED)],
    ids=["index", "unique", "check"],
)  # fmt: skip
def test_an_index_or_constraint_is_added_to_a_table_in_use_and_may_be_added_again(state, operation):
    state.apply(operation)
    state.apply(operation)

    assert {"thing_name", "thing_one", "thing_named"} & things().keys()


@only_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_build_that_failed_is_made_good_by_the_next(state):
    insert("orders_thing", name="one")
    insert("orders_thing", name="one")
    with pytest.raises(Exception, match="duplicate"):
        state.apply(AddConstraint("thing", ONE_OF_A_NAME))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM orders_thing WHERE id = (SELECT min(id) FROM orders_thing)")

    state.apply(AddConstraint("thing", ONE_OF_A_NAME))

    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'thing_one'::regclass")
        assert cursor.fetchone() == (True,)


@pytest.mark.django_db(transaction=True)
def test_defaults_are_set_for_all_columns_of_a_table_at_once(state):
    field = models.CharField(max_length=9, db_default="nobody")
    state.apply(SetDefaults("thing", {"name": field}), atomic=True)

    insert("orders_thing", id=7)

    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM orders_thing")
        assert cursor.fetchone() == ("nobody",)


@pytest.mark.django_db(transaction=True)
def test_a_table_with_an_index_of_moments_takes_a_new_column(state):
    """SQLite copies it under another name, and renames it in the index."""
    moment = models.DateTimeField(null=True)
    state.before = state.apply(migrations.AddField("thing", "at", moment))
    by_moment = MomentIndex(newest_first("at"), name="thing_newest")
    state.before = state.apply(AddIndex("thing", by_moment))

    flag = models.BooleanField(default=False, db_default=False)
    state.apply(migrations.AddField("thing", "is_new", flag), atomic=True)

    assert "thing_newest" in things()


@only_postgresql
@pytest.mark.django_db(transaction=True)
def test_migrate_gives_way_where_a_table_is_in_use_and_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr(migrate, "TRIES", 1)
    monkeypatch.setattr(migrate, "PAUSE", 0)
    reader = connection.copy("reader")
    try:
        with reader.cursor() as cursor:
            cursor.execute("BEGIN; SELECT count(*) FROM orders_placement")
            with pytest.raises(CommandError, match=r"run `manage\.py migrate` again"):
                call_command("migrate", "orders", "0005", verbosity=0)
            cursor.execute("ROLLBACK")
    finally:
        reader.close()
        call_command("migrate", verbosity=0)
    with transaction.atomic():
        insert("orders_order", id="0" * 32)
