"""What a migration must not do is named before it is released."""

import pytest
from django.db import migrations, models
from django.db.migrations.state import ModelState, ProjectState

from backoffice.schema import linter
from backoffice.schema.operations import AddConstraint, AddIndex, SetDefaults

WORD = models.CharField(max_length=9, db_default="")
INDEX = models.Index(fields=["name"], name="thing_name")
CHECK = models.CheckConstraint(condition=~models.Q(name=""), name="thing_named")
ID = ("id", models.BigAutoField(primary_key=True))


def named(*operations, atomic=True, reviewed=None):
    """Return what is named of a migration on a table with columns ``name`` and ``size``."""
    fields: list[tuple[str, models.Field]] = [
        ID,
        ("name", WORD),
        ("size", models.IntegerField(null=True)),
    ]
    before = ProjectState()
    before.add_model(ModelState("orders", "Thing", fields))
    words = {"operations": list(operations), "atomic": atomic, "reviewed": reviewed or {}}
    migration = type("Migration", (migrations.Migration,), words)("0099_try", "orders")
    return [problem.partition(":")[0] for problem in linter.problems_of(migration, before)]


def add(field):
    return migrations.AddField("thing", "new", field)


def alter(name, field):
    return migrations.AlterField("thing", name, field)


def test_the_migrations_of_this_release_can_be_applied_while_the_desk_is_in_use():
    assert list(linter.problems()) == []


@pytest.mark.parametrize(
    ("operation", "subject"),
    [
        (add(models.IntegerField(default=0)), "thing.new"),
        (add(models.IntegerField(db_default=0, unique=True)), "thing.new"),
        (add(models.CharField(max_length=9, db_default="", db_index=True)), "thing.new"),
        (add(models.ForeignKey("orders.thing", models.CASCADE, null=True, db_index=False)), "thing.new"),
        (migrations.RemoveField("thing", "name"), "thing.name"),
        (migrations.RenameField("thing", "name", "title"), "thing.name"),
        (migrations.DeleteModel("Thing"), "thing"),
        (migrations.RenameModel("Thing", "Other"), "thing"),
        (migrations.AlterModelTable("Thing", "things"), "thing"),
        (migrations.AddIndex("thing", INDEX), "thing_name"),
        (migrations.AddConstraint("thing", CHECK), "thing_named"),
        (alter("size", models.BigIntegerField(null=True)), "thing.size"),
        (alter("size", models.IntegerField(db_default=0)), "thing.size"),
        (alter("name", models.CharField(max_length=5, db_default="")), "thing.name"),
        (alter("name", models.CharField(max_length=9, default="")), "thing.name"),
        (SetDefaults("thing", {"size": models.TextField(null=True)}), "thing.size"),
        (migrations.RunPython(migrations.RunPython.noop), "RunPython"),
        (migrations.RunSQL("UPDATE orders_thing SET size = 1"), "RunSQL"),
        (AddIndex("thing", INDEX), "AddIndex"),
    ],
)  # fmt: skip
def test_what_locks_a_table_or_breaks_the_release_before_is_named(operation, subject):
    assert named(operation) == [subject]


@pytest.mark.parametrize(
    "operation",
    [
        add(models.IntegerField(null=True)),
        add(models.IntegerField(db_default=0)),
        add(models.ForeignKey("orders.thing", models.CASCADE, null=True, db_constraint=False, db_index=False)),
        alter("name", models.CharField(max_length=99, db_default="")),
        alter("name", models.TextField(db_default="")),
        SetDefaults("thing", {"size": models.IntegerField(null=True, db_default=0)}),
        migrations.CreateModel("Other", [ID, ("name", models.TextField())]),
        migrations.RemoveIndex("thing", "thing_name"),
    ],
)  # fmt: skip
def test_what_does_neither_is_not_named(operation):
    if isinstance(operation, migrations.RemoveIndex):
        assert named(AddIndex("thing", INDEX), atomic=False) == []
    else:
        assert named(operation) == []


def test_a_table_that_the_migration_itself_makes_may_have_anything():
    create = migrations.CreateModel("Other", [ID, ("name", models.TextField())])

    assert named(create, migrations.AddIndex("other", INDEX)) == []


def test_indexes_and_constraints_are_built_outside_of_a_transaction_and_by_themselves():
    assert named(AddIndex("thing", INDEX), AddConstraint("thing", CHECK), atomic=False) == []
    assert named(AddIndex("thing", INDEX), add(WORD), atomic=False) == ["AddField"]


def test_a_column_goes_in_two_steps_and_the_second_says_since_when_nobody_uses_it():
    forget = migrations.SeparateDatabaseAndState(
        state_operations=[migrations.RemoveField("thing", "name")]
    )
    drop = migrations.RemoveField("thing", "name")

    assert named(forget) == []
    assert named(drop, reviewed={"thing.name": "no release since 0.4 uses it"}) == []


def test_a_column_that_the_code_forgets_must_not_be_needed_to_add_a_row():
    make = migrations.CreateModel("Other", [ID, ("name", models.TextField())])
    forget = migrations.SeparateDatabaseAndState(
        state_operations=[migrations.RemoveField("other", "name")]
    )

    assert named(make, forget) == ["other.name"]
