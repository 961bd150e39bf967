"""The command line: one file per noun, each imported only when its command is used.

Start at `main.py`. Nothing here knows how masters or workers work; it starts them and asks them.
"""
