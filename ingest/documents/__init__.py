"""The content of a mail: its parts found, unpacked, identified and sorted, without any network.

The folders know formats: headers, containers, PDF files, e-invoices. The modules beside them decide about a part.
"""
