import base64
import re
import uuid

import pytest

from gateway import ids


def test_connection_ids_have_the_services_shape() -> None:
    made = [ids.new_id() for _ in range(500)]
    assert len(set(made)) == len(made)
    for text in made:
        assert re.fullmatch(r"[A-Za-z0-9_-]{15}=", text)
        assert len(base64.urlsafe_b64decode(text)) == 11
        assert ids.is_connection_id(text)
    # Some have to be quoted in an address.
    assert any(re.search("[-_]", text) for text in made)


@pytest.mark.parametrize("text", ["", "x", "A" * 16, "A" * 15, "A" * 14 + "==", "A" * 14 + "/=", "A" * 15 + "=\n"])
def test_other_shapes_are_no_connection_ids(text: str) -> None:
    assert not ids.is_connection_id(text)


def test_request_and_trace_ids() -> None:
    assert uuid.UUID(ids.new_request_id()).version == 4
    assert re.fullmatch(r"Root=1-65c66a0f-[0-9a-f]{24}", ids.new_trace_id(0x65C66A0F + 0.5))


def test_api_ids_are_stable_and_distinct() -> None:
    assert ids.api_id("local", "Api") == ids.api_id("local", "Api")
    assert ids.api_id("local", "Api") != ids.api_id("local", "Other")
    assert re.fullmatch(r"[a-z0-9]{10}", ids.api_id("local", "Api"))
