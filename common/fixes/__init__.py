"""Training-free methods and their honest measurement. Imports ground, retrieval and labels."""
