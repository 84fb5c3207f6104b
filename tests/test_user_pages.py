"""The pages of users: who may come in, and letting a colleague in again."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.test import Client
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from backoffice import locks
from backoffice.access import codes
from tests.staff import BACKEND, browser, html, messages, who_may, words

USERS = "/admin/auth/user/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def ben():
    """A colleague with groups, a device and backup codes."""
    user = User.objects.create_user("ben", password="right", is_staff=True, first_name="Ben")
    user.groups.set(Group.objects.filter(name__in=["Trader", "Viewer"]))
    TOTPDevice.objects.create(user=user, name="phone", confirmed=True)
    codes.new_backup_codes(user)
    return user


def of(user, page="change"):
    return f"{USERS}{user.pk}/{page}/"


def lock(user):
    client = Client()
    for _ in range(5):
        client.post("/admin/login/", {"username": user.username, "password": "wrong"})


def test_the_list_shows_groups_second_factor_lock_and_last_log_in(ben):
    User.objects.create_user("new", is_staff=False)
    lock(ben)

    text = words(browser().get(USERS))

    assert "ben Ben Trader, Viewer" in text
    assert "Set up, 10 backup codes left Until " in text
    assert "new — None" in text
    assert "Not set up No Never" in text


def test_the_list_asks_the_same_few_questions_for_2_users_and_for_30(
    ben, django_assert_max_num_queries
):
    client = browser()
    for number in range(30):
        user = User.objects.create_user(f"u{number}")
        user.groups.add(Group.objects.get(name="Viewer"))

    with django_assert_max_num_queries(9):
        client.get(USERS)


def test_a_user_who_is_added_is_staff_with_groups_at_once():
    client = browser()
    group = Group.objects.get(name="Viewer")
    password = "correct horse battery"
    fields = {"username": "nina", "password1": password, "password2": password, "groups": group.pk}

    response = client.post(f"{USERS}add/", fields, follow=True)

    nina = User.objects.get(username="nina")
    assert response.status_code == 200
    assert nina.is_staff
    assert list(nina.groups.all()) == [group]
    newcomer = Client()
    newcomer.post("/admin/login/", {"username": "nina", "password": password})
    assert newcomer.get("/admin/").status_code == 200


def test_a_user_is_changed_in_plain_words_and_no_moment_can_be_edited(ben):
    client = browser()

    shown = html(client.get(of(ben)))
    assert "Can log in to the desk" in shown
    assert "Set up, 10 backup codes left" in shown
    assert 'name="last_login' not in shown
    assert 'name="date_joined' not in shown
    fields = {"username": "ben", "first_name": "Benjamin", "is_active": "on", "is_staff": "on"}
    client.post(of(ben), fields)

    ben.refresh_from_db()
    assert (ben.first_name, ben.groups.count()) == ("Benjamin", 0)


def test_nothing_of_a_password_is_shown_but_that_there_is_one(ben):
    ben.set_password("right")
    ben.save()
    client = browser()
    shown = html(client.get(of(ben)))

    assert "Set Reset password" in words(client.get(of(ben)))
    assert ben.password.split("$")[2][:6] not in shown
    assert "pbkdf2" not in shown
    ben.set_unusable_password()
    ben.save()
    assert "Not set Set password" in words(client.get(of(ben)))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("auth/user", "Users"),
        ("auth/group", "Groups"),
        ("otp_totp/totpdevice", "Authenticators"),
        ("otp_static/staticdevice", "Backup codes"),
    ],
)
def test_a_list_is_headed_by_the_word_of_the_sidebar(path, name):
    answer = browser().get(f"/admin/{path}/")

    assert f"<h1>{name}</h1>" in html(answer)
    assert f"Home \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} {name}" in words(answer)
    assert "Select" not in answer.context["title"]
    said = words(answer).rpartition("Action")[2]
    assert f"1 {answer.context['kind'].lower()}" in said or f" {name.lower()}" in said
    assert "TOTP" not in words(answer)
    assert "static device" not in words(answer)


def test_the_filters_of_users_have_the_words_of_their_page(ben):
    shown = words(browser().get(USERS))

    assert "Groups: All" in shown
    assert "Can log in to the desk: All" in shown
    assert "Administrator: All" in shown
    assert "staff status" not in shown


def test_an_authenticator_can_be_seen_but_not_made_or_changed_by_others(ben):
    client = browser()
    device = TOTPDevice.objects.get()

    assert "phone" in words(client.get("/admin/otp_totp/totpdevice/"))
    assert device.key not in html(client.get(f"/admin/otp_totp/totpdevice/{device.pk}/change/"))
    assert client.get("/admin/otp_totp/totpdevice/add/").status_code == 403
    assert client.get("/admin/otp_static/staticdevice/add/").status_code == 403


def test_resetting_a_second_factor_asks_first_ends_the_sessions_and_leaves_an_entry(ben):
    theirs = [Client() for _ in "ab"]
    for client in theirs:
        client.force_login(ben, backend=BACKEND)
    client = who_may("view_user", "reset_second_factor")
    assert f'action="{of(ben, "reset_factor")}"' in html(client.get(of(ben)))

    asked = words(client.get(of(ben, "reset_factor")))
    assert "Reset the second factor of ben?" in asked
    assert TOTPDevice.objects.exists()
    response = client.post(of(ben, "reset_factor"), follow=True)

    sentence = "Second factor of ben reset. 2 sessions ended."
    assert messages(response) == [sentence]
    assert not TOTPDevice.objects.exists()
    assert not StaticDevice.objects.exists()
    assert [it.get("/admin/").status_code for it in theirs] == [302, 302]
    assert Session.objects.count() >= 1  # that of the colleague
    assert client.get(of(ben)).status_code == 200
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id, entry.change_message) == (
        "mira",
        str(ben.pk),
        sentence,
    )
    assert of(ben, "reset_factor") not in html(client.get(of(ben)))


def test_a_lock_is_lifted(ben):
    lock(ben)
    client = browser()
    assert "until" in words(client.get(of(ben)))

    response = client.post(of(ben, "unlock"), follow=True)

    assert messages(response) == ["ben can log in again."]
    assert "Not locked" in words(response)
    assert LogEntry.objects.get().change_message == "ben can log in again."
    assert locks.locks_of("ben", now=ben.date_joined) == []


@pytest.mark.parametrize("step", ["reset_factor", "unlock"])
def test_without_the_permission_nobody_lets_anybody_in_again(ben, step):
    client = who_may("view_user", "change_user")

    response = client.post(of(ben, step))
    assert response.status_code == 403
    assert "Reset a colleague&#x27;s second factor" in response.content.decode()
    assert of(ben, step) not in html(client.get(of(ben)))
    assert TOTPDevice.objects.exists()


@pytest.mark.parametrize("step", ["reset_factor", "unlock"])
def test_nobody_does_it_for_themselves_nor_a_colleague_for_an_administrator(step):
    anna = User.objects.create_superuser("anna")
    TOTPDevice.objects.create(user=anna, confirmed=True)
    client = who_may("view_user", "reset_second_factor")
    mira = User.objects.get(username="mira")

    response = client.post(of(mira, step), follow=True)
    assert messages(response) == ["Another person has to do this for you."]
    response = client.post(of(anna, step), follow=True)
    assert messages(response) == ["Only an administrator may do this for an administrator."]
    assert TOTPDevice.objects.exists()


def test_the_permission_is_there_and_no_group_has_it():
    permission = Permission.objects.get(codename="reset_second_factor")

    assert permission.content_type.app_label == "auth"
    assert not Group.objects.filter(permissions=permission).exists()


def test_a_colleague_without_a_group_is_told_so_and_whom_to_ask_and_nothing_else():
    User.objects.create_superuser("anna", first_name="Anna", last_name="Lee")
    User.objects.create_user("nina", is_staff=True)
    client = Client()
    client.force_login(User.objects.get(username="nina"), backend=BACKEND)

    text = words(client.get("/admin/"))

    assert "You cannot see anything yet. Your account is not in any group." in text
    assert "Ask an administrator (Anna Lee) to add you to one." in text
    assert "You cannot see anything yet" not in words(browser("Viewer").get("/admin/"))
    for page in ("/admin/", "/admin/password_change/", "/admin/glossary/", "/admin/no/such/"):
        shown = client.get(page, follow=True).content.decode()
        assert "permission to view or edit" not in shown, page
        assert 'id="nav-sidebar"' not in shown, page


def test_a_colleague_whose_group_lets_nobody_see_anything_is_told_so():
    User.objects.create_superuser("anna")
    client = who_may("add_note")
    User.objects.get(username="mira").groups.add(Group.objects.create(name="Empty"))

    text = words(client.get("/admin/"))

    assert "You cannot see anything yet. Your group (Empty) may not view any list." in text
    assert "Ask an administrator (anna) to change that." in text


def fields_of(response):
    """Return the forms' fields of a page: what a browser sends back unchanged."""
    text = html(response)
    boxes = re.findall(
        r'<input type="checkbox" name="(\w+)"(?: value="(\w+)")?[^>]*?( checked)?>', text
    )
    found: dict[str, list[str]] = {}
    for name, value, is_on in boxes:
        if is_on:
            found.setdefault(name, []).append(value or "on")
    return {**found, **dict(re.findall(r'<input type="text" name="(\w+)" value="([^"]*)"', text))}


