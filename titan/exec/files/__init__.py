"""Files on the worker: fetching, caching, placing, collecting and uploading them.

Blobs come from and go to any master, by connections of their own (`links.py`); nothing here decides what
an attempt's end means.
"""
