"""Tables, figures and one document. Imports ground, retrieval, labels and annotation, not fixes."""
