"""The service: its rules, its store, its wire format, its open questions."""
