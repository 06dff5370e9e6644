"""`expire_day`: placeholder until written."""
