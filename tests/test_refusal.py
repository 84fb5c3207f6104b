"""What people read of the problem document of a refusal."""

import json

import pytest

from orders.placing.refusal import problem_of


def test_a_problem_document_is_read_field_by_field_in_the_order_for_people():
    body = json.dumps(
        {"type": "https://x/unknown", "status": 422, "title": "No", "detail": "Why", "more": 1}
    ).encode()

    assert list(problem_of(body).items()) == [
        ("Status", "422"),
        ("Title", "No"),
        ("Detail", "Why"),
        ("Type", "https://x/unknown"),
    ]


@pytest.mark.parametrize("body", [b"<html><p>Bad  request</p>", b"Bad request", b'"Bad request"'])
def test_of_what_is_no_document_the_first_words_are_kept(body):
    assert list(problem_of(body)) == ["Response"]
    assert "Bad request" in problem_of(body)["Response"]


@pytest.mark.parametrize("detail", [["a"], {"b": 1}, 7, None, "\0\ud800"])
def test_no_value_of_a_stranger_breaks_the_page(detail):
    body = json.dumps({"status": 400, "detail": detail}).encode()

    assert problem_of(body)["Status"] == "400"


def test_an_answer_without_a_body_says_nothing():
    assert problem_of(b"") == {}
