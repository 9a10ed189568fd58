-- depends: 0001.tenant-addresses
-- The per-tenant mail accounts and their credentials are replaced by the central mailbox.
drop table if exists dms_emailconfig;
