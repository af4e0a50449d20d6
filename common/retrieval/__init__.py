"""Images and captions to frozen embeddings, and embeddings to ranks. Imports the ground alone."""
