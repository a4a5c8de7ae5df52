"""Values that callers hold, and the rules for them."""
