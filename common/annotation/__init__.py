"""What annotators get: pages, pictures, folders. Imports ground, retrieval and labels."""
