"""Every number and name that the gateway had to choose, in one place.

[D] documented by AWS, [R] reported by users of the service, [I] inferred, [?] unknown and chosen here.
"""

from dataclasses import dataclass, field

KIB = 1024


def _disconnect_reasons() -> dict[int, str]:
    return {
        1000: "Connection Closed Normally",
        1001: "Going away",
        # [R] the service's own words for a close frame without a code.
        1005: "Client-side close frame status not set",
        # [?] the words for these are not known.
        1003: "Binary messages are not supported",
        1006: "Connection Closed Abnormally",
        1007: "Invalid frame payload data",
        1009: "Message too long",
    }


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds, sizes in bytes."""

    region: str = "us-east-1"
    account_id: str = "123456789012"
    partition: str = "aws"
    url_suffix: str = "amazonaws.com"
    stack_name: str = "local"

    # ---- WebSocket API
    # [?] After $connect has answered, @connections still says 410 for tens of milliseconds. The 101 is held for as
    # long, so a client never talks on a connection that does not exist. Each connection draws from ±jitter around it.
    connect_window: float = 0.030
    connect_window_jitter: float = 0.5
    integration_timeout: float = 29.0  # [D]
    idle_timeout: float = 600.0  # [D] without an application message in either direction
    connection_duration: float = 7200.0  # [D]
    frame_limit: int = 32 * KIB  # [D]
    message_limit: int = 128 * KIB  # [D] both ways
    # [?] Bytes waiting for a client that does not read, past which @connections answers 429.
    send_buffer_limit: int = 1024 * KIB
    # How long a client may take to answer a close frame before TCP is cut.
    close_wait: float = 2.0
    # [R, partly ?] `disconnectReason` where the close frame has no reason of its own.
    disconnect_reasons: dict[int, str] = field(default_factory=_disconnect_reasons)
    # [I] A service integration hands the frames of one connection on in the order in which they came: AWS's own ordered
    # pattern, a FIFO queue with the connection as its group, relies on it.
    ordered_sends: bool = True
    # [?] Status of an upgrade whose $connect is a service integration that fails.
    failed_send_status: int = 500
    # [?] Words of the error frame for a body that no template takes, where such are refused; an upgrade gets 415 [I].
    unmapped_message: str = "Unsupported Media Type"
    # [?] What `$input.json` gives where its path leads nowhere, and for a body that is no JSON.
    json_missing: str = '""'
    # [?] Body of the 426 that a plain GET of a stage gets.
    upgrade_required_body: str = '{"message":"Upgrade Required"}'

    # ---- HTTP API
    http_timeout: float = 30.0  # [D]
    http_body_limit: int = 10 * KIB * KIB  # [D]
    # [?] Content type of an answer that has a statusCode but names no type.
    http_default_content_type: str = "text/plain;charset=utf-8"

    # ---- Functions
    payload_limit: int = 6 * KIB * KIB  # [D] synchronous, each way
    # Processes of one function; AWS has 1,000 for an account. What does not fit waits, or is refused as AWS would.
    max_workers: int = 50
    throttle: bool = False
    # A busy function gets another process when an invocation has waited this long: AWS starts one at once, but on
    # one machine a burst of short invocations is over before a new process has started.
    scale_up_after: float = 0.020
    # Longest time for which an invocation of a WebSocket route or of a queue is held back, as a cold start would; each
    # draws its own between 0 and this. The draws of one seed are the same at each run.
    start_delay: float = 0.0
    seed: int | None = None
    # AWS allows 10 s; one machine that starts several processes at once needs more.
    init_timeout: float = 60.0
    prestart_concurrency: int = 2
    # For how long the gateway waits for the process that runs the functions in its place to listen.
    lambda_endpoint_wait: float = 60.0

    # ---- Queues and schedules
    # [I] Batches of one event source mapping that run at the same time. AWS starts with five and adds more each minute;
    # of a FIFO queue it runs as many as there are message groups [D].
    poller_concurrency: int = 10
    # Pause between two receives of a queue: shortest after traffic, longest when idle, and when idle with an AWS
    # process that tells of new messages (then only delays and visibility timeouts are found by polling).
    poll_shortest: float = 0.020
    poll_longest: float = 0.200
    poll_notified: float = 1.0
    poll_after_error: float = 1.0
