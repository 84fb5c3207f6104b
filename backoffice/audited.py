"""Which steps are reported: log-ins and their failures, and each change of users, rights and devices.

Loaded when all models are, which begins it.
"""

from collections.abc import Collection
from typing import Any

from axes.signals import user_locked_out
from django.contrib.auth.models import Group, Permission, User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save
from django.http import HttpRequest
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from backoffice.access import permissions
from backoffice.audit import ACCESS, LOG_IN, report

# Columns of a user whose change is reported, and how people call them. No value of a password is told.
WATCHED = {
    "username": "username",
    "first_name": "first name",
    "last_name": "last name",
    "email": "e-mail address",
    "is_active": "active",
    "is_staff": "may log in",
    "is_superuser": "administrator",
}
DEVICES = {TOTPDevice: "authenticator", StaticDevice: "set of backup codes"}
# Who has which rights: the names of both ends of each relation.
BOTH_WAYS = {
    User.groups.through: ("groups", "user_set"),
    User.user_permissions.through: ("user_permissions", "user_set"),
    Group.permissions.through: ("permissions", "group_set"),
}
MOST_NAMED = 20
CODES = {
    "missing": "no authentication code",
    "wait": "authentication code sent too soon after a wrong one",
}


def _connect() -> None:
    """Listen to what Django, axes and the devices tell."""
    user_logged_in.connect(_logged_in, dispatch_uid="audit")
    user_logged_out.connect(_logged_out, dispatch_uid="audit")
    user_login_failed.connect(_wrong_password, dispatch_uid="audit")
    user_locked_out.connect(_locked_out, dispatch_uid="audit")
    pre_save.connect(_remember, sender=User, dispatch_uid="audit")
    post_save.connect(_user_saved, sender=User, dispatch_uid="audit")
    post_save.connect(_group_saved, sender=Group, dispatch_uid="audit")
    for model in (User, Group):
        post_delete.connect(_deleted, sender=model, dispatch_uid="audit")
    for through in BOTH_WAYS:
        m2m_changed.connect(_rights_changed, sender=through, dispatch_uid="audit")
    for device in DEVICES:
        pre_save.connect(_remember, sender=device, dispatch_uid="audit")
        post_save.connect(_device_saved, sender=device, dispatch_uid="audit")
        post_delete.connect(_device_deleted, sender=device, dispatch_uid="audit")
    post_save.connect(_code_made, sender=StaticToken, dispatch_uid="audit")
    post_delete.connect(_code_gone, sender=StaticToken, dispatch_uid="audit")


def second_factor_failed(user: User, *, why: str, request: HttpRequest | None) -> None:
    """Report that the password of a user was right, and the code was "missing", wrong, or too early ("wait")."""
    what = CODES.get(why, "wrong authentication code")
    report(
        LOG_IN,
        "WRONG_CODE",
        f"Log-in refused for {user.get_username()}: right password, {what}",
        by="",
        request=request,
        user_id=user.pk,
        is_repeatable=True,
    )


def code_refused(user: User, *, why: str) -> None:
    """Report that somebody who is logged in was asked for a code again, and did not give it."""
    name = user.get_username()
    sentence = f"Confirmation refused for {name}: {CODES.get(why, 'wrong authentication code')}"
    report(LOG_IN, "WRONG_CODE_AGAIN", sentence, by=name, user_id=user.pk, is_repeatable=True)


def enrolment_refused(user: User, *, why: str) -> None:
    """Report that somebody who sets up a second factor did not send the code of the new device."""
    name = user.get_username()
    refused = CODES.get(why, "wrong authentication code")
    sentence = f"Set-up of a second factor refused for {name}: {refused}"
    report(LOG_IN, "WRONG_CODE_NEW", sentence, by=name, user_id=user.pk, is_repeatable=True)


def not_allowed(user: User, *, request: HttpRequest | None) -> None:
    """Report that a user whose password was right may not enter."""
    report(
        LOG_IN,
        "NOT_ALLOWED",
        f"Log-in refused for {user.get_username()}: right password, but the account may not log in",
        by="",
        request=request,
        user_id=user.pk,
        is_repeatable=True,
    )


