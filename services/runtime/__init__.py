"""What every process of the suite runs on; it knows no service."""
