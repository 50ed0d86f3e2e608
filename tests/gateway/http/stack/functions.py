"""Functions behind APIs of every kind."""

import json
import os
from typing import Any


def show(event: Any, context: Any) -> Any:
    """Return the event and the environment."""
    variables = {name: os.environ[name] for name in ("MAIN", "SECOND", "REST")}
    return {"statusCode": 200, "body": json.dumps({"event": event, "environment": variables})}


def guard(event: Any, context: Any) -> Any:
    return {"isAuthorized": event["headers"]["authorization"] == "open", "context": {"who": "me"}}
