"""Mail to Customers: composed and committed first, then sent until it has a final state."""
