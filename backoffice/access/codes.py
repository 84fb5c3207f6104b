"""One-time codes: how people write them, how long they have to wait after a wrong one, and backup codes."""

import math
import re
import unicodedata
from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django_otp import devices_for_user
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

LONGEST = 40  # characters that may be typed for a code
BACKUP_CODES = 10
BACKUP_NAME = "Backup codes"
SEPARATORS = re.compile(r"[\s\u200b-\u200d\u2060\ufeff\u00ad\u2010-\u2015\u2212_.-]")


def plain(text: str) -> str:
    """Return a code without what people and apps put between its signs: "123 456", full-width digits."""
    return SEPARATORS.sub("", unicodedata.normalize("NFKC", text)).lower()


def check(user: AbstractBaseUser, text: str) -> Device:
    """Return the device whose code this is; ValidationError with what to do if it is none.

    After a wrong code a device takes none for a while, not even the right one: then nothing is
    called wrong.
    """
    code = plain(text)
    if not code:
        raise ValidationError("Enter the code that your authenticator app shows.", "code")
    with transaction.atomic():
        devices = [it for it in devices_for_user(user, for_verify=True) if _may_be_of(it, code)]
        if until := waits_until(devices):
            raise ValidationError(wait_for(until, now=timezone.now()), "wait")
        found = next((it for it in devices if it.verify_token(code)), None)
        until = waits_until(devices)
    if found is None:
        wait = f" {wait_for(until, now=timezone.now())}" if until else ""
        raise ValidationError(f"This is not the code that your device shows now.{wait}", "code")
    return found


def waits_until(devices: list[Device]) -> datetime | None:
    """Return until when none of these devices takes a code; None if one takes it now."""
    told = [it.verify_is_allowed() for it in devices]
    ends = [more["locked_until"] for is_allowed, more in told if not is_allowed and more]
    return min(ends) if ends and len(ends) == len(told) else None


def wait_for(until: datetime, *, now: datetime) -> str:
    """Return how long to wait, in words."""
    seconds = max(1, math.ceil((until - now).total_seconds()))
    if seconds < 120:
        length = "1 second" if seconds == 1 else f"{seconds} seconds"
    else:
        length = f"{math.ceil(seconds / 60)} minutes"
    return f"Wait {length} before you try again: no code is accepted until then."


def new_backup_codes(user: AbstractBaseUser) -> list[str]:
    """Replace somebody's backup codes; return the new ones, which can be read here alone."""
    with transaction.atomic():
        StaticDevice.objects.filter(user=user).delete()
        device = StaticDevice.objects.create(user=user, name=BACKUP_NAME, confirmed=True)
        codes = [StaticToken.random_token() for _ in range(BACKUP_CODES)]
        StaticToken.objects.bulk_create(StaticToken(device=device, token=it) for it in codes)
    return [f"{it[:4]}-{it[4:]}" for it in codes]


def backup_codes_left(user: AbstractBaseUser) -> int:
    """Return how many backup codes somebody has not used."""
    left: int = StaticToken.objects.filter(device__user=user, device__confirmed=True).count()
    return left


def _may_be_of(device: Device, code: str) -> bool:
    """Whether a code is of the form of a device's codes: a wrong one makes no other device wait."""
    return code.isdecimal() if isinstance(device, TOTPDevice) else not code.isdecimal()
