"""What callers hold, and the rules for it."""
