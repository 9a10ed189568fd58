-- Only additions: rows of before have null where nothing was known then.
alter table ingest.message
    add column rules_version integer;              -- of the rules that decided (ingest.model.RULES_VERSION)

alter table ingest.part
    add column parent integer,                     -- the position of the container that it came in
    add column detected_type text,                 -- by the content
    add column type_mismatch boolean not null default false,  -- declared type or name claim something else
    add column encrypted boolean not null default false,
    add column related integer,                    -- the position of the part that it belongs to
    add constraint part_parent foreign key (message_id, parent) references ingest.part (message_id, position),
    add constraint part_related foreign key (message_id, related) references ingest.part (message_id, position)
        deferrable initially deferred,
    add constraint part_disposition check (disposition in ('document', 'inline_image', 'signature', 'calendar',
        'link', 'container', 'duplicate_in_mail', 'rejected')) not valid;

alter table ingest.document
    add column encrypted boolean not null default false,
    add column related_id uuid,                    -- of a PDF: the XML of the invoice that it shows
    add column invoice_kind text,                  -- null: no e-invoice
    add column invoice_profile text,
    add column invoice_number text,
    add column invoice_issue_date date,
    add column invoice_seller text,
    add column invoice_total numeric,              -- with VAT
    add column invoice_currency text,
    add column invoice_problem text,               -- what is wrong with the e-invoice
    add constraint document_id_tenant unique (id, tenant_id),
    add constraint document_related foreign key (related_id, tenant_id) references ingest.document (id, tenant_id)
        deferrable initially deferred;

create index document_invoice on ingest.document (tenant_id, invoice_number) where invoice_number is not null;

-- All that proves what came in, one row for each mail: when, what, its hash, and what became of each part by which
-- rule. Row-level security is that of the reading role.
create view ingest.evidence with (security_invoker = true) as
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
        ) as parts
    from ingest.message;
grant select on ingest.evidence to ingest_reader;
