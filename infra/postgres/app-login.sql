-- The app's login on a server with Entra sign-in. Run as the server's Entra administrator, in the database `postgres`:
--
--   psql "host=<server> dbname=postgres sslmode=require" -v name=<identity name> -v oid=<identity object id> \
--       -f infra/postgres/app-login.sql
--
-- Safe to repeat. Logins of identities exist in the database `postgres` only; roles belong to the whole server.
-- https://learn.microsoft.com/azure/postgresql/flexible-server/security-manage-entra-users
\set ON_ERROR_STOP on

select 'made' as login
from pgaadauth_create_principal_with_oid(:'name', :'oid', 'service', false, false)
where not exists (select from pg_roles where rolname = :'name');

-- `python -m ingest migrate` has made the group; the login may do what the group may, and nothing else.
grant ingest_app to :"name";
