"""The list of what staff did: kept in the journal, with from where and about what."""
