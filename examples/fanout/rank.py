"""Reduce: all pages, those with the longest words first."""

import sys

from titan.sdk import current

me = current()
pages = [me.client.get_output(job, me.run) for job in sys.argv[1:]]
pages.sort(key=lambda page: (-page["letters"] / page["words"], page["page"]))
for page in pages:
    print(
        f"{page['letters'] / page['words']:5.2f} letters a word  {page['words']:>5} words  {page['page']}"
    )
print(f"{sum(page['words'] for page in pages)} words in {len(pages)} pages")
