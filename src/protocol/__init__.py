"""Engine.IO 4 and Socket.IO 5 framing: pure functions and frozen values, without I/O, clock or log."""
