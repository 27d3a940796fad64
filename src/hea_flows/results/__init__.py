"""Reading back: queries, report, figures, export."""
