"""Benchmarks: each prints a floor, a naive form, ours, and the ratios within the same run.

``python -m tests.benchmarks.NAME``; with ``TEST_DATABASE_URL`` on PostgreSQL, else on SQLite as
durable as in production. They run on a database of their own, dropped in the end, never fail by
time, and are no part of the tests. The environment is set here, before Django reads it.
"""

import os
import tempfile

import django
from django.conf import settings

_FOLDER = tempfile.TemporaryDirectory(prefix="order-desk-benchmark-")

if not settings.configured:  # else a test uses a part of a benchmark
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "backoffice.settings",
        "SECRET_KEY": "a key for benchmarks, long enough for every check of its length",
        "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
        "REQUIRE_SECOND_FACTOR": "0",
        "SECURE_SSL_REDIRECT": "0",
        "REDIS_URL": os.environ.get("TEST_REDIS_URL", ""),
        "DATABASE_URL": os.environ.get("TEST_DATABASE_URL")
        or os.environ.get("DATABASE_URL")
        or f"sqlite:///{_FOLDER.name}/desk.sqlite3",
    }
    django.setup()
