"""The list of what staff did: log-ins and their failures, access, exports, looks at payloads, and all steps."""

import csv
import io
import re
from datetime import timedelta

import pytest
import time_machine
from axes.models import AccessAttempt
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.test import Client, RequestFactory
from django.utils import timezone
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from backoffice import audit, locks
from backoffice.access import codes
from orders import audited, journal
from orders.audit import about
from orders.lifecycle import Kind
from orders.models import JournalEntry, Placement, Reconciliation, StaffAction, StepDetail
from orders.tracked import Source
from tests import scenes, staff, stories, troubles
from tests.listed import record_failure
from tests.upstream import PEM, receive, running
from webhooks.models import Delivery, Subscription

pytestmark = [pytest.mark.django_db, pytest.mark.audited]
LIST = "/admin/orders/staffaction/"
LOGIN = "/admin/login/"
ADDRESS = "203.0.113.9"


@pytest.fixture
def anna():
    return User.objects.create_user("anna", password="right", is_staff=True)


def log_in(client=None, *, name="anna", password="right", code=None, address=ADDRESS):
    fields = {"username": name, "password": password, "next": "/admin/"}
    fields |= {} if code is None else {"code": code}
    return (client or Client()).post(LOGIN, fields, REMOTE_ADDR=address)


def told(*types):
    """Return word, person, sentence and address of each entry of these types, the oldest first."""
    rows = JournalEntry.objects.filter(type__in=types).select_related("detail").order_by("pk")
    return [
        (it.status, it.actor, it.message, it.detail.address if hasattr(it, "detail") else "")
        for it in rows
    ]


def log_ins():
    return told("LOG_IN")


def access():
    return [(person, said) for _, person, said, _ in told("ACCESS")]


# Log-ins


def test_a_log_in_and_a_log_out_are_kept_with_name_and_address(anna):
    client = Client()
    log_in(client)
    client.post("/admin/logout/", REMOTE_ADDR=ADDRESS)

    assert log_ins() == [
        ("LOGGED_IN", "anna", "Logged in", ADDRESS),
        ("LOGGED_OUT", "anna", "Logged out", ADDRESS),
    ]


def test_a_session_that_ends_for_being_idle_is_no_log_out_of_the_person(anna, settings):
    settings.SESSION_IDLE_MINUTES = 5
    client = Client()
    log_in(client)
    client.get("/admin/")
    with time_machine.travel(timezone.now() + timedelta(minutes=6)):
        client.get("/admin/")

    assert log_ins()[-1][:3] == ("IDLE", "", "Session of anna ended: idle for too long")


def test_a_failed_password_survives_the_next_good_log_in(anna):
    log_in(password="wrong")
    log_in()

    assert AccessAttempt.objects.count() == 0
    assert log_ins()[0] == (
        "WRONG_PASSWORD", "", "Log-in refused for anna: wrong password", ADDRESS,
    )  # fmt: skip


@pytest.mark.parametrize(("code", "said"), [("000000", "wrong"), ("", "no"), (None, "no")])
def test_a_right_password_with_a_wrong_code_leaves_a_trace(anna, settings, code, said):
    settings.REQUIRE_SECOND_FACTOR = True
    device = TOTPDevice.objects.create(user=anna, name="phone", confirmed=True)
    if code == f"{totp(device.bin_key):06}":
        code = "000001"

    log_in(code=code)

    (refused,) = log_ins()
    assert refused == (
        "WRONG_CODE", "", f"Log-in refused for anna: right password, {said} authentication code", ADDRESS,
    )  # fmt: skip


def test_a_wrong_code_while_a_second_factor_is_set_up_leaves_a_trace(anna, settings):
    settings.REQUIRE_SECOND_FACTOR = True
    client = Client()
    log_in(client)
    client.get("/admin/second-factor/")
    right = totp(TOTPDevice.objects.get().bin_key)
    for number in range(3):
        code = f"{(right + 1 + number) % 10**6:06}"
        client.post("/admin/second-factor/", {"code": code}, REMOTE_ADDR=ADDRESS)

    refused = log_ins()[1:]
    assert {it[0] for it in refused} == {"WRONG_CODE_NEW"}
    assert refused[0][1:] == (
        "anna", "Set-up of a second factor refused for anna: wrong authentication code", ADDRESS,
    )  # fmt: skip
    entry = JournalEntry.objects.get(status="WRONG_CODE_NEW")
    assert entry.detail.times == 3
    settings.REQUIRE_SECOND_FACTOR = False
    shown = staff.words(staff.browser("Auditor", name="otto").get(LIST, follow=True))
    assert "Set-up of a second factor refused for anna" in shown


