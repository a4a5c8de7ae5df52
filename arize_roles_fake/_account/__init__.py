"""`FakeAccount` in its parts: what it holds, what a test scripts, what it asserts, and the door."""
