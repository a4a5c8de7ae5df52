"""What the clients of all resources share: their methods begin calls, which `_calls` runs."""