def _logged_in(request: HttpRequest | None, user: User, **_: Any) -> None:
    report(
        LOG_IN, "LOGGED_IN", "Logged in", by=user.get_username(), request=request, user_id=user.pk
    )


def _logged_out(request: HttpRequest | None, user: User | None, **_: Any) -> None:
    if user is not None and getattr(request, "was_idle", False):
        sentence = f"Session of {user.get_username()} ended: idle for too long"
        report(LOG_IN, "IDLE", sentence, by="", request=request, user_id=user.pk)
    elif user is not None:
        report(
            LOG_IN,
            "LOGGED_OUT",
            "Logged out",
            by=user.get_username(),
            request=request,
            user_id=user.pk,
        )


def _wrong_password(credentials: Any, request: HttpRequest | None = None, **_: Any) -> None:
    # While a lock is on no password is looked at, and axes tells so by itself.
    was_locked = getattr(request, "axes_locked_out", False)
    if not was_locked or getattr(request, "axes_failures_since_start", None):
        user_id, name = _named(credentials.get("username"))
        sentence = f"Log-in refused for {name}: wrong password"
        report(
            LOG_IN,
            "WRONG_PASSWORD",
            sentence,
            by="",
            request=request,
            user_id=user_id,
            is_repeatable=True,
        )


def _locked_out(request: HttpRequest, username: str | None, **_: Any) -> None:
    user_id, name = _named(username)
    sentence = f"Log-in locked for {name} after too many wrong passwords"
    report(
        LOG_IN, "LOCKED_OUT", sentence, by="", request=request, user_id=user_id, is_repeatable=True
    )


def _named(username: str | None) -> tuple[int | None, str]:
    """Return the id and name of a user; of a name that no user has nothing, for people type passwords there."""
    name = (username or "").replace("\0", "")
    found = User.objects.filter(username=name).values_list("pk", "username").first()
    return found or (None, "a username that does not exist")


def _remember(instance: Model, raw: bool = False, **_: Any) -> None:  # noqa: FBT001, FBT002 -- Django's
    """Keep what a row was before it is saved."""
    rows: Any = type(instance)
    is_new = raw or instance.pk is None
    before = None if is_new else rows.objects.filter(pk=instance.pk).first()
    instance.before_audit = before  # type: ignore[attr-defined]


def _user_saved(
    instance: User,
    created: bool,  # noqa: FBT001 -- Django's
    raw: bool = False,  # noqa: FBT001, FBT002 -- Django's
    update_fields: Collection[str] | None = None,
    **_: Any,
) -> None:
    if raw:
        return
    name, before = instance.get_username(), getattr(instance, "before_audit", None)
    if created or before is None:
        rights = ", administrator" if instance.is_superuser else ""
        _changed(f"User {name} added{rights}", instance.pk, "USER_ADDED")
        return
    changes = [
        f"{label}: {_value(getattr(before, column))} → {_value(getattr(instance, column))}"
        for column, label in WATCHED.items()
        if getattr(before, column) != getattr(instance, column)
    ]
    if changes:
        _changed(f"User {name} changed. {'; '.join(changes)}", instance.pk, "USER_CHANGED")
    # At a log-in Django may store the same password anew, with a higher work factor.
    is_rehash = set(update_fields or ()) == {"password"} and not getattr(
        instance, "_password", None
    )
    if before.password != instance.password and not is_rehash:
        _changed(f"Password of {name} changed", instance.pk, "PASSWORD_CHANGED")


def _group_saved(instance: Group, created: bool, raw: bool = False, **_: Any) -> None:  # noqa: FBT001, FBT002 -- Django's
    if not raw:
        what = "added" if created else "saved"
        _changed(
            f"Group {instance.name} {what}", None, f"GROUP_{what.upper()}", group_id=instance.pk
        )


