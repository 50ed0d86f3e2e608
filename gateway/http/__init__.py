"""HTTP APIs, REST APIs and function URLs."""
