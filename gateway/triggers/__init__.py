"""What invokes functions beside the APIs: queues, streams, schedules, and events that nobody waits for."""
