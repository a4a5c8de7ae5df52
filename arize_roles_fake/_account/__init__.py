"""`FakeAccount` in its parts: what it holds, what a test scripts and asserts, its answers."""
