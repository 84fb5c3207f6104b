"""The web process: ``gunicorn backoffice.wsgi``."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

from backoffice import web_worker
from backoffice.checks import require_complete
from backoffice.connections import BoundedConnections
from backoffice.database import take_role

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backoffice.settings")

try:
    web_worker.install()
    application = BoundedConnections(get_wsgi_application())
    take_role("page")
    require_complete()
except ImproperlyConfigured as error:
    sys.stderr.write(f"{error}\n")
    # 4 is what gunicorn takes for "the app cannot be loaded": it stops and does not try again.
    sys.exit(4)
