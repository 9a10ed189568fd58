"""The deployment: Bicep, Exchange, Postgres, and the script that holds them against the app."""
