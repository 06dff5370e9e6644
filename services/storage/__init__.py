"""The storage service: alone holds keys, rows and objects; seals, reads, erases and expires."""
