"""The app `dms` of the rehearsal."""
