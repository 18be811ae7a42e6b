"""What may not pass, in either direction."""
