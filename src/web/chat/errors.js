/** What went wrong: `code` for programs and translations, `message` for people, `retry_after` in seconds if known. */
export class ChatError extends Error {
  constructor(code, message, retryAfter) {
    super(message);
    this.name = "ChatError";
    this.code = code;
    if (retryAfter !== undefined) this.retry_after = retryAfter;
  }

  /** From an error as the server puts it: {code, message, retry_after?}. */
  static of({ code = "unreachable", message = "That did not work. Please try again.", retry_after } = {}) {
    return new ChatError(code, message, retry_after);
  }
}
