"""Speed of single parts, each a script that prints a Markdown table and writes JSON."""
