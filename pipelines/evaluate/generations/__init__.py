"""What changes when another generation of an index is served: measured on what is stored, before it is published."""
