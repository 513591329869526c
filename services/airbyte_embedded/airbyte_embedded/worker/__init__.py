"""What runs in a job's own process, on the worker's Python with PyAirbyte. The service never imports this."""
