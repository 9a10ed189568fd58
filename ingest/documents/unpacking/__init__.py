"""What is inside of containers: attached mails, Outlook messages, zip archives, winmail.dat, signed mails.

One module each. All of them read from an open file without taking it into memory, list what is inside before
anything of it is expanded, and raise nothing but PartRejected: `too_many`, or `unreadable` for whatever their
format's reader can't make sense of.
"""
