import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.core.exceptions import ImproperlyConfigured

from backoffice import checks

ROOT = Path(__file__).parent.parent
PROGRAMS = Path(sys.executable).parent
NEEDED = [
    "SECRET_KEY", "ALLOWED_HOSTS", "INVESTMENT_API_URL", "INVESTMENT_API_CLIENT_ID",
    "INVESTMENT_API_CLIENT_SECRET", "INVESTMENT_API_KEY_ID", "INVESTMENT_API_PRIVATE_KEY",
    "REDIS_URL",
]  # fmt: skip
SERVING = {
    "web": [PROGRAMS / "gunicorn", "backoffice.wsgi", "--bind", "127.0.0.1:0",
            "--no-control-socket"],
    "worker": [PROGRAMS / "celery", "-A", "backoffice", "worker", "--pool", "solo"],
    "beat": [PROGRAMS / "celery", "-A", "backoffice", "beat"],
}  # fmt: skip


def start(*command, **variables):
    """Run a program without any setting but ``variables``; it must end by itself."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.mark.parametrize("process", SERVING)
def test_a_serving_process_refuses_to_start_and_names_all_that_is_missing(process):
    run = start(*SERVING[process])

    assert run.returncode != 0
    assert "Traceback" not in run.stderr
    for name in NEEDED:
        assert f"- {name} is not set" in run.stderr


@pytest.mark.parametrize("process", SERVING)
def test_what_is_wrong_and_what_is_missing_are_named_together(process):
    run = start(*SERVING[process], POLL_AFTER="soon")

    assert run.returncode != 0
    assert "Traceback" not in run.stderr
    assert "- POLL_AFTER='soon'" in run.stderr
    for name in NEEDED:
        assert name in run.stderr


def test_a_complete_production_environment_passes_the_deployment_check():
    variables = dict.fromkeys(NEEDED, "x") | {
        "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "INVESTMENT_API_URL": "https://api.example.com",
        "INVESTMENT_API_PRIVATE_KEY": pem(ed25519.Ed25519PrivateKey.generate()),
        "REDIS_URL": "redis://redis.example.com",
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]

    run = start(*command, **variables)

    assert run.returncode == 0, run.stderr


def test_the_deployment_check_reports_a_broker_in_memory(settings):
    settings.MISSING = ["REDIS_URL"]

    (message,) = checks.nothing_is_missing()

    assert message.msg == "REDIS_URL is not set"
    assert "no other process" in (message.hint or "")


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP521R1()), ed25519.Ed25519PrivateKey.generate()],
    ids=["P-521", "Ed25519"],
)
def test_a_key_that_upstream_accepts_passes(settings, key):
    settings.MISSING = []
    settings.INVESTMENT_API_PRIVATE_KEY = pem(key)

    checks.require_complete()


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)],
    ids=["P-256", "RSA"],
)
def test_another_kind_of_key_is_refused_with_the_kinds_that_work(settings, key):
    settings.MISSING = []
    settings.INVESTMENT_API_PRIVATE_KEY = pem(key)

    with pytest.raises(ImproperlyConfigured, match="P-521 or Ed25519"):
        checks.require_complete()


@pytest.mark.parametrize(
    "command",
    [["drain"], ["rebuild", "--check"], ["export_orders"], ["purge", "--no-input"]],
    ids=lambda command: command[0],
)
def test_a_command_says_in_one_sentence_that_the_database_was_not_migrated(command, tmp_path):
    run = start(
        sys.executable, "manage.py", *command, DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3"
    )

    assert run.returncode != 0
    assert "Run `manage.py migrate` first" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_worker_refuses_to_apply_to_tables_of_an_older_release(tmp_path):
    run = start(*SERVING["worker"], DEBUG="1", DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")

    assert run.returncode != 0
    assert "Run `manage.py migrate` first" in run.stderr
    assert "Traceback" not in run.stderr
