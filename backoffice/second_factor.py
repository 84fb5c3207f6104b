"""Log-in with a one-time code, the page where staff enrol their authenticator app, and asking again.

Who has lost the device logs in with a backup code, or has a colleague reset the second factor on
the page of the user.
"""

from datetime import timedelta
from typing import Any, cast
from urllib.parse import quote, urlencode

import segno
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.contrib.auth.signals import user_logged_in
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.safestring import mark_safe
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django_otp import login as verify_session
from django_otp import user_has_device
from django_otp.plugins.otp_totp.models import TOTPDevice

from backoffice import audited
from backoffice.access import codes, kept
from backoffice.access.permissions import administrators

Visitor = AbstractBaseUser | AnonymousUser

VERIFIED = "verified_at"  # in the session, seconds
SWITCHED_OFF = "Your account is switched off. Ask {}."
NO_STAFF = "Your account may not log in to the desk. Ask {}."


def is_satisfied(user: Visitor) -> bool:
    """Whether this visitor needs no second factor, or has shown it."""
    return not settings.REQUIRE_SECOND_FACTOR or cast("Any", user).is_verified()


def must_enrol(user: Visitor) -> bool:
    """Whether this visitor is logged in as staff, needs a second factor and has none yet."""
    is_staff = isinstance(user, User) and user.is_active and user.is_staff
    return is_staff and not is_satisfied(user) and not user_has_device(user)


def is_fresh(request: HttpRequest) -> bool:
    """Whether the second factor was shown a short time ago, or is not asked for again."""
    longest = timedelta(minutes=settings.SECOND_FACTOR_AGAIN_MINUTES)
    if not settings.REQUIRE_SECOND_FACTOR or not longest:
        return True
    since = timezone.now().timestamp() - request.session.get(VERIFIED, 0)
    return bool(since <= longest.total_seconds())


def ask_again(request: HttpRequest) -> HttpResponse:
    """Lead to the page that asks for the code again; what was typed is kept, and nothing was done."""
    is_press = request.method == "POST"
    page = kept.keep(request, kept.Reason.CODE) if is_press else request.get_full_path()
    return redirect(f"{reverse('admin:second-factor-again')}?{urlencode({'next': page})}")


@receiver(user_logged_in)
def note_second_factor(request: HttpRequest, user: User, **_: object) -> None:
    """Note when the second factor was shown."""
    if getattr(user, "otp_device", None):
        request.session[VERIFIED] = timezone.now().timestamp()


def code_field(*, required: bool) -> forms.CharField:
    """Return the field for a one-time code."""
    attrs = {"autocomplete": "one-time-code", "inputmode": "text", "size": 12}
    return forms.CharField(
        label="Authentication code",
        help_text=""
        if required
        else "From your authenticator app, or a backup code. Leave it empty if you have not set one up yet.",
        required=required,
        max_length=codes.LONGEST,
        widget=forms.TextInput(attrs=attrs),
    )


