"""HTTP: the page, the client bundle and the rooms API."""

from typing import Any

from mangum import Mangum

import aws
from chat.api import app
from chat.app import sio
from handlers import wiring

sio.bind(aws.ports())
_adapter = Mangum(app, lifespan="off")
wiring.ready()


@wiring.guarded(lambda event: {"statusCode": 500, "headers": {"content-type": "application/json"}, "body": _ERROR})
def handler(event: wiring.Event, context: Any) -> dict[str, Any]:
    return dict(_adapter(event, context))


_ERROR = '{"error":{"code":"internal","message":"Something went wrong here. Try again."}}'