def _deleted(instance: User | Group, **_: Any) -> None:
    if isinstance(instance, User):
        _changed(f"User {instance.get_username()} deleted", instance.pk, "USER_DELETED")
    else:
        _changed(f"Group {instance.name} deleted", None, "GROUP_DELETED", group_id=instance.pk)


def _rights_changed(
    *,
    sender: Any,
    instance: Any,
    action: str,
    reverse: bool,
    model: type[Model],
    pk_set: set[int] | None,
    **_: Any,
) -> None:
    given = {"post_add": "given to", "post_remove": "taken from", "pre_clear": "taken from"}.get(
        action
    )
    if given is None:
        return
    rows: Any = model
    related = getattr(instance, BOTH_WAYS[sender][reverse]).all()
    if pk_set is not None:
        related = rows.objects.filter(pk__in=pk_set)
    names = [_right(it) for it in related[: MOST_NAMED + 1]]
    if not names:
        return
    more = " and others" if len(names) > MOST_NAMED else ""
    text = ", ".join(names[:MOST_NAMED]) + more
    whom, what = (text, _right(instance)) if reverse else (_right(instance), text)
    sentence = f"{what[:1].upper()}{what[1:]} {given} {whom}"
    if isinstance(instance, User):
        _changed(sentence, instance.pk, "RIGHTS_CHANGED")
    else:
        group_id = instance.pk if isinstance(instance, Group) else None
        _changed(sentence, None, "RIGHTS_CHANGED", group_id=group_id)


def _right(row: Any) -> str:
    if isinstance(row, User):
        return f"user {row.get_username()}"
    if isinstance(row, Permission):
        return f"“{permissions.label(row)}”"
    return f"group {row.name}"


def _device_saved(instance: Any, created: bool, raw: bool = False, **_: Any) -> None:  # noqa: FBT001, FBT002 -- Django's
    if raw:
        return
    what, before = DEVICES[type(instance)], getattr(instance, "before_audit", None)
    of = instance.user.get_username()
    if instance.confirmed and (created or before is None or not before.confirmed):
        _changed(
            f"{what.capitalize()} “{instance.name}” set up for {of}",
            instance.user_id,
            "DEVICE_ADDED",
        )
    elif before is not None and before.confirmed and not instance.confirmed:
        _changed(
            f"{what.capitalize()} “{instance.name}” of {of} disabled",
            instance.user_id,
            "DEVICE_CHANGED",
        )
    elif before is not None and (before.user_id, before.name) != (instance.user_id, instance.name):
        _changed(
            f"{what.capitalize()} “{instance.name}” of {of} changed",
            instance.user_id,
            "DEVICE_CHANGED",
        )


def _device_deleted(instance: Any, **_: Any) -> None:
    if instance.confirmed:
        of = User.objects.filter(pk=instance.user_id).values_list("username", flat=True).first()
        what = f"{DEVICES[type(instance)].capitalize()} “{instance.name}”"
        _changed(f"{what} of {of or 'a deleted user'} removed", instance.user_id, "DEVICE_REMOVED")


def _code_made(instance: StaticToken, created: bool, raw: bool = False, **_: Any) -> None:  # noqa: FBT001, FBT002 -- Django's
    if created and not raw:
        of = instance.device.user
        _changed(f"Backup code made for {of.get_username()}", of.pk, "BACKUP_CODE_MADE")


def _code_gone(instance: StaticToken, origin: Any = None, **_: Any) -> None:
    if getattr(origin, "model", type(origin)) is not StaticToken:
        return  # it goes with its device
    device = StaticDevice.objects.filter(pk=instance.device_id).select_related("user").first()
    if device is not None:
        name = device.user.get_username()
        _changed(f"Backup code of {name} used or removed", device.user_id, "BACKUP_CODE_GONE")


def _changed(sentence: str, user_id: int | None, word: str, *, group_id: int | None = None) -> None:
    report(ACCESS, word, sentence, user_id=user_id, group_id=group_id)


def _value(value: Any) -> str:
    return {True: "yes", False: "no"}.get(value, f"“{value}”")


_connect()
