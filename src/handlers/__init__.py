"""Lambda's entry points: an event in, one call, a result out."""
