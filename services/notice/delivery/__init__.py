"""Versions told to every Customer: deliveries, the gate that waits for them, bounces, acknowledgements."""