def group_page(name):
    return f"/admin/auth/group/{Group.objects.get(name=name).pk}/change/"


def test_the_page_of_a_group_says_in_words_what_its_members_may_and_who_they_are(ben):
    response = browser().get(group_page("Trader"))
    shown, text = html(response), words(response)

    assert '<h1 class="words">Trader</h1>' in shown
    assert f'Members</dt><dd><a href="{of(ben)}">ben</a>' in shown
    assert "Orders View cancellations" in text
    assert "Place portfolio orders" in text
    assert "Webhooks View deliveries" in text
    assert "Reset a colleague's second factor and unlock log-ins" in text
    for stock in (
        "Can view",
        "|",
        "content type",
        "<h1>Change",
        "Save and",
        "session",
        "Add orders",
    ):
        assert stock not in shown.partition('id="content-main"')[2], stock


def test_a_group_that_is_saved_unchanged_keeps_its_permissions():
    client, group = browser(), Group.objects.get(name="Trader")
    group.permissions.add(Permission.objects.get(codename="view_session"))  # no page asks for it
    before = {*group.permissions.all()}

    response = client.post(group_page("Trader"), fields_of(client.get(group_page("Trader"))))

    assert response.status_code == 302
    assert {*group.permissions.all()} == before
    entries = LogEntry.objects.filter(object_id=str(group.pk))
    assert [it.get_change_message() for it in entries] == ["No fields changed."]


