"""The content of a mail: its parts found, unpacked, identified and sorted, without any network."""
