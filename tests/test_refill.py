"""What was typed goes back into the form of a page."""

from backoffice.access.refill import refilled

PAGE = "/admin/a/1/change/"
NOTE = "/admin/a/1/note/"


def form(inside, action=NOTE):
    return (
        f'<p>é</p>\n<form method="post" action="{action}">{inside}<button>Add note</button></form>'
    )


def test_a_text_comes_back_as_it_was_with_all_its_signs():
    text = 'first\n<b>"second"</b> & é'
    page = form('<input name="a" value="old"><textarea name="text" required>\nold</textarea>')

    found = refilled(page, PAGE, NOTE, {"text": [text], "a": ['"x"']})

    assert found.button == "Add note"
    assert '<input name="a" value="&quot;x&quot;">' in found.text
    assert (
        '<textarea name="text" required>\nfirst\n&lt;b&gt;&quot;second&quot;&lt;/b&gt; &amp; é</textarea>'
        in found.text
    )


def test_choices_come_back():
    page = form(
        "<input type=radio name=side value=BUY checked><input type=radio name=side value=SELL>"
        "<input type=checkbox name=tax value=true checked>"
        "<select name=currency><option value='' selected>Choose</option><option>EUR</option></select>"
    )

    text = refilled(page, PAGE, NOTE, {"side": ["SELL"], "currency": ["EUR"]}).text

    assert '<input type="radio" name="side" value="BUY">' in text
    assert '<input type="radio" name="side" value="SELL" checked>' in text
    assert '<input type="checkbox" name="tax" value="true">' in text
    assert '<option value="">Choose</option><option selected>EUR</option>' in text


def test_hidden_fields_and_passwords_stay_as_the_page_has_them():
    page = form('<input type="hidden" name="key" value="new"><input type="password" name="p">')

    assert refilled(page, PAGE, NOTE, {"key": ["old"], "p": ["x"]}).text == page


def test_another_form_is_left_alone_and_the_button_that_was_pressed_is_named():
    page = form('<input name="q">', "/admin/other/") + (
        '<form method="post" action=""><input name="q"><button name="go" value="1">Go</button>'
        '<button formaction="/admin/back/">Back</button></form><form><input name="q"></form>'
    )

    found = refilled(page, PAGE, PAGE, {"q": ["x"], "go": ["1"]})
    assert found.button == "Go"
    assert found.text.count('value="x"') == 1
    assert refilled(page, PAGE, "/admin/back/", {}).button == "Back"


def test_of_forms_with_the_same_address_it_is_the_one_with_the_same_hidden_fields():
    one, two = (
        form(f'<input type="hidden" name="order" value="{it}"><input name="why">') for it in "12"
    )

    text = refilled(one + two, PAGE, NOTE, {"order": ["2"], "why": ["x"]}).text

    assert text.startswith(one)
    assert 'value="x"' in text


def test_a_page_without_the_form_stays_as_it_is():
    found = refilled("<p>Hello</p>", PAGE, NOTE, {"text": ["x"]})

    assert (found.text, found.is_found) == ("<p>Hello</p>", False)
