create or replace view ingest.evidence with (security_invoker = true) as
    select message.id as message_id, message.tenant_id, message.internet_message_id, message.sender, message.subject,
        message.received_at, message.stored_at, message.rules_version,
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
            from ingest.part where part.message_id = message.id
        ) as parts,
        message.original
    from ingest.message;
alter table ingest.document drop column active_content;
alter table ingest.part drop column active_content;
