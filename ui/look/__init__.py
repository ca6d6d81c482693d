"""What every part of the page looks like: colours, header, notes, and how its files are served."""
