#!/bin/sh
# The database's schema, and the app's login in it; run by azd after `provision`, as the server's Entra administrator.
# Needs Python with requirements.txt installed, and psql. Skipped where azd has made no database.
set -eu
if [ -z "${DATABASE_HOST:-}" ]; then
    echo "No database in this deployment: migrate the existing one by hand (docs/deploy.md)."
    exit 0
fi
: "${DATABASE_ADMIN_NAME:?set it with: azd env set DATABASE_ADMIN_NAME <your user principal name>}"
python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3

INGEST_OWNER_DATABASE_URL=$("$python" -c 'import os, urllib.parse
user = urllib.parse.quote(os.environ["DATABASE_ADMIN_NAME"], safe="")
print("postgresql://" + user + "@" + os.environ["DATABASE_HOST"] + ":5432/" + os.environ["DATABASE_NAME"]
      + "?sslmode=verify-full&sslrootcert=system")')
export INGEST_OWNER_DATABASE_URL
"$python" -m ingest migrate

PGPASSWORD=$(az account get-access-token --resource-type oss-rdbms --query accessToken --output tsv)
export PGPASSWORD
psql "host=$DATABASE_HOST dbname=postgres user=$DATABASE_ADMIN_NAME sslmode=verify-full sslrootcert=system" \
    --variable name="$IDENTITY_NAME" --variable oid="$IDENTITY_OBJECT_ID" --file infra/postgres/app-login.sql
