"""Turn the question into search terms, and send a searcher for each of them."""

import json
import sys

import model
import thinking

from titan.sdk import TitanJob, current

here, question, *library = sys.argv[1:]
me = current()
terms = thinking.terms(question)
print(f"to be searched: {', '.join(terms)}")
me.client.store_put(f"research/{me.run}/library", json.dumps(library), ttl_s=3600)
searches = [TitanJob(f"search-{term}", "search.py", args=[term], bundle=here) for term in terms]
review = TitanJob(
    "review",
    "review.py",
    args=[here, question, *terms],
    parents=[job.id for job in searches],
    bundle=here,
    env=model.settings(),
)
me.submit([*searches, review])