def test_an_account_that_may_not_enter_leaves_a_trace():
    User.objects.create_user("otto", password="right")

    log_in(name="otto")

    assert [word for word, *_ in log_ins()] == ["NOT_ALLOWED"]


def test_a_lock_out_is_kept_and_so_is_who_tries_on(anna):
    for _ in range(7):
        log_in(password="wrong")

    failed, locked = JournalEntry.objects.filter(type="LOG_IN").order_by("pk")
    assert (failed.status, failed.detail.times) == ("WRONG_PASSWORD", 5)
    assert (locked.status, locked.detail.times) == ("LOCKED_OUT", 3)
    assert locked.message == "Log-in locked for anna after too many wrong passwords"


def test_who_lifts_a_lock_is_kept(anna):
    locks.lift("anna")

    assert access()[-1][1] == "Lock of anna lifted"


def test_what_was_typed_for_the_name_is_not_kept_where_no_user_has_it(anna):
    log_in(name="hunter22", password="x")

    (row,) = log_ins()
    assert row[2] == "Log-in refused for a username that does not exist: wrong password"
    assert "hunter22" not in str(list(JournalEntry.objects.values()))


def test_no_password_code_or_secret_is_kept(anna, settings):
    settings.REQUIRE_SECOND_FACTOR = True
    device = TOTPDevice.objects.create(user=anna, name="phone", confirmed=True)
    backup = StaticDevice.objects.create(user=anna, name="backup", confirmed=True)
    backup.token_set.create(token="zx7qwert")
    log_in(password="hunter22")
    log_in(code="918273")
    anna.set_password("pa55word!x")
    anna.save()

    kept = str(list(JournalEntry.objects.values())) + str(list(StepDetail.objects.values()))
    for secret in ("hunter22", "918273", "pa55word!x", "zx7qwert", device.key, anna.password):
        assert secret not in kept


def test_robots_fill_neither_the_journal_with_one_name_nor_with_many():
    User.objects.bulk_create([User(username=f"user{n}", is_staff=True) for n in range(60)])
    with time_machine.travel(timezone.now().replace(minute=1), tick=False):
        for n in range(60):
            log_in(name=f"user{n}", password="wrong", address=f"198.51.100.{n}")
        for _ in range(3):
            log_in(name="user0", password="wrong", address="198.51.100.0")

    rows = JournalEntry.objects.filter(type="LOG_IN").select_related("detail")
    assert rows.count() == audited.MOST + 1
    assert sum(it.detail.times for it in rows) == 63
    beyond = rows.get(status="BEYOND")
    assert beyond.message == "Further log-ins refused, of other users or from other addresses"
    assert beyond.detail.times == 60 - audited.MOST


# Access


def test_each_change_of_a_user_and_their_rights_is_kept_with_who_made_it():
    boss = staff.browser(name="boss")
    boss.post(
        "/admin/auth/user/add/",
        {
            "username": "eve",
            "password1": "pa55word!x",
            "password2": "pa55word!x",
            "usable_password": "true",
        },
    )
    eve = User.objects.get(username="eve")
    eve.groups.add(Group.objects.get(name="Trader"))
    eve.user_permissions.add(Permission.objects.get(codename="view_payload"))
    eve.groups.clear()
    eve.is_superuser = True
    eve.save()
    eve.set_password("other!pa55word")
    eve.save()

    said = access()

    assert ("boss", "User eve added") in said
    shell = [
        it for person, it in said if person.endswith("(command line)") or person == "command line"
    ]
    assert [it for it in shell if "eve" in it or "Trader" in it][-5:] == [
        "Group Trader given to user eve",
        "“View raw payloads” given to user eve",
        "Group Trader taken from user eve",
        "User eve changed. administrator: no → yes",
        "Password of eve changed",
    ]


def test_a_step_on_a_user_names_the_user_and_leads_there_until_the_user_is_gone(
    anna, django_assert_max_num_queries
):
    boss = staff.browser(name="boss")
    for number in range(20):
        User.objects.create_user(f"user{number}")
    link = f'<a href="/admin/auth/user/{anna.pk}/change/">User anna</a>'

    with django_assert_max_num_queries(14):
        shown = boss.get(LIST)
    entry = JournalEntry.objects.filter(detail__subject_id=str(anna.pk)).latest("pk")
    page = f"/admin/orders/journalentry/{entry.pk}/change/"

    assert link in staff.html(shown)
    assert "Access change" in staff.words(shown)
    assert link in staff.html(boss.get(page))
    pk = anna.pk
    anna.delete()
    for path in (LIST, page):
        assert f"User {pk}, deleted" in staff.words(boss.get(path))
        assert f'href="/admin/auth/user/{pk}/change/"' not in staff.html(boss.get(path))
    assert "User user19" in staff.words(staff.browser("Auditor", name="otto").get(LIST))


