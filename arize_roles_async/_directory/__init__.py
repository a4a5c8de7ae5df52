"""Users, spaces and projects, read only, and role bindings by the names of all of these."""
