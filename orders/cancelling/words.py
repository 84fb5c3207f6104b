"""The words of a cancellation's steps, for the journal and the history. Pure."""

REQUESTED = "REQUESTED"
SENT = "SENT"  # written before the request goes out
NOT_SENT = "NOT_SENT"  # it has not gone out after all
UNKNOWN = "UNKNOWN"
TAKEN = "TAKEN"
REFUSED = "REFUSED"
OVER = "OVER"  # it is not sent again

TITLES = {
    REQUESTED: "Cancel requested by {actor}",
    SENT: "Cancel sent to the broker",
    NOT_SENT: "Cancel not sent",
    UNKNOWN: "The broker did not say whether it has the cancel",
    TAKEN: "Cancel taken by the broker",
    REFUSED: "The broker refused the cancel",
    OVER: "Cancel not sent again",
}


def told(word: str, text: str, *, actor: str) -> str:
    """Return what a step tells: its heading in the history and, behind a colon, what is said below it."""
    title = TITLES[word].format(actor=actor)
    return f"{title}: {text}" if text else title
