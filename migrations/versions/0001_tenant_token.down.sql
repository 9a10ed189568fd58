-- The tenants stay, and so does a column that the DMS had made itself.
do $$
begin
    if col_description(
        'dms_tenant'::regclass,
        (select attnum from pg_attribute where attrelid = 'dms_tenant'::regclass and attname = 'ingest_token')
    ) like 'Added by mail-ingest%' then
        alter table dms_tenant drop column ingest_token;
    end if;
end
$$;
