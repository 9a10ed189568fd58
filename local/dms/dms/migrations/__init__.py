"""Django's migrations of the rehearsal's DMS."""
