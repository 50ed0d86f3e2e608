"""Puts binary events together: a header in one frame, its attachments in frames after it."""

from protocol import engineio, socketio
from protocol.engineio import Packet as EnginePacket
from protocol.engineio import PacketType as EnginePacketType
from protocol.errors import ProtocolError
from protocol.socketio import Packet, Pending

MAX_PENDING = 150_000
"""Bytes of what waits for attachments: it is in the connection's record, and each of its writes pays."""


class Assembly:
    """A line of packets, in which those without all of their attachments hold up those behind them.

    An attachment belongs to the first packet that lacks one: the browser's client sends the headers of several events
    first where it has to encode their attachments (``forceBase64``). What is left over is carried on as `frames`.
    """

    def __init__(self, frames: tuple[str, ...] = ()) -> None:
        self._line: list[tuple[str, Packet | Pending]] = []
        for frame in frames:
            self.feed(engineio.decode_packet(frame).data)

    def feed(self, data: str | bytes) -> list[Packet]:
        """Take the data of a message; returns the packets whose turn has come. Raises ProtocolError."""
        if isinstance(data, bytes):
            at = next((n for n, (_, each) in enumerate(self._line) if isinstance(each, Pending)), None)
            if at is None:
                raise ProtocolError("an attachment came without its event")
            header, pending = self._line[at]
            assert isinstance(pending, Pending)
            self._line[at] = header, pending.attach(data)
        else:
            self._line.append((data, socketio.decode_header(data)))
        done: list[Packet] = []
        while self._line and isinstance(packet := self._line[0][1], Packet):
            done.append(packet)
            del self._line[0]
        return done

    @property
    def waiting(self) -> list[Packet]:
        """The packets that wait, without attachments."""
        return [each.packet if isinstance(each, Pending) else each for _, each in self._line]

    @property
    def frames(self) -> tuple[str, ...]:
        """What waits, as text frames of Engine.IO 4. Raises ProtocolError if it is too much."""
        parts: list[str | bytes] = []
        for header, packet in self._line:
            parts.append(header)
            parts += packet.attachments if isinstance(packet, Pending) else ()
        frames = tuple(engineio.encode_packet(EnginePacket(EnginePacketType.MESSAGE, part)) for part in parts)
        if sum(len(frame.encode()) for frame in frames) > MAX_PENDING:
            raise ProtocolError(f"more than {MAX_PENDING} bytes wait for attachments")
        return frames
