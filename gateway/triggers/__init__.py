"""What invokes functions beside the APIs: queues and schedules."""