def test_the_record_of_a_user_stays_when_the_user_is_deleted(anna):
    boss = staff.browser(name="boss")
    boss.post(
        f"/admin/auth/user/{anna.pk}/password/",
        {"password1": "new!pa55w", "password2": "new!pa55w", "usable_password": "true"},
    )
    boss.post(f"/admin/auth/user/{anna.pk}/delete/", {"post": "yes"})

    assert not User.objects.filter(username="anna").exists()
    assert access()[-2:] == [("boss", "Password of anna changed"), ("boss", "User anna deleted")]
    User.objects.get(username="boss").delete()
    assert not LogEntry.objects.exists()
    assert ("boss", "User anna deleted") in access()


def test_changes_of_groups_and_authenticators_are_kept(anna):
    group = Group.objects.create(name="Night")
    group.permissions.add(Permission.objects.get(codename="export_history"))
    device = TOTPDevice.objects.create(user=anna, name="phone", confirmed=False)
    device.confirmed = True
    device.save()
    device.throttling_failure_count = 1
    device.save()
    device.delete()
    group.delete()

    assert [said for _, said in access()][1:] == [
        "Group Night added",
        "“Export orders and their history” given to group Night",
        "Authenticator “phone” set up for anna",
        "Authenticator “phone” of anna removed",
        "Group Night deleted",
    ]


def test_a_backup_code_that_is_used_is_kept_and_new_ones_take_no_entry_each(anna, settings):
    settings.REQUIRE_SECOND_FACTOR = True
    (used, *_) = codes.new_backup_codes(anna)
    log_in(code=used)
    codes.new_backup_codes(anna)
    StaticDevice.objects.all().delete()

    assert [said for _, said in access() if "ackup code" in said] == [
        "Set of backup codes “Backup codes” set up for anna",
        "Backup code of anna used or removed",
        "Set of backup codes “Backup codes” of anna removed",
        "Set of backup codes “Backup codes” set up for anna",
        "Set of backup codes “Backup codes” of anna removed",
    ]


def test_a_log_in_that_only_stores_the_same_password_anew_is_no_change_of_it(anna, settings):
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]
    old = anna.password
    log_in()

    anna.refresh_from_db()
    assert anna.password != old
    assert "Password" not in str(access())


# Payloads


def test_each_look_at_a_raw_payload_is_kept_but_not_each_reload(client):
    receive([stories.event("PORTFOLIO_ORDER.NEW", stories.portfolio_order())])
    entry = JournalEntry.objects.get(source=Source.WEBHOOK)
    path = f"{staff.JOURNAL}{entry.pk}/change/"
    auditor, viewer = staff.browser("Auditor", name="ada"), staff.browser("Viewer", name="vic")

    auditor.get(path)
    auditor.get(path)
    viewer.get(path)
    with time_machine.travel(timezone.now() + timedelta(seconds=61)):
        auditor.get(path)

    looks = JournalEntry.objects.filter(type="PAYLOAD").order_by("pk")
    assert [(it.actor, it.message) for it in looks] == 2 * [
        ("ada", f"Viewed the payload of entry {entry.pk}")
    ]


def test_the_payloads_on_the_page_of_an_order_are_a_look_too():
    receive([stories.event("PORTFOLIO_ORDER.NEW", stories.portfolio_order())])
    pk = JournalEntry.objects.get(source=Source.WEBHOOK).portfolio_order_id

    page = staff.html(staff.browser("Auditor", name="ada").get(staff.page(pk)))

    assert "Raw payload" in page
    look = JournalEntry.objects.get(type="PAYLOAD")
    assert (look.actor, look.message) == (
        "ada",
        "Viewed the payloads in the history of a portfolio order",
    )
    assert (look.detail.subject_kind, look.detail.subject_id) == ("portfolio_order", str(pk))


# The list


@pytest.fixture
def steps():
    """One step of each of two people, and one of the desk for somebody."""
    now, pk = timezone.now(), stories.named("P")
    about = (Kind.PORTFOLIO_ORDER, pk)
    journal.record_note(*about, "Called the client", actor="mira", now=now)
    record_failure(*about, "503", source=Source.REFETCH, actor="otto", now=now)
    journal.record_step(
        "Cancel sent to the broker: Attempt 2",
        actor="otto",
        now=now,
        type_="CANCELLATION",
        word="SENT",
        about=about,
    )
    journal.record_step(
        "Started reconciliation 12: Everything open.",
        actor="mira",
        now=now,
        type_="RECONCILIATION",
        word="STARTED",
    )
    return pk


