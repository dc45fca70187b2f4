import os

from django.core.wsgi import get_wsgi_application

from heygem_site import http_metrics

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "heygem_site.settings")
http_metrics.share()

application = get_wsgi_application()
