"""The app's own daily examination, as a log event for each check; the events become the metric behind an alert.

The states of the checks are also kept in the database, for the overview of operators.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from checks.app import CHECKS
from checks.examination import CheckContext, Status, examine
from ingest import log
from ingest.errors import IngestError
from ingest.storage.findings import Findings

SETTINGS = "settings"  # the name of the first check


def report(environ: Mapping[str, str] = os.environ) -> None:
    """Run every check in this environment, log and keep its finding; advice is for `doctor`. Raises nothing."""
    statuses: dict[str, Status] = {}
    with CheckContext(environ=environ) as context:
        for finding in examine(context, CHECKS):
            failed = finding.status is Status.FAILED
            statuses[finding.check] = finding.status
            log.info("doctor.checked", check=finding.check, status=finding.status, failed=int(failed))
        if statuses[SETTINGS] is not Status.FAILED:  # without settings there is no database
            _keep(context, statuses)


def _keep(context: CheckContext, statuses: Mapping[str, Status]) -> None:
    try:
        Findings(context.app.database).note(statuses)
    except IngestError as error:
        log.warning("doctor.not_recorded", cause=log.describe(error))
