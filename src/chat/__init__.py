"""The chat: rooms that burn. Written only against the server's public API."""
