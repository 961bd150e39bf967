"""Say how well the line was found."""

import json

from titan.sdk import current

me = current()
slope, offset = json.loads(me.client.store_get(f"gpu/{me.run}/model"))
print(f"y = {slope:.2f} x + {offset:.2f}")
losses = [str(item.value) for item in me.client.store_list(f"gpu/{me.run}/loss/")]
print("loss:", " -> ".join(losses))
