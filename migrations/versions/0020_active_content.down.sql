-- A view gives no column back; the view of before is made anew.
drop view ingest.delivered;
create view ingest.delivered with (security_invoker = true) as
    select document.id, document.tenant_id, message.claim_id as number, document.message_id, document.name,
        document.content_type, document.size, document.sha256, document.container, document.blob_name,
        document.created_at, document.encrypted, document.related_id,
        (
            select earlier.id from ingest.document as earlier
            where earlier.tenant_id = document.tenant_id and earlier.sha256 = document.sha256
                and (earlier.created_at, earlier.id) < (document.created_at, document.id)
            order by earlier.created_at, earlier.id limit 1
        ) as duplicate_of,
        document.invoice_kind, document.invoice_profile, document.invoice_number, document.invoice_issue_date,
        document.invoice_seller, document.invoice_total, document.invoice_currency, document.invoice_problem,
        message.subject, message.sender, message.internet_message_id, message.received_at
    from ingest.document join ingest.message on message.id = document.message_id;
grant select on ingest.delivered to ingest_reader, ingest_operator;

create or replace view ingest.evidence with (security_invoker = true) as
    select message.claim_id as number, message.id as message_id, message.tenant_id, message.internet_message_id,
        message.sender, message.subject, message.received_at, message.stored_at, message.rules_version,
        message.container, message.blob_name, message.size, message.sha256,
        (
            select jsonb_agg(
                jsonb_build_object(
                    'position', part.position, 'parent', part.parent, 'name', part.name,
                    'disposition', part.disposition, 'reason', part.reason,
                    'declared_type', part.declared_type, 'detected_type', part.detected_type,
                    'type_mismatch', part.type_mismatch, 'encrypted', part.encrypted, 'related', part.related,
                    'size', part.size, 'sha256', part.sha256, 'blob_name', part.blob_name
                ) order by part.position
            )
            from ingest.part where part.message_id = coalesce(message.duplicate_of, message.id)
        ) as parts,
        message.original, message.duplicate_of
    from ingest.message;

alter table ingest.document drop column active_content;
alter table ingest.part drop column active_content;
