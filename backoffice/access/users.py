"""The pages of users: who may come in, with which groups, second factor and lock; and letting colleagues in again."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import (
    AdminPasswordChangeForm,
    ReadOnlyPasswordHashWidget,
    UserChangeForm,
)
from django.contrib.auth.hashers import is_password_usable
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from backoffice import locks
from backoffice.access import sessions
from backoffice.access.boxes import NONE, Boxes, PermissionsField, in_words
from backoffice.access.pages import Button, FramedPages
from backoffice.access.permissions import MissingPermissionError, grantable
from backoffice.asked import KeyChoices
from backoffice.display import clock

RESET = "auth.reset_second_factor"
LABELS = {  # what Django calls otherwise
    "username": ("Username", "For the log-in. Letters, digits and @ . + - _ only."),
    "email": ("E-mail address", ""),
    "password": ("Password", "It cannot be shown, only replaced."),
    "is_active": (
        "Account is switched on",
        "Switch an account off instead of deleting it: its steps stay.",
    ),
    "is_staff": ("Can log in to the desk", ""),
    "is_superuser": ("Administrator", "May do everything, without any group."),
    "groups": ("Groups", "What the person may do. Without a group there is nothing to see."),
    "user_permissions": (
        "Single permissions",
        "In addition to those of the groups. Rarely needed.",
    ),
}
QUESTIONS = {
    "reset_factor": (
        "Reset the second factor of {name}?",
        (
            "The authenticator and the backup codes of {name} stop working, and every session of {name} "
            "ends. At the next log-in {name} sets up a new authenticator. Make sure that the person who "
            "asked you for it is {name}: whoever knows the password can then set one up."
        ),
        "Reset second factor",
    ),
    "unlock": (
        "Unlock {name}?",
        "{name} can try to log in again at once, from everywhere.",
        "Unlock",
    ),
}


class StaffChangeList(ChangeList):
    """A list whose rows know their lock, and whose filters have the words of a user's page."""

    def get_filters(self, request: HttpRequest) -> Any:
        """Return the filters, each under the name that staff know its field by."""
        found: Any = super().get_filters(request)
        for it in found[0]:
            it.title = LABELS[it.field_path][0]
        return found

    def get_results(self, request: HttpRequest) -> None:
        """Read the rows, and the locks in one query more."""
        super().get_results(request)
        found = {it.username: it for it in locks.locks(now=timezone.now())}
        for row in self.result_list:
            row.lock = found.get(row.get_username())


def second_factor_state(user: Any) -> str:
    """Return what somebody has of a second factor, in words."""
    if not user.has_device:
        return "Not set up"
    codes = user.backup_codes
    return f"Set up, {codes} backup code{'' if codes == 1 else 's'} left"


def lock_state(user: User) -> str:
    """Return until when somebody is locked out."""
    found = locks.locks_of(user.get_username(), now=timezone.now())
    return "; ".join(f"From {it.address}, until {clock(it.until)}" for it in found) or "Not locked"


class PasswordState(ReadOnlyPasswordHashWidget):
    """Whether there is a password, and nothing of it: its salt and hash are nobody's to read."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Show the state, and the way to another password; each Django has a template of its own."""
        is_set = bool(value and is_password_usable(value))
        return format_html(
            '<div id="id_{}"><p><strong>{}</strong> '
            '<a role="button" class="press" href="../password/">{}</a></p></div>',
            name,
            "Set" if is_set else "Not set",
            "Reset password" if is_set else "Set password",
        )


class StaffForm(UserChangeForm):
    """The form of a user."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        if password := self.fields.get("password"):
            password.widget = PasswordState()
            password.label, password.help_text = LABELS["password"]


class PasswordForm(AdminPasswordChangeForm):
    """The form of a new password for a colleague; nobody logs in here without one."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields.pop("usable_password", None)
        self.fields["password1"].label = "New password"
        self.fields["password2"].label = "New password again"


