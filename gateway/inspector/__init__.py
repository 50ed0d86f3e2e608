"""The inspector: a page that shows what happens in a running gateway, and acts on it."""
