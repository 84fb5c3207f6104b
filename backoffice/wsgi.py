"""The web process: ``gunicorn backoffice.wsgi``."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

from backoffice.checks import require_complete

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backoffice.settings")

try:
    application = get_wsgi_application()
    require_complete()
except ImproperlyConfigured as error:
    sys.stderr.write(f"{error}\n")
    # 4 is what gunicorn takes for "the app cannot be loaded": it stops and does not try again.
    sys.exit(4)
