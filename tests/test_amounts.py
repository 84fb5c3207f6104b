import pytest

from orders.amounts import average_price, is_less, total

DIGITS = "9" * 63 + "." + "9" * 26 + "1"


@pytest.mark.parametrize(
    ("amounts", "result"),
    [
        ([], ""),
        (["1.50"], "1.50"),
        ([".5"], ".5"),
        (["1.5", "2.500"], "4.000"),
        (["0.1", "0.2"], "0.3"),
        (["1.5", ""], ""),
        (["-1.5", "1"], "-0.5"),
        (["0.000000000000000000000000001", "0"], "0.000000000000000000000000001"),
    ],
)
def test_a_sum_is_exact_and_unknown_where_a_part_is(amounts, result):
    assert total(amounts) == result


def test_ninety_digits_add_up_digit_by_digit():
    assert total([DIGITS, DIGITS]) == "1" + "9" * 63 + "." + "9" * 25 + "82"


@pytest.mark.parametrize(
    ("quantities", "prices", "result"),
    [
        ([], [], ""),
        (["2.5"], ["100.10"], "100.10"),
        (["1", "2"], ["100.10", "100.10"], "100.10"),
        (["1", "2"], ["100.1", "100.10"], "100.10"),
        (["1", "2"], ["100.10", "100.1"], "100.10"),
        (["1", "2"], ["10.00", "11.00"], "10.666667"),
        (["1", "1"], ["10", "11"], "10.5000"),
        (["", "1"], ["10", "11"], ""),
        (["1", "1"], ["10", ""], ""),
        (["0", "0"], ["10", "11"], ""),
    ],
)
def test_the_average_price_is_weighted_by_the_quantity(quantities, prices, result):
    assert average_price(quantities, prices) == result


def test_an_average_of_ninety_digits_has_no_exponent():
    assert average_price(["1", "1"], [DIGITS, "1." + "0" * 27]) == (
        "5" + "0" * 62 + "." + "4" + "9" * 25 + "55000"
    )


@pytest.mark.parametrize(
    ("amount", "other", "less"),
    [
        ("2.529192484", "2.5291924840", False),
        ("2.5291924840", "2.529192484", False),
        ("9", "10", True),
        ("10", "9", False),
        ("", "1", False),
        ("1", "", False),
    ],
)
def test_amounts_compare_as_numbers(amount, other, less):
    assert is_less(amount, other) is less
