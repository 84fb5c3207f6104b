"""Log-in with a one-time code, and the page where staff enrol their authenticator app.

Who has lost the device: ``manage.py addstatictoken USER`` gives a code for one log-in, and without
their TOTP device (removed in the admin by a superuser) they enrol again.
"""

from typing import Any, cast

import segno
from django import forms
from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.safestring import mark_safe
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django_otp import login as verify_session
from django_otp import match_token, user_has_device
from django_otp.plugins.otp_totp.models import TOTPDevice

Visitor = AbstractBaseUser | AnonymousUser


def is_satisfied(user: Visitor) -> bool:
    """Whether this visitor needs no second factor, or has shown it."""
    return not settings.REQUIRE_SECOND_FACTOR or cast("Any", user).is_verified()


def must_enrol(user: Visitor) -> bool:
    """Whether this visitor is logged in as staff, needs a second factor and has none yet."""
    is_staff = isinstance(user, User) and user.is_active and user.is_staff
    return is_staff and not is_satisfied(user) and not user_has_device(user)


def code_field(*, required: bool) -> forms.CharField:
    """Return the field for a one-time code."""
    attrs = {"autocomplete": "one-time-code", "inputmode": "numeric", "size": 12}
    return forms.CharField(
        label="Authentication code",
        help_text="" if required else "Leave it empty if you have not set up a device yet.",
        required=required,
        max_length=16,
        widget=forms.TextInput(attrs=attrs),
    )


class LoginForm(AdminAuthenticationForm):
    """User name, password and, for who has a device, the code it shows."""

    code = code_field(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not settings.REQUIRE_SECOND_FACTOR:
            del self.fields["code"]

    def confirm_login_allowed(self, user: User) -> None:
        """Refuse who may not log in, and who has a device but not its code."""
        super().confirm_login_allowed(user)
        if settings.REQUIRE_SECOND_FACTOR and user_has_device(user):
            device = match_token(user, self.data.get("code", "").strip())
            if device is None:
                raise ValidationError("The authentication code is missing or wrong.", "code")
            cast("Any", user).otp_device = device  # django_otp marks the session with it


class EnrolForm(forms.Form):
    """The code that proves that the app has the secret."""

    code = code_field(required=True)

    def __init__(self, *args: Any, device: TOTPDevice, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.device = device

    def clean_code(self) -> str:
        """Accept the device's own code only."""
        code: str = self.cleaned_data["code"]
        if not self.device.verify_token(code):
            raise ValidationError("That is not the code. Is the clock of your device right?")
        return code


@method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")
class EnrolView(View):
    """Show the secret as a QR code; the first right code makes the device count."""

    site: AdminSite | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Only for those who are logged in and have no device: it cannot replace one."""
        if not must_enrol(request.user):
            if request.user.is_authenticated and not is_satisfied(request.user):
                raise PermissionDenied
            return HttpResponseRedirect(reverse("admin:index"))
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the secret."""
        device = _pending_device(request)
        return self._page(request, EnrolForm(device=device))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make the device count if the code is right."""
        form = EnrolForm(request.POST, device=_pending_device(request))
        if not form.is_valid():
            return self._page(request, form)
        form.device.confirmed = True
        form.device.save(update_fields=["confirmed"])
        verify_session(request, form.device)
        return HttpResponseRedirect(reverse("admin:index"))

    def _page(self, request: HttpRequest, form: EnrolForm) -> HttpResponse:
        context = {
            **(self.site.each_context(request) if self.site else {}),
            "title": "Set up your second factor",
            "form": form,
            "secret": form.device.config_url.partition("secret=")[2].partition("&")[0],
            "qr_code": qr_code(form.device.config_url),
        }
        return render(request, "admin/second_factor.html", context)


def qr_code(text: str) -> str:
    """Return ``text`` as an SVG with attributes only, which the CSP lets pass."""
    svg = segno.make(text, error="m").svg_inline(scale=5, dark="#000", light="#fff")
    return mark_safe(svg)  # noqa: S308 - made by segno from numbers, it holds no text


def _pending_device(request: HttpRequest) -> TOTPDevice:
    device, _ = TOTPDevice.objects.get_or_create(
        user=request.user, confirmed=False, defaults={"name": "Authenticator app"}
    )
    return device
