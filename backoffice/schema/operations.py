"""Operations for large tables that are in use: no lock for longer than a moment, and repeatable.

All but ``SetDefaults`` belong into migrations with ``atomic = False``; what such a migration did
before it failed, it skips when it is run again.
"""

from typing import Any, cast

from django.db import migrations, models, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

Schema = BaseDatabaseSchemaEditor

INDEX_STATE = """
    SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(quote_ident(%s))
"""
SQLITE_INDEX = "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = %s"
CHECK_STATE = """
    SELECT convalidated FROM pg_constraint
    WHERE conname = %s AND conrelid = to_regclass(quote_ident(%s))
"""


class AddIndex(migrations.AddIndex):
    """Build an index while the table is written to; what a failed build left is built anew."""

    atomic = False

    def database_forwards(
        self, app_label: str, editor: Schema, before: ProjectState, after: ProjectState
    ) -> None:
        """Build it, unless it is there."""
        model = after.apps.get_model(app_label, self.model_name)
        if _is_to_be_built(self.index.name, editor):
            how: Any = {"concurrently": True} if _is_postgresql(editor) else {}
            _build(str(self.index.create_sql(model, editor, **how)), editor)


class AddConstraint(migrations.AddConstraint):
    """Add a constraint while the table is written to; the rows that are there are checked without a lock.

    A unique constraint has to have a condition or expressions: then it is an index.
    """

    atomic = False

    def database_forwards(
        self, app_label: str, editor: Schema, before: ProjectState, after: ProjectState
    ) -> None:
        """Add it, unless it is there."""
        model = after.apps.get_model(app_label, self.model_name)
        if isinstance(self.constraint, models.UniqueConstraint):
            self._add_unique(model, editor)
        elif _is_postgresql(editor):
            self._add_check(model, editor)
        elif not _has(model, self.constraint.name, editor):
            with transaction.atomic(editor.connection.alias):  # a copy of the table
                editor.add_constraint(model, self.constraint)

    def _add_unique(self, model: type[models.Model], editor: Schema) -> None:
        if _is_to_be_built(self.constraint.name, editor):
            sql = str(self.constraint.create_sql(model, editor))
            if _is_postgresql(editor):
                sql = sql.replace("UNIQUE INDEX", "UNIQUE INDEX CONCURRENTLY", 1)
            _build(sql, editor)

    def _add_check(self, model: type[models.Model], editor: Schema) -> None:
        table = model._meta.db_table  # noqa: SLF001 -- Django documents it
        state = _value(editor, CHECK_STATE, self.constraint.name, table)
        if state is None:
            editor.execute(f"{self.constraint.create_sql(model, editor)} NOT VALID", params=None)
        if not state:
            quote = editor.quote_name
            name = quote(self.constraint.name)
            editor.execute(f"ALTER TABLE {quote(table)} VALIDATE CONSTRAINT {name}", params=None)


class SetDefaults(Operation):
    """Give columns of one table defaults in the database: a release may then leave them out.

    Made of the fields as they are from now on. A moment's work on PostgreSQL; SQLite copies the
    table, once for all of them.
    """

    reduces_to_sql = True

    def __init__(self, model_name: str, fields: dict[str, models.Field]) -> None:
        self.model_name, self.fields = model_name, fields

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Change the fields of the state."""
        for name, field in self.fields.items():
            state.alter_field(
                app_label, self.model_name.lower(), name, field, preserve_default=True
            )

    def database_forwards(
        self, app_label: str, editor: Schema, before: ProjectState, after: ProjectState
    ) -> None:
        """Set the defaults."""
        self._change(app_label, editor, before, after)

    def database_backwards(
        self, app_label: str, editor: Schema, before: ProjectState, after: ProjectState
    ) -> None:
        """Take them away."""
        self._change(app_label, editor, before, after)

    def describe(self) -> str:
        """Return what migrate prints."""
        return f"Set the database defaults of {self.model_name}"

    def _change(
        self, app_label: str, editor: Any, before: ProjectState, after: ProjectState
    ) -> None:
        old = before.apps.get_model(app_label, self.model_name)
        new = after.apps.get_model(app_label, self.model_name)
        pairs = [(_field(old, name), _field(new, name)) for name in self.fields]
        if _is_postgresql(editor):
            for pair in pairs:
                editor.alter_field(old, *pair)
        else:
            editor._remake_table(old, alter_fields=pairs)  # noqa: SLF001 -- else one copy a column


def _field(model: type[models.Model], name: str) -> models.Field:
    return cast(models.Field, model._meta.get_field(name))  # noqa: SLF001 -- Django documents it


def _is_postgresql(editor: Schema) -> bool:
    return editor.connection.vendor == "postgresql"


def _is_to_be_built(name: str, editor: Schema) -> bool:
    """Whether the index ``name`` is not there. One whose build failed is dropped: it slows writers."""
    if not _is_postgresql(editor):
        return not _value(editor, SQLITE_INDEX, name)
    is_valid = _value(editor, INDEX_STATE, name)
    if is_valid is False:
        _build(f"DROP INDEX CONCURRENTLY IF EXISTS {editor.quote_name(name)}", editor)
    return not is_valid


def _build(sql: str, editor: Schema) -> None:
    """Execute what waits for older transactions, but lets everybody read and write meanwhile."""
    if not _is_postgresql(editor):
        editor.execute(sql, params=None)
        return
    limit = _value(editor, "SELECT current_setting('lock_timeout')")
    editor.execute("SET lock_timeout = 0", params=None)
    try:
        editor.execute(sql, params=None)
    finally:
        editor.execute(f"SET lock_timeout = '{limit}'", params=None)


def _has(model: type[models.Model], name: str, editor: Schema) -> bool:
    with editor.connection.cursor() as cursor:
        table = model._meta.db_table  # noqa: SLF001 -- Django documents it
        return name in editor.connection.introspection.get_constraints(cursor, table)


def _value(editor: Schema, sql: str, *parameters: str) -> Any:
    with editor.connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        row = cursor.fetchone()
        return row[0] if row else None
