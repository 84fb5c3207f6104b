"""The glossary: one page for all the desk's words, linked from every page."""

import pytest

from orders.problems import BY_NAME
from tests.staff import browser, html, words

pytestmark = pytest.mark.django_db
GLOSSARY = "/admin/glossary/"


@pytest.mark.parametrize("group", ["Viewer", "Operator", "Auditor", "Trader"])
def test_everybody_may_read_it_and_every_page_leads_to_it(group):
    client = browser(group)

    assert f'href="{GLOSSARY}"' in html(client.get("/admin/"))
    assert f'href="{GLOSSARY}"' in html(client.get("/admin/orders/portfolioorder/"))
    assert "Resolved" in words(client.get(GLOSSARY))


def test_each_kind_of_problem_has_a_line_that_says_what_it_means_and_what_to_do():
    said = words(browser().get(GLOSSARY))

    assert len(BY_NAME) > 5
    for problem in BY_NAME.values():
        assert f"{problem.label} {problem.meaning} {problem.advice}" in said


def test_nobody_reads_it_without_a_log_in(client):
    assert client.get(GLOSSARY)["Location"] == f"/admin/login/?next={GLOSSARY}"
