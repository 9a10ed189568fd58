# migrate.sh for Windows: the database's schema, and the app's login in it, as the server's Entra administrator.
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $true

if (-not $env:DATABASE_HOST) {
    Write-Output 'No database in this deployment: migrate the existing one by hand (docs/deploy.md).'
    exit 0
}
if (-not $env:DATABASE_ADMIN_NAME) {
    throw 'Set it with: azd env set DATABASE_ADMIN_NAME <your user principal name>'
}
$python = if (Test-Path '.venv/Scripts/python.exe') { '.venv/Scripts/python.exe' } else { 'python' }
$user = [uri]::EscapeDataString($env:DATABASE_ADMIN_NAME)

$env:INGEST_OWNER_DATABASE_URL =
    "postgresql://${user}@$($env:DATABASE_HOST):5432/$($env:DATABASE_NAME)?sslmode=verify-full&sslrootcert=system"
& $python -m ingest migrate

$env:PGPASSWORD = az account get-access-token --resource-type oss-rdbms --query accessToken --output tsv
& psql "host=$($env:DATABASE_HOST) dbname=postgres user=$($env:DATABASE_ADMIN_NAME) sslmode=verify-full sslrootcert=system" `
    --variable "name=$($env:IDENTITY_NAME)" --variable "oid=$($env:IDENTITY_OBJECT_ID)" --file infra/postgres/app-login.sql
