"""Django's settings; the database is that of DMS_DATABASE_URL."""

import os

from psycopg.conninfo import conninfo_to_dict

_database = conninfo_to_dict(os.environ["DMS_DATABASE_URL"])

SECRET_KEY = "only-on-this-machine"  # noqa: S105 - protects nothing
INSTALLED_APPS = ["dms"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _database["host"],
        "PORT": _database["port"],
        "NAME": _database["dbname"],
        "USER": _database["user"],
        "PASSWORD": _database["password"],
    }
}
