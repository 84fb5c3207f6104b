"""The frame of the pages of users, groups and devices: a card with the name, cards with fields, one main button."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse


@dataclass(frozen=True, slots=True)
class Button:
    """A way from a page to another one that does something with its row."""

    words: str
    url: str


class TitledList(admin.ModelAdmin):
    """An admin whose list has a heading of its own: the stock one is an order, "Select user to change"."""

    list_title = ""
    kind = ""  # of a row, in a word

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list."""
        titles = {"title": self.list_title, "list_title": self.list_title, "kind": self.kind}
        return super().changelist_view(request, {**titles, **(extra_context or {})})


class FramedPages(TitledList):
    """An admin whose pages stand in the desk's frame: to add, to change, to delete, and the history.

    Rows are deleted one by one: the page says what goes with each.
    """

    gone_with_it: tuple[str, ...] = ()  # sentences for the page that deletes it
    actions = None
    change_form_template = add_form_template = "admin/access/form.html"
    delete_confirmation_template = "admin/access/delete.html"
    object_history_template = "admin/access/history.html"

    def heading(self, row: Any) -> str:
        """Return what the page of a row is headed by."""
        return str(row)

    def facts(self, request: HttpRequest, row: Any) -> list[tuple[str, Any]]:
        """Return what the page says of a row beside the fields, by name."""
        return []

    def buttons(self, request: HttpRequest, row: Any) -> list[Button]:
        """Return where else the page of a row leads."""
        found = [Button("History", self.url_of("history", row))]
        if self.has_delete_permission(request, row):
            found.append(Button("Delete…", self.url_of("delete", row)))
        return found

    def url_of(self, page: str, row: Any) -> str:
        """Return the address of a page of a row."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}", args=[row.pk])

    def frame(self, row: Any = None) -> dict[str, Any]:
        """Return what every page needs."""
        name = self.heading(row) if row else f"Add a {self.kind.lower()}"
        list_url = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        return {
            "kind": self.kind,
            "title": name,
            "subtitle": None,
            "heading": name,
            "list_title": self.list_title,
            "list_url": list_url,
            "page_url": self.url_of("change", row) if row else "",
        }

    def render_change_form(  # noqa: PLR0917 -- Django's
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,  # noqa: FBT001, FBT002 -- Django's
        change: bool = False,  # noqa: FBT001, FBT002 -- Django's
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Show the page of a row, or of one to add."""
        more: dict[str, Any] = self.frame(obj)
        if obj:
            more |= {"facts": self.facts(request, obj), "buttons": self.buttons(request, obj)}
        return super().render_change_form(request, {**context, **more}, add, change, form_url, obj)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask before a row is deleted, and say what goes with it."""
        row = self.get_object(request, object_id)
        frame: dict[str, Any] = {}
        if row:
            asked = {"title": f"Delete {self.heading(row)}?", "gone_with_it": self.gone_with_it}
            frame = self.frame(row) | asked
        return super().delete_view(request, object_id, {**(extra_context or {}), **frame})

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show what was changed on these pages."""
        row = self.get_object(request, object_id)
        frame = self.frame(row) | {"title": f"History of {self.heading(row)}"} if row else {}
        return super().history_view(request, object_id, {**(extra_context or {}), **frame})
