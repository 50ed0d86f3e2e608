"""A client of rooms without a page: `python -m chat`. Nothing here is loaded by a Lambda handler."""
