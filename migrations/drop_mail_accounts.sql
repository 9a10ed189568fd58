-- Nothing is cascaded: what still points at the accounts is named, and is the DMS team's to decide.
do $$
declare
    referring text;
    accounts bigint;
begin
    if to_regclass('dms_emailconfig') is null then
        return;
    end if;
    select string_agg(format('%s (%s)', conrelid::regclass, conname), ', ' order by conrelid::regclass::text)
        into referring
        from pg_constraint
        where contype = 'f' and confrelid = to_regclass('dms_emailconfig')
            and conrelid <> to_regclass('dms_emailconfig');
    if referring is not null then
        raise dependent_objects_still_exist using
            message = format('dms_emailconfig can''t be dropped: foreign keys point at it: %s', referring),
            hint = 'Drop or empty these references in the DMS first (docs/dms-integration.md), then migrate again.';
    end if;
    lock table dms_emailconfig in access exclusive mode;
    select count(*) into accounts from dms_emailconfig;
    drop table dms_emailconfig;
    if to_regclass('ingest.audit') is not null then
        perform ingest.record_action('schema.drop_mail_accounts', 'dms_emailconfig',
            jsonb_build_object('accounts', accounts), 'migrate without --keep-mail-accounts', '');
    end if;
    raise info 'dms_emailconfig dropped: % mail account(s) and their credentials are gone from this database', accounts;
end
$$;