class StaffAdmin(FramedPages, UserAdmin):
    """Users as staff see them."""

    kind, list_title = "User", "Users"
    gone_with_it = (
        (
            "The second factor, the backup codes and the group memberships are deleted, too. What the "
            "user did stays in Staff actions and in the journal."
        ),
        "To keep somebody out, it is enough to switch the account off.",
    )
    form = StaffForm
    change_password_form = PasswordForm
    change_user_password_template = "admin/access/password.html"  # noqa: S105 -- a template
    list_display = (
        "username", "full_name", "in_groups", "may_log_in", "factor", "locked", "last_log_in",
    )  # fmt: skip
    sortable_by = ()
    list_filter = ("groups", "is_active", "is_staff", "is_superuser")
    readonly_fields = ("own_permissions",)
    filter_horizontal = ()
    fieldsets = (
        ("Name and password", {"fields": ("username", "password", "first_name", "last_name", "email")}),
        ("Access", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("Single permissions", {"fields": ("user_permissions",), "classes": ("collapse",)}),
    )  # fmt: skip
    add_fieldsets = (
        ("Name", {"fields": ("username", "first_name", "last_name", "email")}),
        ("Password", {"fields": ("password1", "password2")}),
        ("Access", {"fields": ("groups",)}),
    )

    def heading(self, row: User) -> str:
        """The name that everything else calls the user by."""
        return row.get_username()

    def facts(self, request: HttpRequest, row: Any) -> list[tuple[str, Any]]:
        """Who it is, and how far the log-in gets."""
        switched = "Switched on" if row.is_active else "Switched off"
        may_enter = "" if row.is_staff else ", cannot log in to the desk"
        return [
            ("Name", row.get_full_name() or "—"),
            ("E-mail address", row.email or "—"),
            ("Account", f"{switched}{may_enter}"),
            ("Groups", self.in_groups(row)),
            ("Second factor", second_factor_state(row)),
            ("Locked", lock_state(row)),
            ("Last log-in", self.last_log_in(row)),
            ("Added", clock(row.date_joined)),
        ]

    def buttons(self, request: HttpRequest, row: Any) -> list[Button]:
        """Begin with those that let a colleague in again, for who may."""
        may = request.user.has_perm(RESET) and not _why_not(request, row)
        ways = [
            Button(words, self.url_of(name, row))
            for name, words in (("reset_factor", "Reset second factor…"), ("unlock", "Unlock…"))
            if may and _has_something(name, row)
        ]
        return [*ways, *super().buttons(request, row)]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields; to those who may not change them the facts say the rest."""
        if obj is None or self.has_change_permission(request, obj):
            return super().get_fieldsets(request, obj)
        return (("Permissions", {"fields": ("own_permissions",)}),)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Return what goes with a user; devices, which nobody deletes by hand, are no hindrance."""
        gone, counts, lacking, protected = super().get_deleted_objects(objs, request)
        devices = {it._meta.verbose_name for it in (TOTPDevice, StaticDevice)}  # noqa: SLF001
        return gone, counts, lacking - devices, protected

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the users with what they have of a second factor."""
        device = TOTPDevice.objects.filter(user=OuterRef("pk"), confirmed=True)
        left = Count(
            "staticdevice__token_set", filter=Q(staticdevice__confirmed=True), distinct=True
        )
        rows = super().get_queryset(request).prefetch_related("groups")
        return rows.annotate(has_device=Exists(device), backup_codes=left)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list whose rows know their lock."""
        return StaffChangeList

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Return a field under the name that staff know it by; groups and permissions as boxes to tick."""
        field: Any
        if db_field.name == "user_permissions":
            field = PermissionsField(queryset=grantable(), required=False)
        elif db_field.name == "groups":
            field = db_field.formfield(form_class=KeyChoices, widget=Boxes)
        else:
            field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field and db_field.name in LABELS:
            field.label, field.help_text = LABELS[db_field.name]
        return field

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001 -- Django's
        """Save; whoever is added here is staff, for only staff have something to do here."""
        if not change:
            obj.is_staff = True
        super().save_model(request, obj, form, change)

    @admin.display(description="Name", ordering="last_name")
    def full_name(self, user: User) -> str:
        """First and last name."""
        return user.get_full_name() or "—"

    @admin.display(description="Groups")
    def in_groups(self, user: User) -> str:
        """The groups, or that there is none."""
        if user.is_superuser:
            return "Administrator"
        return ", ".join(sorted(it.name for it in user.groups.all())) or NONE

    @admin.display(description="Can log in", boolean=True)
    def may_log_in(self, user: User) -> bool:
        """Whether the log-in lets somebody in."""
        return user.is_active and user.is_staff

    @admin.display(description="Second factor")
    def factor(self, user: Any) -> str:
        """What somebody has of a second factor."""
        return second_factor_state(user) if user.pk else "—"

    @admin.display(description="Locked")
    def locked(self, user: Any) -> str:
        """Until when somebody is locked out."""
        if not hasattr(user, "lock"):
            return lock_state(user)
        return f"Until {clock(user.lock.until)}" if user.lock else "No"

    @admin.display(description="Last log-in", ordering="last_login")
    def last_log_in(self, user: User) -> str:
        """When somebody logged in last."""
        return clock(user.last_login) if user.last_login else "Never"

    @admin.display(description="Single permissions")
    def own_permissions(self, user: User) -> SafeString | str:
        """The permissions beside those of the groups, in words."""
        return in_words(user.user_permissions.select_related("content_type"))

    def get_urls(self) -> list[Any]:
        """Add the pages that let a colleague in again."""
        return [
            *(
                path(
                    f"<int:pk>/{name}/",
                    self.admin_site.admin_view(self._asked(name)),
                    name=f"auth_user_{name}",
                )
                for name in QUESTIONS
            ),
            *super().get_urls(),
        ]

    def user_change_password(
        self,
        request: HttpRequest,
        id: str,  # noqa: A002 -- Django's
        form_url: str = "",
    ) -> HttpResponse:
        """Set a password, in the desk's frame."""
        answer = super().user_change_password(request, id, form_url)
        if isinstance(answer, TemplateResponse) and answer.context_data is not None:
            user = answer.context_data["original"]
            title = {"title": f"Set a password for {self.heading(user)}"}
            answer.context_data |= self.frame(user) | title
        return answer

    def _asked(self, name: str) -> Any:
        def view(request: HttpRequest, pk: int) -> HttpResponse:
            if not (self.has_view_permission(request) and request.user.has_perm(RESET)):
                raise MissingPermissionError(RESET)
            user = get_object_or_404(self.get_queryset(request), pk=pk)
            page = self.url_of("change", user)
            if reason := _why_not(request, user):
                messages.error(request, reason)
                return HttpResponseRedirect(page)
            if request.method == "POST":
                sentence = _reset(user) if name == "reset_factor" else _unlock(user)
                self.log_change(request, user, sentence)
                messages.success(request, sentence)
                return HttpResponseRedirect(page)
            title, text, button = (it.format(name=user.get_username()) for it in QUESTIONS[name])
            context = {
                **self.admin_site.each_context(request),
                **self.frame(user),
                "opts": self.opts,
                "title": title,
                "text": text,
                "button": button,
            }
            return TemplateResponse(request, "admin/access/question.html", context)

        return view


def _why_not(request: HttpRequest, user: User) -> str:
    """Return why somebody who may let colleagues in again may not do it for this one; "" if they may."""
    if user.pk == request.user.pk:
        return "Another person has to do this for you."
    if user.is_superuser and not request.user.is_superuser:
        return "Only an administrator may do this for an administrator."
    return ""


def _has_something(name: str, user: Any) -> bool:
    if name == "reset_factor":
        return bool(user.has_device or user.backup_codes)
    return bool(locks.locks_of(user.get_username(), now=timezone.now()))


def _reset(user: User) -> str:
    """Take somebody's devices and sessions; return what was done."""
    with transaction.atomic():
        TOTPDevice.objects.filter(user=user).delete()
        StaticDevice.objects.filter(user=user).delete()
        ended = sessions.end_all_of(user)
    return f"Second factor of {user.get_username()} reset. {ended} session{'' if ended == 1 else 's'} ended."


def _unlock(user: User) -> str:
    locks.lift(user.get_username())
    return f"{user.get_username()} can log in again."


admin.site.unregister(User)
admin.site.register(User, StaffAdmin)
