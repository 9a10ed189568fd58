-- The tokens go with their column, one step further back. A column that the DMS had made itself stays as it is.
do $$
begin
    if col_description(
        'dms_tenant'::regclass,
        (select attnum from pg_attribute where attrelid = 'dms_tenant'::regclass and attname = 'ingest_token')
    ) like 'Added by mail-ingest%' then
        alter table dms_tenant alter column ingest_token drop not null;
    end if;
end
$$;
