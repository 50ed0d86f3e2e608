"""API Gateway's @connections: the only way to a WebSocket client beside the route response."""

from aws import clients
from server.ports import Gone


class ManagementApi:
    """Fills `server.ports.Wire`."""

    def post(self, connection_id: str, frame: str) -> None:
        with clients.translated():
            clients.connections().post_to_connection(ConnectionId=connection_id, Data=frame.encode())

    def close(self, connection_id: str) -> None:
        try:
            with clients.translated():
                clients.connections().delete_connection(ConnectionId=connection_id)
        except Gone:
            pass
