"""The app's own daily examination, as a log event for each check; the events become the metric behind an alert."""

from __future__ import annotations

import os
from collections.abc import Mapping

from checks.app import CHECKS
from checks.examination import Patient, Status, examine
from ingest import log


def report(environ: Mapping[str, str] = os.environ) -> None:
    """Run every check in this environment and log its finding; a finding's advice is for `doctor`. Raises nothing."""
    with Patient(environ=environ) as patient:
        for finding in examine(patient, CHECKS):
            failed = finding.status is Status.FAILED
            log.info("doctor.checked", check=finding.check, status=finding.status, failed=int(failed))