def shown(response):
    return [
        (it.actor, it.message)
        for it in response.context["cl"].result_list
        if it.type not in {"LOG_IN", "ACCESS"}
    ]


def test_the_list_says_who_did_what_about_what(steps):
    text = staff.words(staff.browser("Auditor").get(LIST))

    assert "mira Note Called the client" in text
    assert "otto Refetch Refetch failed: 503" in text
    assert "mira Reconciliation Started reconciliation 12" in text
    assert "Reconciliation 12" in text
    assert "Attempt 2" not in text  # of an older release: the desk's own, though it names somebody


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("person=otto", [("otto", "503")]),
        ("action=note", [("mira", "Called the client")]),
        ("action=refetch", [("otto", "503")]),
        ("action=reconcile&person=mira", [("mira", "Started reconciliation 12: Everything open.")]),
        ("action=reconcile&person=otto", []),
        ("person=gone", []),
    ],
)
def test_the_list_is_filtered_by_person_and_kind(steps, asked, expected):
    assert shown(staff.browser("Auditor").get(f"{LIST}?{asked}")) == expected


def test_refused_log_ins_are_found_under_nobody(anna):
    log_in(password="wrong")

    text = staff.words(staff.browser("Auditor").get(f"{LIST}?person=~nobody"))

    assert f"Log-in refused for anna: wrong password — {ADDRESS}" in text or ADDRESS in text


@pytest.mark.parametrize(
    ("group", "status"), [("Viewer", 403), ("Trader", 403), ("Operator", 200), ("Auditor", 200)]
)
def test_who_may_see_the_list(group, status):
    assert staff.browser(group).get(LIST).status_code == status


def test_log_ins_are_in_the_journal_for_those_alone_who_may_see_the_list(anna):
    log_in()
    entry = JournalEntry.objects.get(type="LOG_IN", actor="anna")
    path = f"{staff.JOURNAL}{entry.pk}/change/"

    assert "Logged in" in staff.words(staff.browser("Auditor", name="ada").get(path))
    assert staff.browser("Viewer", name="vic").get(path).status_code == 302
    assert "LOG_IN" not in staff.browser("Viewer", name="vera").get(staff.JOURNAL).text


def test_nobody_changes_or_deletes_an_entry(anna):
    log_in()
    boss, entry = staff.browser(), StaffAction.objects.get(actor="anna")
    for page in ("delete", "change"):
        boss.post(f"{LIST}{entry.pk}/{page}/", {"post": "yes", "message": "x"})
    boss.post(LIST, {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"})

    assert StaffAction.objects.get(pk=entry.pk).message == "Logged in"


def test_the_list_is_exported_and_the_export_is_in_it(steps):
    auditor = staff.browser("Auditor", name="ada")
    chosen = list(
        StaffAction.objects.filter(actor__in=["mira", "otto"]).values_list("pk", flat=True)
    )

    answer = auditor.post(LIST, {"action": "export_staff_actions", "_selected_action": chosen})

    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))
    assert [(it["person"], it["action"], it["about"]) for it in rows] == [
        ("mira", "Note", "portfolio_order"),
        ("otto", "Refetch", "portfolio_order"),
        ("mira", "Reconciliation", "reconciliation"),
    ]
    assert rows[0]["about_id"] == str(steps)
    export = StaffAction.objects.get(type="EXPORT")
    assert (export.actor, export.detail.address) == ("ada", "127.0.0.1")


def test_who_may_not_export_has_no_export(steps):
    viewer = staff.who_may("view_staffaction")

    assert "export_staff_actions" not in viewer.get(LIST).text


def test_the_list_costs_the_same_few_queries_for_one_row_and_for_many(
    django_assert_max_num_queries,
):
    auditor = staff.browser("Auditor")
    auditor.get(LIST)
    for n in range(30):
        journal.record_note(
            Kind.ORDER, stories.named("A"), f"Note {n}", actor=f"user{n}", now=timezone.now()
        )

    with django_assert_max_num_queries(8):
        auditor.get(LIST)


# Where it came from, and what it is about


@pytest.fixture
def desk(settings):
    """A desk with a row of everything, at whose broker nobody answers."""
    settings.INVESTMENT_API_URL = "http://127.0.0.1:9"
    settings.INVESTMENT_API_CLIENT_ID = settings.INVESTMENT_API_CLIENT_SECRET = "made up"
    settings.INVESTMENT_API_KEY_ID, settings.INVESTMENT_API_PRIVATE_KEY = "made up", PEM
    with time_machine.travel(stories.START, tick=False) as traveller:
        desk = scenes.Desk(traveller)
        scenes.furnish(desk, count=1)
        troubles.of_orders(desk)
        troubles.waiting(desk)
        scenes.add_the_rest()
        yield staff.browser(name="ops")


