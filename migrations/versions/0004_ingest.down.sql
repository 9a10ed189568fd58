-- Everything this app recorded goes; blobs stay where they are, and the roles may serve other databases.
drop table ingest.document, ingest.part, ingest.message, ingest.claim;
drop sequence if exists ingest.fence;
drop function ingest.announce_document(), ingest.current_tenant();
