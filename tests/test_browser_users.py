"""The pages of users, second factors and errors for everybody: axe finds nothing, nothing is cut off."""

from django.contrib.auth.models import Group, User
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from backoffice.access import codes
from tests.browser import WIDE, barriers, flaws
from tests.staff import browser

USERS = "/admin/auth/user/"
SIZES = [(390, 844), (768, 1024), WIDE]
SIDEWAYS = "() => document.documentElement.scrollWidth - innerWidth"


def test_no_barrier_stands_in_the_pages_of_users_groups_and_second_factors(look):
    user = User.objects.create_user("ben", password="x", is_staff=True)
    user.groups.set(Group.objects.all())
    device = TOTPDevice.objects.create(user=user, name="phone", confirmed=True)
    codes.new_backup_codes(user)
    paper, group = StaticDevice.objects.get(), Group.objects.get(name="Trader")
    client = browser()

    paths = [
        USERS,
        f"{USERS}add/",
        f"{USERS}{user.pk}/change/",
        f"{USERS}{user.pk}/reset_factor/",
        f"{USERS}{user.pk}/password/",
        f"{USERS}{user.pk}/history/",
        f"{USERS}{user.pk}/delete/",
        "/admin/auth/group/",
        "/admin/auth/group/add/",
        f"/admin/auth/group/{group.pk}/change/",
        f"/admin/auth/group/{group.pk}/delete/",
        "/admin/otp_totp/totpdevice/",
        f"/admin/otp_totp/totpdevice/{device.pk}/change/",
        f"/admin/otp_static/staticdevice/{paper.pk}/change/",
        "/admin/password_change/",
        "/admin/password_change/done/",
        "/admin/second-factor/backup-codes/",
    ]
    window = look(client)
    found = []
    for path in paths:
        shown = window.open(path)
        for scheme in ("light", "dark"):
            shown.emulate_media(color_scheme=scheme)
            for width, height in SIZES:
                shown.set_viewport_size({"width": width, "height": height})
                where = f"{path} {scheme} {width}"
                found += [f"{where}: {it}" for it in barriers(shown)]
                found += [f"{where}: wider"] if shown.evaluate(SIDEWAYS) > 0 else []

    assert "\n".join(found) == ""
    # Axe itself writes a style of its own for sheets that import others, and stumbles.
    own = ("preload assets", "Applying inline style")
    assert [it for it in window.complaints if not any(words in it for words in own)] == []


def test_a_group_is_made_and_its_members_chosen_by_keyboard_without_a_script(look):
    ben = User.objects.create_user("ben", password="x", is_staff=True)
    window = look(browser(), java_script_enabled=False)

    shown = window.open("/admin/auth/group/")
    shown.get_by_role("link", name="Add group").click()
    shown.get_by_label("Name").fill("Night desk")
    for words in ("View portfolio orders", "Refetch orders from the broker"):
        shown.get_by_role("checkbox", name=words).press("Space")
    shown.get_by_role("button", name="Add group").press("Enter")
    shown = window.open(f"{USERS}{ben.pk}/change/")
    shown.get_by_role("checkbox", name="Night desk").press("Space")
    shown.get_by_role("button", name="Save").press("Enter")

    group = Group.objects.get(name="Night desk")
    assert {it.codename for it in group.permissions.all()} == {
        "view_portfolioorder",
        "refetch_portfolioorder",
    }
    assert list(ben.groups.all()) == [group]
    assert window.path() == USERS


def test_the_page_of_a_group_shows_its_lists_in_a_wide_window(look):
    window = look(browser())

    assert (
        window.open("/admin/orders/").get_by_label("Lists").get_by_text("Placements").is_visible()
    )
    assert not window.open("/admin/").get_by_label("Lists").is_visible()  # the sidebar has them


def test_no_barrier_stands_in_an_error_page(look):
    window = look(browser("Viewer"))

    found = flaws(window, "/admin/no/such/", USERS)

    assert [it for it in found if "status of 40" not in it] == []
