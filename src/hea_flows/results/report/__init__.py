"""The report's page: its inputs, tables and figures."""
