"""Put what somebody had typed back into a form of a page, whatever page it is.

Pure: from the text of a page, and the fields of a form that was sent and did not arrive, to the
text with these fields filled in. Hidden fields and passwords stay as the page has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

Attributes = dict[str, str | None]
Edit = tuple[int, int, str]  # from where to where, and what takes its place

UNTYPED = {"hidden", "submit", "button", "image", "reset", "file", "password"}


@dataclass(slots=True)
class Control:
    """A field, an option or a button of a form, with its place in the text of the page."""

    tag: str
    attributes: Attributes
    start: int
    end: int  # of its start tag
    closes: int = 0  # where its end tag begins
    owner: str = ""  # of an option: the name of its select
    text: str = ""

    @property
    def name(self) -> str:
        """The name of the field."""
        return self.owner or self.attributes.get("name") or ""

    @property
    def type(self) -> str:
        """The kind of an input, in lower case."""
        return (self.attributes.get("type") or "").lower()

    @property
    def value(self) -> str:
        """The value that the page gives it."""
        default = self.text.strip() if self.tag == "option" else ""
        return self.attributes.get("value") or default

    @property
    def is_button(self) -> bool:
        """Whether it sends its form."""
        if self.tag == "button":
            return self.type in {"", "submit"}
        return self.tag == "input" and self.type == "submit"


@dataclass(slots=True)
class Form:
    """A form of a page that is sent by POST."""

    action: str
    controls: list[Control] = field(default_factory=list)

    def leads_to(self, page: str) -> set[str]:
        """Return the addresses that its buttons send it to."""
        own = [it.attributes.get("formaction") for it in self.controls if it.is_button]
        return {_address(page, it) for it in (self.action, *filter(None, own))}

    def agreement(self, sent: Mapping[str, Sequence[str]]) -> int:
        """Return how many hidden fields have the value that was sent: forms may differ in these alone."""
        hidden = [it for it in self.controls if it.type == "hidden"]
        return sum(it.value in sent.get(it.name, ()) for it in hidden)

    def button(self, page: str, action: str, sent: Mapping[str, Sequence[str]]) -> str:
        """Return what stands on the button that was pressed."""

        def likeness(it: Control) -> tuple[bool, bool]:
            own = it.attributes.get("formaction") or self.action
            return _address(page, own) == action, bool(
                it.name and it.value in sent.get(it.name, ())
            )

        buttons = [it for it in self.controls if it.is_button]
        if not buttons:
            return ""
        chosen = max(buttons, key=likeness)
        words = chosen.text if chosen.tag == "button" else chosen.value
        return " ".join(words.split())


@dataclass(frozen=True, slots=True)
class Refilled:
    """A page with a form filled in again; ``button`` is "" if the page has no such form."""

    text: str
    button: str
    is_found: bool


def refilled(text: str, page: str, action: str, sent: Mapping[str, Sequence[str]]) -> Refilled:
    """Fill ``sent`` into the form of the page at ``page`` that is sent to ``action``."""
    forms = [it for it in _forms(text) if action in it.leads_to(page)]
    if not forms:
        return Refilled(text, "", is_found=False)
    form = max(forms, key=lambda it: it.agreement(sent))
    left = {name: list(values) for name, values in sent.items()}
    edits = [edit for it in form.controls for edit in _edits(it, left)] if sent else []
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return Refilled(text, form.button(page, action, sent), is_found=True)


def _edits(it: Control, left: dict[str, list[str]]) -> list[Edit]:
    """Return what has to change for a control to hold what was sent."""
    values = left.get(it.name, [])
    if it.tag == "option":
        return [_marked(it, "selected", is_on=it.value in values)]
    if it.tag == "input" and it.type in {"checkbox", "radio"}:
        is_on = (it.attributes.get("value") or "on") in values
        return [_marked(it, "checked", is_on=is_on)]
    if not values or it.is_button or it.type in UNTYPED:
        return []
    if it.tag == "textarea":
        return [
            (it.end, it.closes, "\n" + escape(values.pop(0)))
        ]  # a parser drops a first line end
    if it.tag == "input":
        return [(it.start, it.end, _tag(it.tag, {**it.attributes, "value": values.pop(0)}))]
    return []


def _marked(it: Control, mark: str, *, is_on: bool) -> Edit:
    others = {name: value for name, value in it.attributes.items() if name != mark}
    return it.start, it.end, _tag(it.tag, {**others, mark: None} if is_on else others)


def _tag(name: str, attributes: Attributes) -> str:
    words = (
        f" {key}" if value is None else f' {key}="{escape(value)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{''.join(words)}>"


def _address(page: str, action: str) -> str:
    return urldefrag(urljoin(page, action)).url


def _forms(text: str) -> list[Form]:
    reader = _Reader(text)
    reader.feed(text)
    reader.close()
    return reader.forms


class _Reader(HTMLParser):
    """Collects the forms of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._select = ""
        self._open: Control | None = None  # whose text is being read
        self._lines = [0]
        for line in text.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "form":
            is_post = (attributes.get("method") or "").lower() == "post"
            self._form = Form(attributes.get("action") or "") if is_post else None
            if self._form:
                self.forms.append(self._form)
        if tag == "select":
            self._select = attributes.get("name") or ""
        if self._form is None or tag not in {"input", "textarea", "option", "button"}:
            return
        start = self._place()
        end = start + len(self.get_starttag_text() or "")
        owner = self._select if tag == "option" else ""
        control = Control(tag, attributes, start, end, owner=owner)
        self._form.controls.append(control)
        if tag != "input":
            self._open = control

    def handle_endtag(self, tag: str) -> None:
        if self._open and tag == self._open.tag:
            self._open.closes, self._open = self._place(), None
        if tag == "form":
            self._form = None
        if tag == "select":
            self._select = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open.text += data

    def _place(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column
