"""CSV files in the browser: streamed, and noted in the journal when they end, whole or broken off."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from orders import journal
from orders.export import files
from orders.export.files import Export
from orders.export.selection import Selection
from orders.models import PortfolioOrder


def download(file: Export, request: HttpRequest, *, how: str) -> StreamingHttpResponse:
    """Return a file as it is made; ``?bom=0`` and ``?delimiter=semicolon`` as for the command."""
    delimiter = "semicolon" if request.GET.get("delimiter") == "semicolon" else "comma"
    chunks = file.chunks(bom=request.GET.get("bom") != "0", delimiter=delimiter)
    return StreamingHttpResponse(
        _noted(file, chunks, actor=request.user.get_username(), how=how),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{file.filename}"',
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",  # a proxy that buffers could end a broken file properly
        },
    )


def history_of_one(request: HttpRequest, pk: UUID) -> StreamingHttpResponse:
    """Return the history file of one portfolio order."""
    chosen = PortfolioOrder.objects.filter(pk=pk)
    return download(files.order_history(Selection.of(chosen)), request, how=f"portfolio order {pk}")


@admin.action(permissions=["export"], description="Export order history CSV")
def export_history(
    _: Any, request: HttpRequest, queryset: QuerySet[PortfolioOrder]
) -> StreamingHttpResponse:
    """Return the history file of the portfolio orders selected, or of all that match."""
    return download(files.order_history(Selection.of(queryset)), request, how=chosen(request))


@admin.action(permissions=["export"], description="Export orders CSV")
def export_orders(
    _: Any, request: HttpRequest, queryset: QuerySet[PortfolioOrder]
) -> StreamingHttpResponse:
    """Return the orders file of the portfolio orders selected, or of all that match."""
    return download(files.orders(Selection.of(queryset)), request, how=chosen(request))


def chosen(request: HttpRequest) -> str:
    """Return what a list's export holds: "3 selected", "all matching status=FILLED"."""
    if request.POST.get("select_across") == "1":
        asked = request.GET.urlencode()
        return f"all matching {asked}" if asked else "all portfolio orders"
    return f"{len(request.POST.getlist('_selected_action'))} selected"


def _noted(file: Export, chunks: Iterator[bytes], *, actor: str, how: str) -> Iterator[bytes]:
    """Pass a file on and note it; a failure goes on to the server, which breaks the connection."""
    try:
        yield from chunks
    except BaseException as error:  # GeneratorExit, too: the reader went away
        file.close()
        why = "the reader went away" if isinstance(error, GeneratorExit) else type(error).__name__
        rows = "1 row" if file.count == 1 else f"{file.count:,} rows"
        journal.record_step(
            f"Export of {file.what}, {how}: broken off after {rows} ({why})",
            actor=actor,
            now=timezone.now(),
            type_="EXPORT",
        )
        raise
    file.record(actor=actor, how=how)
