"""What we measure ourselves against: ``make bench`` runs it and writes the table in docs/performance.md."""
