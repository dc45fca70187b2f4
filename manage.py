#!/usr/bin/env python
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "heygem_site.settings")
    from django.core.management import execute_from_command_line

    from heygem_site import secret_key

    secret_key.ensure()
    execute_from_command_line(sys.argv)
