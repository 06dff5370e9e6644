"""Messages to Customers' webhooks: signed, committed first, then posted until they have a final state."""
