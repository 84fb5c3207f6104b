"""JSON from outside is read to one depth, by each Python, wherever it comes from."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backoffice.foreign_json import DEEPEST, TooDeepError, is_deep, parse
from backoffice.investment_api.errors import read_json
from orders.attributes import UnreadableError
from orders.facts import describe_answer
from orders.lifecycle import Kind
from tests.stories import START

NASTY = st.text(alphabet='[]{}"\\a\n', max_size=6)


def nested(depth, inside="1"):
    return "[" * depth + inside + "]" * depth


@pytest.mark.parametrize("read", [parse, read_json])
@pytest.mark.parametrize("form", [nested, lambda depth: '{"a":' * depth + "1" + "}" * depth])
def test_a_hundred_levels_are_read_and_no_more(read, form):
    assert read(form(DEEPEST).encode())

    for depth in (DEEPEST + 1, 900, 1000, 5000, 100_000):
        with pytest.raises(TooDeepError, match="it is nested too deeply: more than 100 levels"):
            read(form(depth).encode())


@given(st.integers(DEEPEST - 2, DEEPEST + 3), st.lists(NASTY, min_size=1, max_size=4))
def test_brackets_and_quotes_within_texts_change_nothing(depth, texts):
    value = texts
    for number in range(depth - 1):
        text = texts[number % len(texts)]
        value = [text, value, text] if number % 2 else {text: value, "z": text}

    for written in (json.dumps(value), json.dumps(value).encode("utf-16")):
        assert is_deep(written) is (depth > DEEPEST)


def test_a_text_that_cancels_each_bracket_hides_no_depth():
    assert is_deep('["]", ' * 1000 + "1" + ', "["]' * 1000)


def test_what_never_closes_is_deep_too():
    assert is_deep("[" * 1000)
    assert is_deep('{"a": "b", "c": ' * 1000)
    assert not is_deep("]" * 1000)


def test_an_answer_that_is_too_deep_is_refused_with_the_reason():
    value = json.loads(nested(DEEPEST))

    with pytest.raises(UnreadableError, match="the answer is not a JSON object"):
        describe_answer(Kind.ORDER, value, now=START)
