"""Who starts workers for a pool: processes on this machine, or whatever answers a webhook."""
