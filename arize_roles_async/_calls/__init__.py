"""How a call runs, without sockets."""
