"""Who runs a command, for the journal."""

import getpass


def who() -> str:
    """Return the person at the command line."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # a container's user without a name
        return "command line"
