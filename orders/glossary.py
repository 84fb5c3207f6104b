"""The page that explains the desk's words, and what to do about each kind of problem."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from orders import problems

PROBLEMS = (
    *problems.OF_ORDERS,
    problems.MISSED,
    problems.UNLINKED,
    problems.UNCONFIRMED,
    problems.BOOKS,
    problems.NOT_THERE,
)


@require_safe
def glossary(request: HttpRequest) -> HttpResponse:
    """Show the glossary; everybody who may enter the desk may read it."""
    context = admin.site.each_context(request) | {"title": "Glossary", "problems": PROBLEMS}
    return TemplateResponse(request, "admin/glossary.html", context)
