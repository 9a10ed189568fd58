do $$
begin
    raise info 'dms_emailconfig is not brought back: its credentials were meant to go. '
        'To poll the old accounts again, let the DMS create the table and enter them anew (docs/dms-integration.md).';
end
$$;
