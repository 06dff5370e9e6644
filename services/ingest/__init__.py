"""The door for Customers and their SDKs: it admits, checks, strips and hands on, and keeps nothing."""
