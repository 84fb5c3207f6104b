"""Permissions in words: what each lets people do, which ones the desk asks for, and what is missing to whom."""

from django.contrib import admin
from django.contrib.auth import get_permission_codename
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from backoffice.sidebar import NAMES

ACTIONS = {
    "changelist": "view",
    "change": "view",
    "history": "view",
    "add": "add",
    "delete": "delete",
}
STOCK = ("view", "add", "change", "delete")  # the actions that Django makes permissions for
MOST_NAMES = 3
NOBODY = "This cannot be done by hand: no permission allows it."


class MissingPermissionError(PermissionDenied):
    """One of these permissions ("orders.add_note") is needed."""

    def __init__(self, *permissions: str) -> None:
        super().__init__(", ".join(permissions))
        self.permissions = permissions


def needed(request: HttpRequest, error: BaseException | None) -> tuple[str, ...]:
    """Return the permissions of which one was needed; of a page of Django's own, by its name."""
    if isinstance(error, MissingPermissionError):
        return error.permissions
    name = request.resolver_match.url_name if request.resolver_match else None
    app, _, rest = (name or "").partition("_")
    model, _, page = rest.rpartition("_")
    return (f"{app}.{ACTIONS[page]}_{model}",) if model and page in ACTIONS else ()


def label(permission: Permission) -> str:
    """Return what a permission lets people do: "View portfolio orders", "Add notes to orders"."""
    action, model = _stock(permission), permission.content_type.model_class()
    if not action or model is None:
        words = permission.name.removeprefix("Can ")
        return f"{words[:1].upper()}{words[1:]}"
    name = NAMES.get(model.__name__, str(model._meta.verbose_name_plural))  # noqa: SLF001 -- public
    return f"{action.capitalize()} {name[:1].lower()}{name[1:]}"


def is_view(permission: Permission) -> bool:
    """Whether a permission lets people look at something, and no more."""
    return permission.codename.startswith("view_")


def grantable() -> QuerySet[Permission]:
    """Return the permissions worth choosing from: those that the desk asks for, and all that somebody has."""
    asked, has = asked_for(), Q(group__isnull=False) | Q(user__isnull=False)
    of_desk = [
        it.pk
        for it in Permission.objects.select_related("content_type")
        if not _stock(it) or name_of(it) in asked
    ]
    return (
        Permission.objects.filter(Q(pk__in=of_desk) | has).select_related("content_type").distinct()
    )


def asked_for() -> set[str]:
    """Return the permissions of Django's own kind that some list or page of the desk asks for.

    That is what somebody may do who has all of them: rows that only the broker writes are not
    added or changed by an administrator either.
    """
    request = HttpRequest()
    request.user = User(is_active=True, is_superuser=True)
    models = [it for app in admin.site.get_app_list(request) for it in app["models"]]
    return {
        f"{it['model']._meta.app_label}.{get_permission_codename(action, it['model']._meta)}"  # noqa: SLF001
        for it in models
        if "model" in it
        for action, may in it["perms"].items()
        if may
    }


def name_of(permission: Permission) -> str:
    """Return a permission as code names it: "orders.add_note"."""
    return f"{permission.content_type.app_label}.{permission.codename}"


def _stock(permission: Permission) -> str:
    """Return the action of a permission that Django made for a model; "" for one that we named."""
    action = permission.codename.removesuffix(f"_{permission.content_type.model}")
    return action if action in STOCK else ""


def explained(permissions: tuple[str, ...]) -> list[str]:
    """Return sentences: what the permission is called, and which groups have it, or that none would help."""
    asked = Q(pk__in=[])
    for permission in permissions:
        app, _, codename = permission.partition(".")
        asked |= Q(content_type__app_label=app, codename=codename)
    found = Permission.objects.filter(asked).select_related("content_type")
    of_desk = asked_for()
    if found and all(_stock(it) and name_of(it) not in of_desk for it in found):
        return [NOBODY]
    names = [f"“{label(it)}”" for it in found]
    if not names:
        return ["Your account does not have the permission for this."]
    groups = Group.objects.filter(permissions__in=found).distinct().order_by("name")
    has = " or ".join(groups.values_list("name", flat=True))
    return [
        f"This needs the permission {' or '.join(names)}, which your account does not have.",
        f"The group {has} has it." if has else "No group has it.",
    ]


def administrators(*, but: User | None = None) -> str:
    """Return whom to ask: "an administrator (anna, Ben Lee)"; nobody is told to ask oneself (``but``)."""
    found = User.objects.filter(is_active=True, is_superuser=True).order_by("pk")
    others = found.exclude(pk=but.pk)[:MOST_NAMES] if but else found[:MOST_NAMES]
    names = ", ".join(it.get_full_name() or it.get_username() for it in others)
    return f"an administrator ({names})" if names else "an administrator"
