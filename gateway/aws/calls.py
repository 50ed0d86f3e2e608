"""One call of the embedded AWS, as its process tells the gateway of it."""

from typing import NamedTuple


class AwsCall(NamedTuple):
    """A call and what AWS would meter of it. A tuple, since it crosses between the processes as a JSON array.

    `at` is in seconds since 1970 by the AWS's clock, `duration` in seconds; `received` and `sent` are the bodies'
    sizes in bytes. `resource` is the name of a table, a queue or the like, empty for none; where a service's calls
    have no names, `operation` is the method and `resource` the path. `status` is 0 where the connection was cut, and
    `error` is the code of an error, empty for none. DynamoDB's units are whole writes and halves of a read;
    `requests` are SQS's chunks of 64 KB, and 1 for other services. `changed` are the queues on which there may be
    something new, one for each message with its group, or with nothing where there is none.
    """

    access_key: str
    service: str
    operation: str
    resource: str
    status: int
    error: str
    at: float
    duration: float
    received: int
    sent: int
    write_units: int = 0
    read_units: float = 0.0
    requests: int = 1
    empty: bool = False
    changed: tuple[tuple[str, str], ...] = ()
