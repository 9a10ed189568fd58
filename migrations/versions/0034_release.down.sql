-- For operators, on the record: the DMS sees the document, with every verdict.
create or replace function ingest.release_document(
    document uuid, tenant ingest.message.tenant_id%type, why text, remark text
) returns boolean
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    reasons text[];
begin
    perform ingest.open_tenant(tenant);
    with released as (
        update ingest.withheld set released_at = now(), released_by = session_user
        where document_id = document and tenant_id = tenant and released_at is null
        returning reason
    )
    select array_agg(reason order by reason) into reasons from released;
    if reasons is null then
        return false;
    end if;
    perform pg_notify('ingest_document', document::text);
    perform ingest.record_action('document.release', 'document ' || document,
        jsonb_build_object('tenant', tenant, 'withheld', reasons), why, remark);
    return true;
end
$$;
