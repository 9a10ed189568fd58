#!/bin/sh
# The checks of `doctor` in the deployed app, with the app's identity: a managed identity signs in on Azure only.
#
#   set -a; eval "$(azd env get-values)"; infra/examine.sh
#
# Starts the function `examine` and prints the state of each check, which `examine` keeps in the database. Exit code 1 where
# a check still fails after 4 examinations, 2 where the deployment names no database to read the states from. Needs psql
# and the Azure CLI, signed in as DATABASE_ADMIN_NAME with the right to list the app's keys. With EXISTING_DATABASE_URL
# that login needs the role `ingest_operator` on the existing server.
# https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http
set -eu
if [ -n "${DATABASE_HOST:-}" ]; then
    database="postgresql://$DATABASE_HOST/$DATABASE_NAME?sslmode=verify-full&sslrootcert=system"
elif [ -n "${EXISTING_DATABASE_URL:-}" ]; then
    database="postgresql://${EXISTING_DATABASE_URL#*://}"
    case "$EXISTING_DATABASE_URL" in *@*) database="postgresql://${EXISTING_DATABASE_URL##*@}" ;; esac  # the app's login
else
    echo "Nothing was examined: neither DATABASE_HOST nor EXISTING_DATABASE_URL is set. Both come from: azd env get-values" >&2
    exit 2
fi
PGUSER=${DATABASE_ADMIN_NAME:-$(az ad signed-in-user show --query userPrincipalName --output tsv)}
export PGUSER

key=$(az functionapp keys list --resource-group "$AZURE_RESOURCE_GROUP" --name "$AZURE_FUNCTION_NAME" \
    --query masterKey --output tsv)
PGPASSWORD=$(az account get-access-token --resource-type oss-rdbms --query accessToken --output tsv)
export PGPASSWORD

ask() {
    psql "$database" --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --command "$1"
}

examination=1
while :; do
    last=$(ask "select coalesce(max(id), 0) from ingest.finding")
    # The key is no argument: other processes of the machine can read arguments.
    printf 'x-functions-key: %s\n' "$key" | curl --fail --silent --show-error --retry 10 --retry-all-errors --max-time 30 \
        --header @- --header 'Content-Type: application/json' --data '{"input": ""}' --output /dev/null \
        "$NOTIFICATION_URL/admin/functions/examine"
    found=""
    look=1
    while [ -z "$found" ] && [ "$look" -le 30 ]; do
        sleep 5
        found=$(ask "select status || ' ' || check_name from ingest.finding where id > $last order by id")
        look=$((look + 1))
    done
    if [ -z "$found" ]; then
        echo "examine has kept no finding: see its log for doctor.checked and doctor.not_recorded."
        exit 1
    fi
    echo "$found"
    case "$found" in *"failed "*) ;; *) exit 0 ;; esac
    # A new app has no subscription before the timer `maintain` has run, which takes up to 5 minutes.
    [ "$examination" -lt 4 ] || exit 1
    examination=$((examination + 1))
    echo "A check fails: next examination in 2 minutes."
    sleep 120
done
