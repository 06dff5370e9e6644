"""The storage service: alone holds keys, rows and objects; seals, reads with a purpose, erases and expires."""
