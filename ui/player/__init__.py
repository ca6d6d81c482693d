"""The video on the page, and the messages that it plays."""
