"""Nobody let it through: forget the archive."""

from titan.sdk import TitanClient, current

with TitanClient() as client:
    client.store_delete(f"release/{current().run}")
print("thrown away")
