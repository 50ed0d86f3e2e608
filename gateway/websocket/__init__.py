"""WebSocket APIs: their core, the protocol that speaks to clients, what their routes reach."""
