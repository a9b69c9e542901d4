"""Storage as the client reads it: one protocol over a folder and over Azure Blob Storage. It knows no file formats."""