def test_a_permission_is_taken_from_a_group_and_given_to_it():
    client, group = browser(), Group.objects.get(name="Viewer")
    sent = fields_of(client.get(group_page("Viewer")))
    note = Permission.objects.get(codename="add_note")
    sent["permissions"] = [*sent["permissions"][1:], str(note.pk)]
    count = group.permissions.count()

    client.post(group_page("Viewer"), sent)

    assert note in group.permissions.all()
    assert group.permissions.count() == count


def test_a_user_that_is_saved_unchanged_keeps_everything(ben):
    ben.user_permissions.add(Permission.objects.get(codename="view_payload"))
    client = browser()
    sent = fields_of(client.get(of(ben)))

    response = client.post(of(ben), sent)

    assert response.status_code == 302
    ben.refresh_from_db()
    assert {it.name for it in ben.groups.all()} == {"Trader", "Viewer"}
    assert [it.codename for it in ben.user_permissions.all()] == ["view_payload"]
    assert (ben.first_name, ben.is_active, ben.is_staff, ben.is_superuser) == (
        "Ben", True, True, False,
    )  # fmt: skip


def test_those_who_may_only_look_read_permissions_in_words(ben):
    ben.user_permissions.add(Permission.objects.get(codename="view_payload"))
    client = who_may("view_user", "view_group")

    group, user = client.get(group_page("Trader")), client.get(of(ben))

    assert "Members of this group may Orders View cancellations" in words(group)
    assert "Single permissions Orders View raw payloads" in words(user)
    assert "Account Switched on Groups Trader, Viewer" in words(user)
    assert "status" not in words(user)
    for response in (group, user):
        assert "Save" not in html(response)
        assert "Can view" not in html(response)


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("change", "ben"),
        ("password", "Set a password for ben"),
        ("delete", "Delete ben?"),
        ("history", "History of ben"),
        ("reset_factor", "Reset the second factor of ben?"),
    ],
)
def test_each_page_of_a_user_is_headed_by_what_it_is_for_and_has_one_main_button(ben, page, says):
    shown = html(browser().get(of(ben, page)))
    content = shown.partition('id="content-main"')[2]

    assert re.findall(r"<h1[^>]*>([^<]*)", shown) == [says]
    assert f"<title>{says} | Order Desk</title>" in " ".join(shown.split())
    assert len(re.findall(r"press (?:primary|danger)", content)) == (page != "history")
    assert 'type="submit"' not in content


def test_a_user_with_a_second_factor_can_be_deleted_and_the_page_says_what_goes(ben):
    client = browser()

    asked = words(client.get(of(ben, "delete")))
    client.post(of(ben, "delete"), {"post": "yes"})

    assert (
        "The second factor, the backup codes and the group memberships are deleted, too." in asked
    )
    assert "it is enough to switch the account off" in asked
    assert not User.objects.filter(username="ben").exists()


def test_a_password_is_set_without_a_word_of_other_ways_to_log_in(ben):
    client = browser()
    shown = words(client.get(of(ben, "password")))
    new = {"password1": "another right one", "password2": "another right one"}

    client.post(of(ben, "password"), {**new, "set-password": ""})

    assert "LDAP" not in shown
    ben.refresh_from_db()
    assert ben.check_password("another right one")


def test_what_is_wrong_with_a_field_is_said_beside_it(ben):
    client = browser()
    sent = fields_of(client.get(of(ben))) | {"username": "", "email": "no address"}

    response = client.post(of(ben), sent)

    assert "Nothing was saved: 2 fields have to be corrected." in words(response)
    assert 'aria-describedby="id_username_helptext id_username_error"' in html(response)
    assert "Enter a valid email address." in words(response)


def test_a_device_is_told_in_words(ben):
    shown = words(
        browser().get(f"/admin/otp_totp/totpdevice/{TOTPDevice.objects.get().pk}/change/")
    )
    paper = StaticDevice.objects.get()

    assert "Authenticator phone of ben User ben In use Yes Set up " in shown
    assert "Last used Never" in shown
    codes_left = words(browser(name="m2").get(f"/admin/otp_static/staticdevice/{paper.pk}/change/"))
    assert "Codes left 10" in codes_left