def presses():
    """Return an address of each kind of step, and what is sent there."""
    event = (
        JournalEntry.objects.filter(source=Source.WEBHOOK, outcome="QUARANTINED").earliest("pk").pk
    )
    order, alone = stories.named("gone"), stories.named("alone")
    delivery = Delivery.objects.exclude(verdict="REFUSED").earliest("pk").pk
    run = Reconciliation.objects.get(state="RUNNING").pk
    hook = Subscription.objects.get().pk
    user, group = User.objects.get(username="ada").pk, Group.objects.get(name="Trader").pk
    placement = Placement.objects.filter(state="PROPOSED").earliest("pk").pk
    return {
        f"{staff.LIST}{order}/refetch/": {},
        f"{staff.LIST}{order}/note/": {"text": "Called."},
        f"{staff.LIST}{order}/history_csv/": {},
        f"{staff.ORDERS}{alone}/executions_csv/": {},
        f"{staff.LIST}{order}/cancel/": {"reason": "Wrong."},
        f"/admin/orders/placement/{placement}/decline/": {"reason": "Wrong."},
        f"/admin/orders/reconciliation/{run}/stop/": {},
        f"/admin/orders/reconciliation/{run}/csv/": {},
        f"/admin/webhooks/event/{event}/apply_again/": {},
        f"/admin/webhooks/event/{event}/dismiss/": {"reason": "Known."},
        f"/admin/webhooks/delivery/{delivery}/process_again/": {},
        "/admin/webhooks/delivery/": {
            "action": "process_selected_again", "_selected_action": [delivery],
        },
        f"/admin/webhooks/subscription/{hook}/test/": {},
        f"/admin/webhooks/subscription/{hook}/delete/": {},
        f"/admin/auth/user/{user}/password/": {
            "password1": "new!pa55w", "password2": "new!pa55w", "usable_password": "true",
        },
        f"/admin/auth/group/{group}/change/": {"name": "Trader", "permissions": []},
    }  # fmt: skip


def test_every_step_of_a_request_has_its_address_and_leads_to_what_it_is_about(desk):
    for path, sent in presses().items():
        last = StaffAction.objects.latest("pk").pk

        answer = desk.post(path, sent, REMOTE_ADDR=ADDRESS)
        list(answer.streaming_content if answer.streaming else [])

        steps = StaffAction.objects.filter(pk__gt=last).select_related("detail")
        assert steps, path
        for step in steps:
            assert step.detail.address == ADDRESS, (path, step.message)
            assert about.subject_of(step), (path, step.message)
    listed = desk.get(LIST, {"rows": "100"}, follow=True)
    for row in listed.context["cl"].result_list:
        for url in re.findall('href="([^"]+)"', row.about_link):
            assert desk.get(url).status_code == 200, (url, row.message)


def test_an_answered_refetch_has_the_address_of_who_asked(settings):
    with running(settings) as upstream:
        pk = upstream.place()
        staff.browser(name="mira").post(f"/admin/find/{pk}/fetch/", REMOTE_ADDR=ADDRESS)

        refetched = JournalEntry.objects.get(source=Source.REFETCH, actor="mira")
        assert refetched.outcome != "FAILED"
        assert refetched.detail.address == ADDRESS


def test_what_the_desk_does_by_itself_has_no_address(desk):
    now = timezone.now()
    audit._request.set(RequestFactory().get("/", REMOTE_ADDR=ADDRESS))
    try:
        entry = record_failure(
            Kind.PORTFOLIO_ORDER,
            stories.named("gone"),
            "503",
            source=Source.POLL,
            actor="",
            now=now,
        )
    finally:
        audit.forget_request()

    assert not StepDetail.objects.filter(entry=entry).exists()


def test_the_list_has_the_choices_and_the_sorting_of_every_list(steps):
    auditor = staff.browser("Auditor")
    assert auditor.get(LIST, {"rows": "25"}, follow=True).context["cl"].list_per_page == 25
    sorted_by = auditor.get(LIST, {"o": "person"})
    names = [row.actor for row in sorted_by.context["cl"].result_list]
    assert names == sorted(names)
    assert "sorted ascending" in sorted_by.text


def test_the_filter_has_the_name_of_the_column(steps):
    text = staff.words(staff.browser("Auditor").get(LIST, {"time": "24h"}))

    assert "Time" in text
    assert "Received" not in text
