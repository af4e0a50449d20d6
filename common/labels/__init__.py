"""What people say of failures: the labels, the sheets, and one label each. Imports ground and retrieval."""
