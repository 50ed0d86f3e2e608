"""What a cold start of each WebSocket handler costs, as a ratio to boto3 with the clients that it needs.

Each import runs in a fresh process, with byte code, as `sam build` puts it into the package; handler and yardstick take
turns, and the least processor time of each counts: what a busy machine adds is never the program's own.
"""

import os
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).parent.parent / "src"
LIMIT = 1.15
PAIRS = 9

CLIENTS = {
    "connect": ("dynamodb", "sqs"),
    "message": ("dynamodb", "apigatewaymanagementapi"),
    "disconnect": ("dynamodb", "apigatewaymanagementapi"),  # direct; with a queue it is sqs
    "deliver": ("dynamodb", "sqs", "apigatewaymanagementapi"),
    "heartbeat": ("dynamodb", "apigatewaymanagementapi"),
}

ENVIRONMENT = {
    "APP": "chat.app:sio",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "us-east-1",
    "CONNECTIONS_URL": "https://api.execute-api.us-east-1.amazonaws.com/live",
    "PING_INTERVAL": "120",
    "PING_TIMEOUT": "60",
    "PYTHONPATH": str(SRC),
    "QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/queue.fifo",
    "TIMERS_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/timers",
    "TABLE": "table",
    "PYTHONDONTWRITEBYTECODE": "",
}

# The clients are made when the handler is imported: Lambda gives the init phase a whole processor.
HANDLER = "import handlers.{name}"
YARDSTICK = """
import boto3
from botocore.config import Config
for service in {clients!r}:
    url = "https://example.com" if service == "apigatewaymanagementapi" else None
    boto3.client(service, endpoint_url=url, config=Config(connect_timeout=1))
"""


def seconds(code: str) -> float:
    """Return the processor time that a fresh Python needs to run the code, in seconds."""
    timed = f"import time; start = time.process_time()\n{code}\nprint(time.process_time() - start)"
    environment = os.environ | ENVIRONMENT
    run = subprocess.run([sys.executable, "-c", timed], env=environment, check=True, capture_output=True, text=True)
    return float(run.stdout)


def measure(name: str) -> tuple[float, float]:
    """Return the ratio, and the handler's time in seconds."""
    handler, yardstick = HANDLER.format(name=name), YARDSTICK.format(clients=CLIENTS[name])
    seconds(handler), seconds(yardstick)  # the first runs write byte code
    pairs = [(seconds(handler), seconds(yardstick)) for _ in range(PAIRS)]
    ours, theirs = map(min, zip(*pairs, strict=True))
    return ours / theirs, ours


def main() -> None:
    print(f"Import of each WebSocket handler; ratio to boto3 with its clients, best of {PAIRS} each, limit {LIMIT}")
    for name, clients in CLIENTS.items():
        ratio, time = measure(name)
        verdict = "over the limit" if ratio > LIMIT else ""
        print(f"{name:12} {ratio:5.2f}  {time * 1000:5.0f} ms  {', '.join(clients)} {verdict}")


if __name__ == "__main__":
    main()
