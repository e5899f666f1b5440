"""Models that Assay ships a reader for."""
