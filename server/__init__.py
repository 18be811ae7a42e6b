"""The platform server: tenants' bots, answered over WebSocket, SSE and REST."""

__version__ = "0.1.0"
