"""Fit a line by gradient descent, where a GPU would be; each report of the loss goes to the store."""

import json
import os

from titan.sdk import current

me = current()
assert "GPU" in os.environ["TITAN_CAPABILITIES"].split(",")
points = json.loads(me.client.store_get(f"gpu/{me.run}/points"))
slope = offset = 0.0
for epoch in range(1, 501):
    errors = [(x, slope * x + offset - y) for x, y in points]
    slope -= 0.3 * sum(error * x for x, error in errors) / len(errors)
    offset -= 0.3 * sum(error for _, error in errors) / len(errors)
    if epoch % 100 == 0:
        loss = sum(error**2 for _, error in errors) / len(errors)
        me.progress(epoch / 500, f"loss {loss:.4f}")
        me.client.store_put(f"gpu/{me.run}/loss/{epoch:03}", f"{loss:.4f}", ttl_s=3600)
with me.commit() as c:
    c.store_put(f"gpu/{me.run}/model", json.dumps([slope, offset]), ttl_s=3600)
    c.store_incr("gpu/models-trained")
