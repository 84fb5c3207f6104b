"""CSV files in the browser: streamed, and noted in the journal when they end, whole or broken off."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, StreamingHttpResponse

from orders.admin.choosing import chosen
from orders.admin.pages import EXPORT, OrderPageAdmin
from orders.audit.subjects import Subject
from orders.export import files
from orders.export.cells import Form
from orders.export.selection import Selection
from orders.export.table import Export
from orders.models import Order, PortfolioOrder

STALLED = 30  # seconds
FORMAT = "csv_format"
FORMATS = {
    "comma": Form("comma", "point", bom=True),
    "semicolon": Form("semicolon", "comma", bom=True),
}
FORMAT_CHOICES = [
    ("comma", "Comma, decimal point"),
    ("semicolon", "Semicolon, decimal comma (German Excel)"),
]


class ExportActionForm(ActionForm):
    """The actions of a list, with the format of the files among them."""

    csv_format = forms.ChoiceField(label="CSV format:", choices=FORMAT_CHOICES, required=False)


class ExportList(admin.ModelAdmin):
    """A list whose rows can be taken away as CSV by those who may."""

    action_form = ExportActionForm

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Who may take data away."""
        return request.user.has_perm(EXPORT)


class OrderFiles(ExportList, OrderPageAdmin):
    """A list of orders whose pages, too, have files: the history of one, and its executions."""

    def get_urls(self) -> list[Any]:
        """Add the buttons."""
        return [
            self.button("history_csv", EXPORT, self.press_history_csv),
            self.button("executions_csv", EXPORT, self.press_executions_csv),
            *super().get_urls(),
        ]

    def frame(self, request: HttpRequest, row: PortfolioOrder | Order) -> dict[str, Any]:
        """Add where the buttons lead."""
        urls = self.addresses(request, row.pk, "history_csv", "executions_csv")
        return {**super().frame(request, row), **urls}

    def press_history_csv(self, request: HttpRequest, pk: UUID) -> StreamingHttpResponse:
        """Return the history file of one, of a portfolio order with its orders."""
        return self._of_one(files.order_history, request, pk)

    def press_executions_csv(self, request: HttpRequest, pk: UUID) -> StreamingHttpResponse:
        """Return its executions."""
        return self._of_one(files.executions, request, pk)

    def _of_one(
        self, make: Callable[[Selection], Export], request: HttpRequest, pk: UUID
    ) -> StreamingHttpResponse:
        rows = self.model.objects.filter(pk=pk)
        if not rows.exists():
            raise Http404(f"{self.name} {pk} was not found.")
        asked = {"list": str(self.opts.verbose_name_plural), "ids": [str(pk)]}
        how = f"{self.name.lower()} {pk}"
        file = make(selection_of(rows))
        file.subject = Subject(self.kind.lower(), str(pk))
        return download(file, request, how=how, asked=asked)


def form_of(request: HttpRequest) -> Form:
    """Return the format chosen on the page; by URL ``?delimiter=``, ``?decimal=`` and ``?bom=0`` as for the command."""
    chosen = FORMATS.get(request.POST.get(FORMAT, ""), FORMATS["comma"])
    get = request.GET.get
    return Form(
        "semicolon" if get("delimiter") == "semicolon" else chosen.delimiter,
        "comma" if get("decimal") == "comma" else chosen.decimal,
        bom=get("bom") != "0",
    )


def download(
    file: Export, request: HttpRequest, *, how: str, asked: Mapping[str, Any] | None = None
) -> StreamingHttpResponse:
    """Return a file as it is made, in the format asked for; see ``Export.record`` for ``how`` and ``asked``."""
    give_up_on_a_reader_who_stops(request)
    form = form_of(request)
    chunks = file.chunks(bom=form.bom, delimiter=form.delimiter, decimal=form.decimal)
    return StreamingHttpResponse(
        _noted(file, chunks, actor=request.user.get_username(), how=how, asked=asked),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{file.filename}"',
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",  # a proxy that buffers could end a broken file properly
        },
    )


def give_up_on_a_reader_who_stops(request: HttpRequest) -> None:
    """Let a part of a file wait no longer than ``STALLED`` for its reader.

    The file is one snapshot of the database, and holds a thread: neither is for ever. gunicorn
    hands us its socket, blocking, and sets it anew for the next request.
    """
    if connection := request.META.get("gunicorn.socket"):
        connection.settimeout(STALLED)


def selection_of(rows: QuerySet[Any]) -> Selection:
    """Return what the files of orders are made of: single orders, or portfolio orders with all their orders."""
    return Selection.of_orders(rows) if rows.model is Order else Selection.of(rows)


def _of_orders(make: Callable[[Selection], Export]) -> Callable[[QuerySet[Any]], Export]:
    return lambda rows: make(selection_of(rows))


# The files that lists make by an action: what it is called there, and what makes the file of rows.
FILES: Mapping[str, tuple[str, Callable[[QuerySet[Any]], Export]]] = {
    "export_history": ("Export order history CSV", _of_orders(files.order_history)),
    "export_orders": ("Export orders CSV", _of_orders(files.orders)),
    "export_portfolio_orders": (
        "Export portfolio orders CSV",
        _of_orders(files.portfolio_orders),
    ),
    "export_executions": ("Export executions CSV", _of_orders(files.executions)),
    "export_entries": ("Export entries CSV", files.journal_entries),
    "export_staff_actions": ("Export staff actions CSV", files.staff_actions),
}


def exports(*names: str) -> list[Any]:
    """Return actions of a list: each makes a file of the rows ticked, or of all that match."""
    return [_export(name, *FILES[name]) for name in names]


def _export(name: str, words: str, make: Callable[[QuerySet[Any]], Export]) -> Any:
    def export(
        door: admin.ModelAdmin, request: HttpRequest, rows: QuerySet[Any]
    ) -> StreamingHttpResponse:
        choice = chosen(door, request)
        return download(make(rows), request, how=choice.words, asked=choice.asked)

    export.__name__ = name
    return admin.action(export, permissions=["export"], description=words)


def _noted(
    file: Export, chunks: Iterator[bytes], *, actor: str, how: str, asked: Mapping[str, Any] | None
) -> Iterator[bytes]:
    """Pass a file on and note it; a failure goes on to the server, which breaks the connection."""
    try:
        yield from chunks
    except BaseException as error:  # GeneratorExit, too: the reader went away
        file.close()
        is_away = isinstance(error, GeneratorExit)
        why = "the connection was closed" if is_away else type(error).__name__
        file.record(actor=actor, how=how, asked=asked, broken=why)
        raise
    file.record(actor=actor, how=how, asked=asked)
