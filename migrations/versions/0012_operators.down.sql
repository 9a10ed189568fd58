-- The record of operator actions goes: note its last hash before (`audit verify`), it is printed by migrate as well.
do $$
declare
    entries bigint;
    head text;
begin
    select count(*), max(hash) filter (where number = (select max(number) from ingest.audit))
        into entries, head from ingest.audit;
    raise info 'ingest.audit goes with % entries; its last hash was %', entries, coalesce(head, 'none');
end
$$;
drop policy operator on ingest.message;
drop policy operator on ingest.part;
drop policy operator on ingest.document;
drop function ingest.forget_tenant, ingest.holdings, ingest.assign_message, ingest.enable_tenant, ingest.disable_tenant,
    ingest.rotate_token, ingest.tenants, ingest.record_action, ingest.audit_hash;
drop table ingest.audit;
drop function ingest.refuse_change;
revoke all on all tables in schema ingest from ingest_operator;
revoke all on all functions in schema ingest from ingest_operator;
revoke all on schema ingest from ingest_operator;
