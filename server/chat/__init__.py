"""One turn, from the visitor's message to the last event."""
