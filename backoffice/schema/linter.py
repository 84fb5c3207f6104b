"""What a migration must not do to a desk that is in use, while the release before still runs.

A migration says in ``reviewed`` what was looked at and is well all the same, by what the linter
names: ``reviewed = {"delivery.reason": "no release since 0.4 uses it"}``. That is also the second
of the two steps in which a column goes: first a release that does not use it, then the next one
that drops it.
"""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db import migrations, models
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED

from backoffice.schema.operations import AddConstraint, AddIndex, SetDefaults

FIRST = {"orders": "0007", "webhooks": "0007"}  # up to here nobody had anything to upgrade from
REPEATABLE = (AddIndex, AddConstraint)
DESTRUCTIVE = (
    migrations.RemoveField, migrations.RenameField, migrations.DeleteModel, migrations.RenameModel,
    migrations.AlterModelTable,
)  # fmt: skip
INSTEAD = "take {} of backoffice.schema"
BY_HAND = (migrations.RunPython, migrations.RunSQL)


def problems() -> Iterator[str]:
    """Yield what is wrong with the migrations of this project, each with its name."""
    loader = MigrationLoader(None)
    for app, name in sorted(loader.disk_migrations):
        if app in FIRST and name[:4] > FIRST[app]:
            migration = loader.disk_migrations[app, name]
            state = loader.project_state((app, name), at_end=False)
            for problem in problems_of(migration, state):
                yield f"{app}.{name}: {problem}"


def problems_of(migration: migrations.Migration, state: ProjectState) -> Iterator[str]:
    """Yield what is wrong with one migration; ``state`` is that before it, and is changed."""
    reviewed: dict[str, str] = getattr(migration, "reviewed", {})
    created: set[str] = set()
    for operation in migration.operations:
        if isinstance(operation, migrations.CreateModel):
            created.add(operation.name.lower())
        found = [
            *_of(operation, migration.app_label, state, created),
            *_of_transactions(operation, is_atomic=migration.atomic),
        ]
        for subject, problem in found:
            if not reviewed.get(subject):
                yield f"{subject}: {problem}"
        operation.state_forwards(migration.app_label, state)


Found = Iterator[tuple[str, str]]


def _of_transactions(operation: Any, *, is_atomic: bool) -> Found:
    name = type(operation).__name__
    if is_atomic and isinstance(operation, REPEATABLE):
        yield name, "needs atomic = False: it cannot be done within a transaction"
    if not is_atomic and not isinstance(operation, (*REPEATABLE, *BY_HAND)):
        yield name, "stands in a migration with atomic = False, and could not be repeated"
    if isinstance(operation, BY_HAND):
        yield name, "may hold locks, or change all rows in one transaction: look at it"


def _of(operation: Any, app: str, state: ProjectState, created: set[str]) -> Found:
    model = str(getattr(operation, "model_name", "") or getattr(operation, "name", "")).lower()
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        yield from _of_separate(operation, app, state, created)
    elif model not in created and not isinstance(operation, REPEATABLE):
        yield from _of_rules(operation)
        yield from _of_columns(operation, app, model, state)


def _of_rules(operation: Any) -> Found:
    if isinstance(operation, DESTRUCTIVE):
        name = getattr(operation, "old_name", "") or operation.name
        model = getattr(operation, "model_name", "")
        yield f"{model}.{name}".strip(".").lower(), "the release before uses it"
    elif isinstance(operation, migrations.AddIndex):
        yield operation.index.name, f"locks out writers: {INSTEAD.format('AddIndex')}"
    elif isinstance(operation, migrations.AddConstraint):
        name = operation.constraint.name
        yield name, f"checks all rows under a lock: {INSTEAD.format('AddConstraint')}"


def _of_columns(operation: Any, app: str, model: str, state: ProjectState) -> Found:
    if isinstance(operation, migrations.AddField):
        yield from _of_new(f"{model}.{operation.name}", operation.field)
    elif isinstance(operation, migrations.AlterField):
        yield from _of_change(app, model, operation.name, operation.field, state)
    elif isinstance(operation, SetDefaults):
        for name, field in operation.fields.items():
            yield from _of_change(app, model, name, field, state)


def _of_separate(operation: Any, app: str, state: ProjectState, created: set[str]) -> Found:
    """The first of two steps: the code forgets a column that stays, so that it must do without."""
    for step in operation.database_operations:
        yield from _of(step, app, state, created)
    for step in operation.state_operations:
        if isinstance(step, migrations.RemoveField):
            field = state.models[app, step.model_name.lower()].fields[step.name]
            if not _may_be_left_out(field):
                subject = f"{step.model_name.lower()}.{step.name}"
                yield subject, "stays NOT NULL without a database default: no row could be added"


def _of_new(subject: str, field: models.Field) -> Found:
    if not _may_be_left_out(field):
        yield subject, "is NOT NULL without db_default: the release before cannot add rows"
    yield from _of_index(subject, field)
    if field.is_relation and getattr(field, "db_constraint", False):
        yield subject, "its constraint locks the other table: db_constraint=False"


def _of_index(subject: str, field: Any) -> Found:
    if field.unique or field.db_index:
        yield subject, "brings an index that locks out writers: add one with backoffice.schema"


def _of_change(app: str, model: str, name: str, new: Any, state: ProjectState) -> Found:
    subject, old = f"{model}.{name}", state.models[app, model].fields[name]
    if old.null and not new.null:
        yield subject, "becomes NOT NULL: all rows are checked under a lock"
    if not new.null and old.db_default is not NOT_PROVIDED and new.db_default is NOT_PROVIDED:
        yield subject, "loses its database default: a release may leave it out"
    if (new.unique or new.db_index) and not (old.unique or old.db_index):
        yield from _of_index(subject, new)
    if getattr(new, "db_constraint", False) and not getattr(old, "db_constraint", True):
        yield subject, "its constraint checks all rows under a lock"
    if not _fits_into(old, new):
        yield subject, "changes its type, for which the table is written anew under a lock"


def _may_be_left_out(field: models.Field) -> bool:
    is_given = field.null or field.db_default is not NOT_PROVIDED
    return is_given or field.generated or bool(field.many_to_many)


def _fits_into(old: models.Field, new: models.Field) -> bool:
    """Whether PostgreSQL takes the new type without writing the table anew: a longer text, or the same."""
    before, after = (_type(field) for field in (old, new))
    if before == after:
        return True
    is_text = {before.partition("(")[0], after.partition("(")[0]} <= {"varchar", "text"}
    longest = [getattr(field, "max_length", None) if "(" in kind else None
               for field, kind in ((old, before), (new, after))]  # fmt: skip
    return is_text and (longest[1] is None or (longest[0] is not None and longest[0] <= longest[1]))


def _type(field: models.Field) -> str:
    if field.is_relation:  # its target may not be at hand: what counts is which
        return f"-> {field.deconstruct()[3].get('to')}".lower()
    return str(field.db_parameters(_postgresql()).get("type"))


def _postgresql() -> Any:
    """Return PostgreSQL's names of types; nothing is connected to."""
    return DatabaseWrapper({**settings.DATABASES["default"], "OPTIONS": {}}, "types")
