"""The step of the DMS team before the switch: nothing points at the accounts any more."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("dms", "0001_initial")]  # noqa: RUF012 - as Django writes it
    operations = [migrations.RemoveField("mailrule", "config")]  # noqa: RUF012 - likewise
