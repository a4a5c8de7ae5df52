"""TOML as text, whatever it is about."""
