"""Staff for tests: browsers that are logged in, and pages as they see them."""

import re
from html import unescape

from django.contrib.auth.models import Group, Permission, User
from django.test import Client

LIST = "/admin/orders/portfolioorder/"
ORDERS = "/admin/orders/order/"
JOURNAL = "/admin/orders/journalentry/"
BACKEND = "django.contrib.auth.backends.ModelBackend"


def browser(group="", *, name="mira", checks_csrf=False):
    """Return a browser of somebody in a group; without one, of a superuser."""
    user = User.objects.create_user(name, password="x", is_staff=True, is_superuser=not group)
    if group:
        user.groups.add(Group.objects.get(name=group))
    client = Client(enforce_csrf_checks=checks_csrf)
    client.force_login(user, backend=BACKEND)
    return client


def who_may(*codenames, name="mira"):
    """Return a browser of somebody with these permissions alone."""
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    assert user.user_permissions.count() == len(codenames)
    client = Client()
    client.force_login(user, backend=BACKEND)
    return client


def page(pk):
    """Return the path of the page of a portfolio order."""
    return f"{LIST}{pk}/change/"


def html(response):
    """Return a page that was shown and holds nothing inline."""
    assert response.status_code == 200, response
    text = response.content.decode()
    assert not re.search(r"<[^>]+\sstyle=", text)
    assert not re.search(r"<style|<script(?![^>]*\ssrc=)|\son[a-z]+=", text)
    return text


def words(response):
    """Return what a page says, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html(response))).split())


def messages(response):
    """Return the messages that a followed response shows."""
    return [str(message) for message in response.context["messages"]]
