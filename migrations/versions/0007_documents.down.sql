-- The parts and documents stay; what was found out about them goes.
drop view ingest.evidence;
alter table ingest.document
    drop constraint document_related,
    drop constraint document_id_tenant,
    drop column encrypted,
    drop column related_id,
    drop column invoice_kind,
    drop column invoice_profile,
    drop column invoice_number,
    drop column invoice_issue_date,
    drop column invoice_seller,
    drop column invoice_total,
    drop column invoice_currency,
    drop column invoice_problem;
alter table ingest.part
    drop constraint part_disposition,
    drop column parent,
    drop column detected_type,
    drop column type_mismatch,
    drop column encrypted,
    drop column related;
alter table ingest.message drop column rules_version;
