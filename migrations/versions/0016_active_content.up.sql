-- Macros, scripts, links to other places: ingest.codes.ActiveContent. The default does not rewrite the tables; documents of
-- before were not examined, and have the empty list too.
alter table ingest.part add column active_content text[] not null default '{}';
alter table ingest.document add column active_content text[] not null default '{}';

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
                    'active_content', part.active_content,
                    'size', part.size, 'sha256', part.sha256, 'blob_name', part.blob_name
                ) order by part.position
            )
            from ingest.part where part.message_id = message.id
        ) as parts,
        message.original
    from ingest.message;
