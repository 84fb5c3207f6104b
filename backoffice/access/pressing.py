"""A button's address: pressed by POST; whoever opens it is led to the page that has the button."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed

# Of a request and, where its URL names one, the key of a row.
View = Callable[..., HttpResponseBase]


def pressed(press: View, lead: View) -> View:
    """Return a view that does something when it is pressed, and else only leads to a page."""

    def view(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
        if request.method == "POST":
            return press(request, **arguments)
        if request.method in {"GET", "HEAD"}:
            return lead(request, **arguments)
        return HttpResponseNotAllowed(["GET", "HEAD", "POST"])

    return view
