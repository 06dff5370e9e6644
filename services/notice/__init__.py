"""The notice service: versions of the privacy notice, their terms, and the public page."""
