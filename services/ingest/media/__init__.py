"""What ingest demands of face images and identity documents, and what it takes out of them."""
