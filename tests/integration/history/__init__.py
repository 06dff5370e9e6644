"""A state machine over everything that the suite does, and the model that says what must come of it."""
