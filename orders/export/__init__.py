"""The CSV files: which rows, how each cell is written, and the file they make."""
