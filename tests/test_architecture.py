import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "backoffice": {"backoffice"},
    "orders": {"backoffice", "orders"},
    "webhooks": {"backoffice", "orders", "webhooks"},
}
PURE = [
    "orders/amounts.py", "orders/executions.py", "orders/timeline/learned.py",
    "orders/timeline/trades.py", "orders/lifecycle.py", "orders/fold.py", "orders/facts.py", "orders/attributes.py",
    "orders/timeline/items.py", "orders/timeline/steps.py", "orders/timeline/gaps.py",
    "orders/timeline/runs.py", "orders/timeline/sentences.py", "orders/lanes/chart.py",
    "orders/lanes/parts.py",
    "orders/lanes/axis.py", "orders/lanes/ticks.py", "orders/lanes/lives.py",
    "orders/dashboard/hours.py", "webhooks/subscriptions/wanted.py",
    "orders/cancelling/answers.py", "orders/cancelling/outcome.py", "orders/cancelling/schedule.py",
    "orders/cancelling/words.py",
    "orders/dashboard/hours.py", "webhooks/subscriptions/wanted.py", "backoffice/weather/chart.py",
    "backoffice/weather/condition.py", "backoffice/investment_api/adaptive.py",
    "backoffice/investment_api/answers.py", "backoffice/investment_api/reading.py",
    "backoffice/investment_api/waits.py", "orders/placing/verdicts.py",
]  # fmt: skip
TOP_LEVEL = {
    "manage.py", "pyproject.toml", "README.md", "backoffice", "orders", "webhooks", "templates",
    "tests", "requirements.txt", "requirements-dev.txt",
}  # fmt: skip
VAGUE = {"utils", "helpers", "services", "constants"}
LONGEST = 400  # lines: a module is one subject, not a slice of one
EVERYTHING = {"Exception", "BaseException"}
LEAST_LOADED = {"django", "rest_framework", "celery", "orders", "webhooks"}


def modules(folder):
    """Return the modules below a folder as paths relative to the root, migrations aside."""
    found = (ROOT / folder).rglob("*.py")
    return sorted(
        path.relative_to(ROOT).as_posix() for path in found if "migrations" not in path.parts
    )


PRODUCT = [module for package in MAY_IMPORT for module in modules(package)]


def tree(module):
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def absolute(module, node):
    """Return the dotted name that ``from ... import`` starts at, also where it is relative."""
    if not node.level:
        return node.module or ""
    package = Path(module).with_suffix("").parts[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def imports(module):
    """Return the dotted names that a module imports; of ``from a import b`` both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = absolute(module, node)
            found.add(start)
            found.update(f"{start}.{alias.name}" for alias in node.names)
    return found


def within(name, package):
    return name == package or name.startswith(f"{package}.")


def test_the_rule_below_sees_every_package():
    for package in MAY_IMPORT:
        assert f"{package}/apps.py" in PRODUCT


@pytest.mark.parametrize("module", PRODUCT)
def test_imports_point_one_way(module):
    allowed = MAY_IMPORT[module.partition("/")[0]]

    ours = {name.partition(".")[0] for name in imports(module)} & (MAY_IMPORT.keys() | {"tests"})
    assert ours <= allowed


@pytest.mark.parametrize("module", PRODUCT)
def test_nothing_is_imported_inside_a_function(module):
    functions = (
        node
        for node in ast.walk(tree(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    inside = [
        f"{function.name}, line {node.lineno}"
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert inside == []


@pytest.mark.parametrize("module", [path for path in PURE if (ROOT / path).exists()])
def test_pure_modules_touch_no_database(module):
    impure = ("django.db", "django.apps", "orders.models", "orders.tracked", "orders.journal")

    assert not [name for name in imports(module) for part in impure if within(name, part)]


@pytest.mark.parametrize("module", modules("backoffice/http_signatures"))
def test_signatures_know_nothing_of_the_project(module):
    outside = [
        name
        for name in imports(module)
        if within(name, "django")
        or (within(name, "backoffice") and not within(name, "backoffice.http_signatures"))
    ]
    assert outside in ([], ["backoffice"])


@pytest.mark.parametrize("module", modules("backoffice/sandbox"))
def test_the_sandbox_shares_nothing_but_the_signatures(module):
    ours = [name for name in imports(module) if within(name, "backoffice")]
    allowed = ("backoffice.sandbox", "backoffice.http_signatures")

    strangers = [name for name in ours if not any(within(name, part) for part in allowed)]
    assert strangers in ([], ["backoffice"])
    assert not {name.partition(".")[0] for name in imports(module)} & LEAST_LOADED


@pytest.mark.parametrize("module", PRODUCT)
def test_only_the_client_calls_upstream(module):
    libraries = ("requests", "urllib.request", "urllib3", "http.client", "httpx")
    used = [name for name in imports(module) for part in libraries if within(name, part)]

    allowed = module.startswith(("backoffice/investment_api", "backoffice/sandbox"))
    assert allowed or used == []


@pytest.mark.parametrize("module", PRODUCT)
def test_a_module_is_short_and_named_for_its_subject(module):
    assert len((ROOT / module).read_text(encoding="utf-8").splitlines()) <= LONGEST
    assert Path(module).stem not in VAGUE


@pytest.mark.parametrize(
    "module", [it for it in PRODUCT if not it.startswith("backoffice/sandbox/")]
)
def test_who_takes_every_exception_lets_through_what_says_nothing_of_the_work_in_hand(module):
    """A soft time limit and a lack of memory are subclasses of Exception."""
    for node in ast.walk(tree(module)):
        if (
            isinstance(node, ast.Call)
            and getattr(node.func, "id", getattr(node.func, "attr", "")) == "suppress"
        ):
            assert not {getattr(it, "id", "") for it in node.args} & EVERYTHING, (
                f"line {node.lineno}"
            )
        if not isinstance(node, ast.Try):
            continue
        lets_through = False
        for handler in node.handlers:
            names = {
                it.id
                for it in ast.walk(handler.type or ast.Name("BaseException"))
                if isinstance(it, ast.Name)
            }
            raises = any(isinstance(it, ast.Raise) and it.exc is None for it in ast.walk(handler))
            assert lets_through or raises or not names & EVERYTHING, f"line {handler.lineno}"
            lets_through |= "INTERRUPTIONS" in names and raises


def test_the_top_level_holds_what_the_design_names_and_nothing_else():
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    ours = {
        path.name
        for path in ROOT.iterdir()
        if not path.name.startswith(".")
        and not any(path.match(pattern.strip("/")) for pattern in ignored)
    }
    assert ours <= TOP_LEVEL


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_the_locks_hold_hashes_and_no_address(name):
    lock = (ROOT / name).read_text(encoding="utf-8")

    assert "--hash=sha256:" in lock
    assert not re.search(r"https?://|--index-url|--find-links", lock)


@pytest.mark.parametrize(
    "template",
    sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "templates").rglob("*.html")),
)
def test_what_scrolls_sideways_can_be_reached_by_keyboard_and_has_a_name(template):
    tags = re.findall(r'<div class="table-scroll"[^>]*>', (ROOT / template).read_text("utf-8"))

    assert all('tabindex="0"' in tag and 'aria-label="' in tag for tag in tags), tags
