"""The benchmark: this app beside a loop written with the O365 library, and beside Outlook's own limits."""
