"""Whose password is right: also of people who may not come in, so that the log-in can tell them so."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest


class StaffBackend(ModelBackend):
    """Knows the users of the database.

    The password of one who is switched off counts here, for the log-in form refuses them in its own
    words. A wrong password asks no other backend: each would take as long again.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """Return the user whose password this is."""
        user = super().authenticate(request, username, password, **kwargs)
        if user is None:
            raise PermissionDenied
        return user

    def user_can_authenticate(self, user: AbstractBaseUser | AnonymousUser | None) -> bool:
        """Whether the password is looked at."""
        return user is not None

    def get_user(self, user_id: Any) -> User | None:
        """Return the user of a session; one who was switched off has none."""
        user: Any = super().get_user(user_id)
        return user if user is not None and user.is_active else None
