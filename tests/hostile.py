"""Titles that would be markup where text is not escaped."""

MARKUP = "<img src=x onerror=alert(1)>"
ENDING = "</script><script>alert(2)</script>"
