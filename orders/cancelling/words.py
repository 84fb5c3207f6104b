"""The words of a cancellation's steps, for the journal and the history. Pure."""

REQUESTED = "REQUESTED"
SENT = "SENT"  # written before the request goes out
NOT_SENT = "NOT_SENT"  # it has not gone out after all
UNKNOWN = "UNKNOWN"
TAKEN = "TAKEN"
REFUSED = "REFUSED"
OVER = "OVER"  # it is not sent again

TITLES = {
    REQUESTED: "Cancellation requested by {actor}",
    SENT: "Cancellation sent to the broker{by}",
    NOT_SENT: "Cancellation not sent",
    UNKNOWN: "No answer from the broker to the cancellation",
    TAKEN: "Cancellation request accepted by the broker",
    REFUSED: "Cancellation refused by the broker",
    OVER: "Cancellation not sent again",
}


def told(word: str, text: str, *, actor: str) -> str:
    """Return what a step tells: its heading in the history and, behind a colon, what is said below it.

    ``actor`` is the person who took it; "" where the desk did by itself.
    """
    title = TITLES[word].format(actor=actor, by=f" by {actor}" if actor else "")
    return f"{title}: {text}" if text else title
