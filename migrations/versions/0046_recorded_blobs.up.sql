-- A mail that came in again was linked to its first copy and deleted, although the first copy's blobs were lost: with the mail
-- went the last original. From here on the app looks whether the blobs on record are there, and stores lost ones again.

-- The blobs of the copy that the context's tenant has of a mail: of the first copy, where the copy is a link.
create function ingest.recorded_blobs(claim bigint)
    returns table (container text, blob_name text, size bigint, sha256 text)
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    with copy as (
        select coalesce(message.duplicate_of, message.id) as id, message.tenant_id, message.container,
            message.blob_name, message.size, message.sha256
        from ingest.message
        where message.claim_id = recorded_blobs.claim and message.tenant_id = ingest.current_tenant()
    )
    select copy.container, copy.blob_name, copy.size, copy.sha256 from copy
    union
    select copy.container, part.blob_name, part.size, part.sha256
    from copy join ingest.part on part.message_id = copy.id and part.tenant_id = copy.tenant_id
    where part.blob_name is not null
$$;
revoke all on function ingest.recorded_blobs from public;
grant execute on function ingest.recorded_blobs to ingest_app;
