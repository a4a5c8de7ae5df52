"""What the clients of every resource share: options, their end, the notice of a stage."""
