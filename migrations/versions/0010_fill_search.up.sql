-- One tenant after the other, inside the tenant's context: row-level security binds the owner, too. Can be repeated.
do $$
declare
    tenant dms_tenant.id%type;
begin
    for tenant in select id from dms_tenant loop
        perform set_config('ingest.tenant_id', tenant::text, true);
        update ingest.message set search = to_tsvector('simple', translate(
            left(lower(concat_ws(' ', subject, sender, internet_message_id,
                (select string_agg(part.name, ' ') from ingest.part where part.message_id = message.id),
                (
                    select string_agg(concat_ws(' ', invoice_number, invoice_seller), ' ')
                    from ingest.document where document.message_id = message.id
                ))), 20000),
            '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', repeat(' ', 32)))
        where search is null;
        commit;
    end loop;
end
$$;
-- next statement
set lock_timeout = 0;
-- next statement
-- An earlier try may have left an index that is not valid.
drop index concurrently if exists ingest.message_search;
-- next statement
create index concurrently message_search on ingest.message using gin (search) with (fastupdate = off);
-- next statement
drop index concurrently if exists ingest.message_received;
-- next statement
create index concurrently message_received on ingest.message (received_at desc);
-- next statement
drop index concurrently if exists ingest.claim_without_copy;
-- next statement
-- Claims that a search can't find by their copies: few among millions.
create index concurrently claim_without_copy on ingest.claim (id)
    where state in ('waiting', 'processing', 'quarantined', 'gone');
-- next statement
reset lock_timeout;
