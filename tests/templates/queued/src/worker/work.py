def done(text):
    return f"done: {text}"
