"""Every kind of page of the desk, found by following links, so that a new page is tested without being named."""

import re
from html import unescape
from urllib.parse import parse_qsl, urljoin, urlsplit

from django.urls import Resolver404, resolve

LINK = re.compile(r'<a\s[^>]*href="([^"#]+)')
START = "/admin/"


def pages(client, *, queries=False):
    """Return answers by path: a page of each kind, whatever its links lead to.

    A kind is a view and, with ``queries``, a name in the query. Files and redirects are no pages.
    """
    found, kinds, waiting = {}, set(), [START]
    while waiting:
        path = waiting.pop(0)
        answer = client.get(path)
        if not answer.get("Content-Type", "").startswith("text/html") or answer.status_code != 200:
            continue
        found[path] = answer
        for link in links(path, answer):
            kind = kind_of(link)
            if kind and kind not in kinds and len(kind) <= 1 + queries:
                kinds.add(kind)
                waiting.append(link)
    return found


def links(path, answer):
    """Return where the links of a page lead, without fragments."""
    return [urljoin(path, unescape(link)) for link in LINK.findall(answer.text)]


def kind_of(link):
    """Return the kind of page that a link leads to: its view, then names; None if it is none of ours."""
    parts = urlsplit(link)
    if parts.netloc or not parts.path.startswith(START):
        return None
    try:
        view = resolve(parts.path).view_name
    except Resolver404:
        return None
    return view, *sorted({name for name, _ in parse_qsl(parts.query)})
