"""The retention service: deletion at a Customer's request, receipts, and the transparency log."""
