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


def _known_secrets() -> dict[str, str]:
    return {"local": "local", "test": "test", "defaultkey": "defaultsecret"}


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
    url_limit: int = 4096  # [D] characters of an upgrade's path and query
    long_url_status: int = 414  # [?]
    # [?] Whether a client's ping keeps its connection from being idle.
    ping_is_activity: bool = False
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
    # [?] How long a Lambda authorizer may take. Its own function's timeout comes first as a rule.
    authorizer_timeout: float = 29.0
    # [R] of REST APIs: words of the 403 of an authorizer that denies, and of the 500 of one that fails.
    denied_message: str = "User is not authorized to access this resource"
    authorizer_failed_message: str = "Internal server error"
    # [D] A message that its model refuses gets an error frame with these words, its connection's id and its own.
    invalid_body_message: str = "Bad request body"

    # ---- Throttling
    account_rate: float = 10_000  # [D] requests a second, messages and calls of @connections
    account_burst: int = 5_000  # [D]
    connection_rate: float = 500  # [D] new connections a second
    connection_burst: int = 500  # [?] so many at once
    # [?] Words of the error frame for a message that is throttled, of the 429 that an upgrade gets [R of REST APIs],
    # and of the one of @connections.
    throttled_message: str = "Too Many Requests"

    # ---- Signatures
    sigv4: bool = True
    signature_skew: float = 300.0  # [D]
    # Secrets by access key, beside those of the functions' own processes: what people use for AWS on their machine,
    # and what `sam local` gives its functions.
    known_secrets: dict[str, str] = field(default_factory=_known_secrets)

    # ---- HTTP API
    http_timeout: float = 30.0  # [D]
    http_body_limit: int = 10 * KIB * KIB  # [D]
    # [?] Content type of an answer that has a statusCode but names no type.
    http_default_content_type: str = "text/plain;charset=utf-8"
    rest_timeout: float = 29.0  # [D]
    rest_default_content_type: str = "application/json"  # [R]
    # [D] Seconds for which an authorizer's answer counts where the template does not say: of a REST API's, and none [I]
    # of an HTTP API's.
    rest_authorizer_ttl: float = 300.0
    http_authorizer_ttl: float = 0.0
    jwt_keys_ttl: float = 7200.0  # [D] seconds for which an issuer's keys count

    # ---- Functions
    payload_limit: int = 6 * KIB * KIB  # [D] synchronous, each way
    # Processes of one function; AWS has 1,000 for an account. What does not fit waits, or is refused as AWS would.
    max_workers: int = 50
    throttle: bool = False
    # A busy function gets another process when an invocation has waited this long, and those of its processes have
    # been at work on one for as long: AWS starts one at once, but on one machine a burst of short invocations is over
    # before a new process has started, and would only be slowed down by the start.
    scale_up_after: float = 0.020
    # [?] How long a process that nobody needs any more is kept, by the machine's time; a function's last one stays.
    idle_worker_life: float = 300.0
    # What goes wrong on purpose (`gateway.chaos`) does so the same way for the same seed; None draws one.
    seed: int | None = None
    # AWS allows 10 s; one machine that starts several processes at once needs more.
    init_timeout: float = 60.0
    prestart_concurrency: int = 2
    # How long what runs may take to end where all state is emptied; then its process is killed.
    reset_wait: float = 5.0
    # For how long the gateway waits for the process that runs the functions in its place to listen.
    lambda_endpoint_wait: float = 60.0

    # ---- Asynchronous invocations
    # [D] 256 KB at first, 1 MB since 2025.
    async_payload_limit: int = 1024 * KIB
    async_retries: int = 2  # [D] after an error of the function, unless it says another number
    async_retry_waits: tuple[float, ...] = (60.0, 120.0)  # [D] before each of them
    async_longest_age: float = 21600.0  # [D] of an event that waits
    # [D] Wait of an event that was throttled: from a second, twice as long each time, up to five minutes.
    async_throttled_wait: float = 1.0
    async_throttled_longest: float = 300.0

    # ---- Queues, streams and schedules
    # [I] Batches of one event source mapping that run at the same time. AWS starts with five and adds more each minute;
    # of a FIFO queue it runs as many as there are message groups [D].
    poller_concurrency: int = 10
    # Pause between two receives of a queue: shortest after traffic, longest when idle, and when idle with an AWS
    # process that tells of new messages (then only delays and visibility timeouts are found by polling).
    poll_shortest: float = 0.020
    poll_longest: float = 0.200
    poll_notified: float = 1.0
    poll_after_error: float = 1.0
    stream_poll: float = 0.250  # [D] a stream's shard is read four times a second
    # [?] Wait before a stream's batch that failed is tried again: twice as long each time, up to the longest.
    stream_retry_wait: float = 0.5
    stream_retry_longest: float = 60.0

    # ---- The embedded AWS
    # Seconds between two looks for items whose time to live is over; turning the clock is followed by one as well.
    ttl_sweep: float = 60.0
    # How long such an item stays. [D] AWS takes hours, up to a few days.
    ttl_lag: float = 0.0
    # Whether the bill counts polls of event source mappings that find nothing, though AWS polls at another pace.
    bill_empty_receives: bool = False

    # ---- Console and inspector
    # Lines of traffic that the console shows in a second.
    console_lines: int = 60
    # What the inspector keeps: so many frames, requests and invocations, and about so many bytes of them.
    inspector_entries: int = 5000
    inspector_bytes: int = 64 * KIB * KIB
    # Seconds between two updates of the inspector's page.
    inspector_pause: float = 0.1
