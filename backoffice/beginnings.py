"""Texts found by their beginning from an index, with capital and small letters told apart, on every database."""

from typing import Any

from django.db.models import CharField, Func, Lookup, TextField
from django.db.models.lookups import BuiltinLookup

LAST = "\U0010ffff"  # behind all signs


class Bytewise(Func):
    """A text in the order of its bytes: an index of it finds beginnings whatever the database's language."""

    template = "%(expressions)s"
    arity = 1
    output_field = TextField()

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        """Return it with the order of bytes; that of SQLite is no other."""
        return self.as_sql(compiler, connection, template='(%(expressions)s) COLLATE "C"', **more)


@CharField.register_lookup
@TextField.register_lookup
class Begins(BuiltinLookup, Lookup):
    """Whether a text begins with another; Django's own ``startswith`` reads whole tables on SQLite."""

    lookup_name = "begins"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """Return a span of texts."""
        lhs, params = self.process_lhs(compiler, connection)
        text = str(self.rhs)
        return f"({lhs} >= %s AND {lhs} < %s)", [*params, text, *params, text + LAST]

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        """Return a pattern: the indexes on beginnings are made for it."""
        lhs, params = self.process_lhs(compiler, connection)
        return f"{lhs} LIKE %s", [*params, f"{connection.ops.prep_for_like_query(self.rhs)}%"]
