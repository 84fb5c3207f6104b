"""The problem document with which upstream refused a placement, for people. Pure.

Source: the contract, 5.1: ``type`` and ``status`` are always there, a gateway may send no document at all.
"""

from backoffice.investment_api.errors import first_words, read_json
from orders.attributes import clean

FIELDS = {
    "status": "Status",
    "title": "Title",
    "detail": "Detail",
    "type": "Type",
    "request_id": "Request ID",
}


def problem_of(body: bytes) -> dict[str, str]:
    """Return what the document says, by the name for people; the first words where it is none."""
    try:
        document = read_json(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        words = first_words(body)
        return {"Response": words} if words else {}
    said = {name: clean(str(document.get(field) or ""), 2000) for field, name in FIELDS.items()}
    return {name: text for name, text in said.items() if text}
