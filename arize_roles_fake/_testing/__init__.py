"""The controls that a test has over an account, and the log of its calls."""
