"""What an action of a list is about: the rows ticked, or all that match; for people, and to be chosen again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import SEARCH_VAR
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

ACROSS = "select_across"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which rows: ``words`` for people, ``asked`` for whoever has to find the same ones."""

    words: str
    asked: Mapping[str, Any]


class AllMatching(admin.ModelAdmin):
    """A list of which all that match can be chosen without JavaScript, no row ticked."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Let an action go on that is about all that match: Django asks for one ticked row at least."""
        if "index" in request.POST and not (is_across(request) or _ticked(request)):
            messages.warning(request, "No row is selected. Nothing was done.")
            return HttpResponseRedirect(request.get_full_path())
        if is_across(request) and not _ticked(request):
            is_number = isinstance(self.model._meta.pk, models.IntegerField)  # noqa: SLF001 -- Django's public name
            posted = request.POST.copy()
            posted[ACTION_CHECKBOX_NAME] = "0" if is_number else str(UUID(int=0))
            request.POST = posted  # type: ignore[assignment]
        return super().changelist_view(request, extra_context)


def is_across(request: HttpRequest) -> bool:
    """Whether an action is about all that match."""
    return request.POST.get(ACROSS) == "1"


def chosen(door: admin.ModelAdmin, request: HttpRequest) -> Chosen:
    """Return what an action is about: "3 selected", "all orders with Status: New, search “abc”"."""
    name = str(door.opts.verbose_name_plural)
    if not is_across(request):
        ids = _ticked(request)
        return Chosen(f"{len(ids)} selected", {"list": name, "ids": ids})
    filters, search = _filters(door, request), request.GET.get(SEARCH_VAR, "").strip()
    parts = [f"{title}: {value}" for title, value in filters.items()]
    parts += [f"search “{search}”"] if search else []
    words = f"all {name} with {', '.join(parts)}" if parts else f"all {name}"
    asked = {"list": name, "filters": filters, "search": search, "query": request.GET.urlencode()}
    return Chosen(words, asked)


def _ticked(request: HttpRequest) -> list[str]:
    return request.POST.getlist(ACTION_CHECKBOX_NAME)


def _filters(door: admin.ModelAdmin, request: HttpRequest) -> dict[str, str]:
    """Return the filters that are set, each with what is chosen, as the page says it."""
    params: dict[str, Any] = dict(request.GET.lists())
    given: Any = door.get_list_filter(request)
    specs = [spec(request, params, door.model, door) for spec in given]
    return {str(spec.title).capitalize(): words for spec in specs if (words := spec.words())}
