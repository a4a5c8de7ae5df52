"""Role bindings: who has which role where."""
