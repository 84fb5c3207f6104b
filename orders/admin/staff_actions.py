"""The list of what staff did: when, who, what, about what, and from where."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.safestring import SafeString

from orders import actors
from orders.admin.columns import DeskList
from orders.admin.downloads import ExportList, exports
from orders.admin.filters import ChoiceFilter, RecordedFilter
from orders.admin.sorting import DeskChangeList, by, indexed
from orders.audit import about, kinds
from orders.models import StaffAction
from orders.templatetags.desk import when

NOBODY = "~nobody"  # no user can be called so
MOST_LOOKED_AT = 1000  # entries whose people the filter offers
LONGEST_NAME = 150  # of a user


class PersonFilter(ChoiceFilter):
    """By who did it; any name may be given, also of a user who is gone."""

    title, parameter_name = "Person", "person"
    any_label = "Everybody"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer who did something lately, and the name that was asked for."""
        lately = StaffAction.objects.order_by("-id").values_list("actor", flat=True)
        asked = request.GET.get(str(self.parameter_name), "")
        names = {*lately[:MOST_LOOKED_AT]} - {"", NOBODY}
        if asked.isprintable() and len(asked) <= LONGEST_NAME and asked not in {"", NOBODY}:
            names.add(asked)
        return [*((it, it) for it in sorted(names)), (NOBODY, "Nobody logged in")]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return what this person did."""
        name = self.chosen()
        return queryset.filter(actor="" if name == NOBODY else name) if name else queryset


class KindFilter(ChoiceFilter):
    """By what was done."""

    title, parameter_name = "Action", "action"
    any_label = "All actions"
    choices_given = [*kinds.LABELS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Return the steps of the kind chosen."""
        kind = self.chosen()
        return queryset.filter(kinds.rows_of(kind)) if kind else queryset


class TimeFilter(RecordedFilter):
    """By when it was done."""

    title, parameter_name = "Time", "time"


class StaffActionChangeList(DeskChangeList):
    """The list, each row with the link that this person may follow."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page."""
        super().get_results(request)
        names = about.names_of_users(self.result_list)
        for row in self.result_list:
            row.about_link = about.link(row, request.user, names)


@admin.register(StaffAction)
class StaffActionAdmin(ExportList, DeskList):
    """Browse, filter and export what staff did. Nobody changes or deletes it."""

    list_display = ["time", "person", "action_word", "what", "about_what", "address"]
    list_display_links = None
    sorted_by = "-time"
    list_filter = [PersonFilter, KindFilter, TimeFilter]
    ordering = ["-id"]
    actions = exports("export_staff_actions")

    @admin.display(description="Time", ordering=indexed("pk"))
    def time(self, row: StaffAction) -> SafeString | str:
        """When it was done."""
        return when(row.recorded_at)

    @admin.display(description="Person", ordering=by("actor"))
    def person(self, row: StaffAction) -> str:
        """Who did it."""
        return actors.person(row) or self.empty_value_display

    @admin.display(description="Action", ordering=by("type"))
    def action_word(self, row: StaffAction) -> str:
        """What kind of step it is."""
        return kinds.label(row.source, row.type)

    @admin.display(description="Description")
    def what(self, row: StaffAction) -> str:
        """What was done, in a sentence."""
        times = row.detail.times if hasattr(row, "detail") else 1
        often = f" ({times:,} times)" if times > 1 else ""
        return f"{actors.sentence(row)}{often}"

    @admin.display(description="Related to")
    def about_what(self, row: Any) -> SafeString | str:
        """What it is about."""
        return row.about_link or self.empty_value_display

    @admin.display(description="Address", ordering=by("detail__address"))
    def address(self, row: StaffAction) -> str:
        """Where it came from."""
        return (row.detail.address if hasattr(row, "detail") else "") or self.empty_value_display

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The change list that knows what each is about."""
        return StaffActionChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the steps of people with their details."""
        return super().get_queryset(request).select_related("detail").defer("payload")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Lead to the entry of the journal."""
        return redirect("admin:orders_journalentry_change", object_id)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to the entry of the journal."""
        return redirect("admin:orders_journalentry_change", object_id)