class LoginForm(AdminAuthenticationForm):
    """User name, password and, for who has a device, the code it shows."""

    code = code_field(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not settings.REQUIRE_SECOND_FACTOR:
            del self.fields["code"]

    def clean_username(self) -> str:
        """Take no name that no user can have: the record of failed log-ins could not hold it."""
        name: str = self.cleaned_data["username"]
        if len(name) > (self.username_field.max_length or 0):
            raise self.get_invalid_login_error()
        return name

    def confirm_login_allowed(self, user: User) -> None:
        """Refuse who may not log in, and who has a device but not its code; the password was right."""
        if not (user.is_active and user.is_staff):
            audited.not_allowed(user, request=self.request)
        if not user.is_active:
            raise ValidationError(SWITCHED_OFF.format(administrators(but=user)), "inactive")
        if not user.is_staff:
            raise ValidationError(NO_STAFF.format(administrators(but=user)), "no_staff")
        if settings.REQUIRE_SECOND_FACTOR and user_has_device(user):
            code = self.cleaned_data.get("code", "")
            try:
                device = codes.check(user, code)
            except ValidationError as error:
                why = error.code if code else "missing"
                audited.second_factor_failed(user, why=str(why), request=self.request)
                raise
            cast("Any", user).otp_device = device  # django_otp marks the session with it


class CodeForm(forms.Form):
    """A code of somebody who is logged in."""

    code = code_field(required=True)

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.device: Any = None

    def clean_code(self) -> str:
        """Accept a code of one of the person's devices."""
        code: str = self.cleaned_data["code"]
        try:
            self.device = codes.check(self.user, code)
        except ValidationError as error:
            audited.code_refused(self.user, why=str(error.code))
            raise
        return code


class EnrolForm(forms.Form):
    """The code that proves that the app has the secret."""

    code = code_field(required=True)

    def __init__(self, *args: Any, devices: list[TOTPDevice], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.devices = devices
        self.device: TOTPDevice | None = None

    def clean_code(self) -> str:
        """Accept a code of a secret that was shown: two tabs may have shown two."""
        code = codes.plain(self.cleaned_data["code"])
        try:
            self.device = self._device_of(code)
        except ValidationError as error:
            audited.enrolment_refused(self.devices[0].user, why=str(error.code))
            raise
        return code

    def _device_of(self, code: str) -> TOTPDevice:
        if until := codes.waits_until(list(self.devices)):
            raise ValidationError(codes.wait_for(until, now=timezone.now()), "wait")
        found = next((it for it in self.devices if it.verify_token(code)), None)
        if found is None:
            until = codes.waits_until(list(self.devices))
            wait = f" {codes.wait_for(until, now=timezone.now())}" if until else ""
            sentence = f"This is not the code that your device shows now. Check its clock.{wait}"
            raise ValidationError(sentence, "code")
        return found


class SiteView(View):
    """A page of the second factor, in the frame of the site."""

    site: AdminSite | None = None

    def show(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        """Return the page."""
        frame = self.site.each_context(request) if self.site else {}
        return render(request, f"admin/{template}.html", {**frame, **context})


@method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")
class EnrolView(SiteView):
    """Show the secret as a QR code; the first right code makes the device count."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Only for those who are logged in and have no device: it cannot replace one."""
        if not must_enrol(request.user):
            is_unverified = request.user.is_authenticated and not is_satisfied(request.user)
            # A code that is sent may come from a tab that another one overtook a moment ago: it is led on.
            if is_unverified and request.method != "POST":
                raise PermissionDenied
            return HttpResponseRedirect(reverse("admin:index"))
        return super().dispatch(request, *args, **kwargs)

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the secret."""
        return self._page(request, EnrolForm(devices=_pending_devices(request.user)))

    @sensitive_variables()
    def post(self, request: HttpRequest) -> HttpResponse:
        """Make the device count if the code is right, and show the backup codes."""
        with transaction.atomic():
            User.objects.select_for_update().get(
                pk=cast("User", request.user).pk
            )  # another tab sends its code
            if user_has_device(request.user):
                return HttpResponseRedirect(reverse("admin:index"))
            form = EnrolForm(request.POST, devices=_pending_devices(request.user))
            is_right = form.is_valid() and form.device is not None
            if is_right and form.device:
                form.device.confirmed = True
                form.device.save(update_fields=["confirmed"])
                TOTPDevice.objects.filter(user=form.device.user, confirmed=False).delete()
        if not is_right or not form.device:
            return self._page(request, form)
        verify_session(request, form.device)
        request.session[VERIFIED] = timezone.now().timestamp()
        made = codes.new_backup_codes(cast("User", request.user))
        return show_codes(self, request, made)

    def _page(self, request: HttpRequest, form: EnrolForm) -> HttpResponse:
        url = form.devices[0].config_url
        return self.show(
            request,
            "second_factor",
            title="Set up your second factor",
            form=form,
            secret=url.partition("secret=")[2].partition("&")[0],
            qr_code=qr_code(url),
        )


@method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")
class AgainView(SiteView):
    """Ask for the code again, and lead back to the page; nothing is done by itself."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Ask."""
        return self._page(request, CodeForm(user=request.user))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Note that the code was right, and lead back."""
        form = CodeForm(request.POST, user=request.user)
        if not form.is_valid():
            return self._page(request, form)
        request.session[VERIFIED] = timezone.now().timestamp()
        page = request.GET.get("next", "")
        return HttpResponseRedirect(page if kept.is_page(page) else reverse("admin:index"))

    def _page(self, request: HttpRequest, form: CodeForm) -> HttpResponse:
        minutes = settings.SECOND_FACTOR_AGAIN_MINUTES
        return self.show(
            request,
            "second_factor_again",
            title="Enter your code again",
            form=form,
            minutes=minutes,
        )


@method_decorator([never_cache, sensitive_post_parameters()], name="dispatch")
class BackupCodesView(SiteView):
    """Say how many backup codes are left, and replace them by new ones, which are shown once."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Say how many are left."""
        return self._page(request, CodeForm(user=request.user))

    @sensitive_variables()
    def post(self, request: HttpRequest) -> HttpResponse:
        """Make new ones for somebody who shows a code of the device."""
        form = CodeForm(request.POST, user=request.user)
        if not form.is_valid():
            return self._page(request, form)
        messages.success(request, "New backup codes were made. The old ones are no longer valid.")
        return show_codes(self, request, codes.new_backup_codes(cast("User", request.user)))

    def _page(self, request: HttpRequest, form: CodeForm) -> HttpResponse:
        return self.show(
            request,
            "backup_codes",
            title="Backup codes",
            form=form,
            left=codes.backup_codes_left(cast("User", request.user)),
            has_device=user_has_device(request.user),
        )


def show_codes(view: SiteView, request: HttpRequest, made: list[str]) -> HttpResponse:
    """Show backup codes, this once, with a file to keep."""
    text = "".join(f"{it}\n" for it in ("Order Desk, backup codes", *made))
    return view.show(
        request,
        "backup_codes",
        title="Your backup codes",
        codes=made,
        file=f"data:text/plain;charset=utf-8,{quote(text)}",
    )


def qr_code(text: str) -> str:
    """Return ``text`` as an SVG with attributes only, which the CSP lets pass."""
    svg = segno.make(text, error="m").svg_inline(scale=5, dark="#000", light="#fff")
    return mark_safe(svg)  # noqa: S308 - made by segno from numbers, it holds no text


def _pending_devices(user: Any) -> list[TOTPDevice]:
    """Return the devices that somebody is enrolling, the first is shown; more than one only after a race of tabs."""
    found = list(TOTPDevice.objects.filter(user=user, confirmed=False).order_by("pk"))
    return found or [
        TOTPDevice.objects.create(user=user, confirmed=False, name="Authenticator app")
    ]
