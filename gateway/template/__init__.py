"""What a template asks for: read, expanded, resolved, as plain values."""
