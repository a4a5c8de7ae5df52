"""Running a call, without sockets."""
