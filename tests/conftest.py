"""What holds for all tests."""

import signal

# A shell has what it starts in the background (`make test &`) ignore Ctrl-C, and so would every process that is to end
# by it here.
signal.signal(signal.SIGINT, signal.default_int_handler)
