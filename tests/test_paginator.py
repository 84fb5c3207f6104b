import pytest
from django.contrib.auth.models import Group
from django.core.paginator import EmptyPage, PageNotAnInteger

from backoffice import admin
from backoffice.admin import CappedPaginator


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(admin, "CAP", 10)


def pages(rows, *, per_page=3):
    return CappedPaginator(range(rows), per_page)


@pytest.fixture
def groups(db):
    Group.objects.bulk_create(Group(name=f"{n:02}") for n in range(15))
    return Group.objects.order_by("name")


def test_below_the_cap_everything_is_counted():
    paginator = pages(10)

    assert (paginator.count, paginator.count_text, paginator.num_pages) == (10, "10", 4)


def test_above_the_cap_the_count_says_so():
    paginator = pages(5000)

    assert (paginator.count, paginator.count_text, paginator.num_pages) == (11, "10+", 4)


def test_the_database_counts_to_the_cap_and_no_further(groups, django_assert_num_queries):
    with django_assert_num_queries(1) as queries:
        assert CappedPaginator(groups, 3).count == 11

    sql = queries.captured_queries[0]["sql"]
    assert "LIMIT 11" in sql
    assert "ORDER BY" not in sql


def test_a_page_is_one_query_that_reads_one_row_more(groups, django_assert_num_queries):
    paginator = CappedPaginator(groups, 3)
    assert paginator.is_capped

    with django_assert_num_queries(1) as queries:
        page = paginator.page(2)
        assert [group.name for group in page] == ["03", "04", "05"]
        assert page.has_next()

    assert "LIMIT 4 OFFSET 3" in queries.captured_queries[0]["sql"]


def test_pages_go_on_above_the_cap_and_the_last_one_knows_that_it_is():
    paginator = pages(14)

    assert paginator.page(4).has_next()
    assert list(paginator.page(5)) == [12, 13]
    assert not paginator.page(5).has_next()


def test_a_page_without_rows_does_not_exist():
    with pytest.raises(EmptyPage):
        pages(14).page(6)
    with pytest.raises(EmptyPage):
        pages(9).page(4)


@pytest.mark.parametrize("number", ["x", None])
def test_what_is_no_number_is_no_page(number):
    with pytest.raises(PageNotAnInteger):
        pages(14).page(number)


def test_an_empty_list_has_one_empty_page():
    assert list(pages(0).page(1)) == []
