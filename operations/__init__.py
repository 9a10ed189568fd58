"""The operators' side of the ingest, by what operators look after: schema, tenants, mails, blobs.

No function reaches it. The modules beside the folders are for all of them: connection, record of actions, settings.
"""
