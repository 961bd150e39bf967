"""See what was found; send for what was missed, by the stems of the words; then comes the answer."""

import sys

import model
import thinking

from titan.sdk import TitanJob, current

here, question, *terms = sys.argv[1:]
me = current()
missed = [term for term in terms if not me.client.get_output(f"search-{term}", me.run)]
stems = {term: thinking.stem(term) for term in missed if thinking.stem(term) not in terms}
again = [
    TitanJob(f"search-{stem}", "search.py", args=[stem], bundle=here)
    for stem in sorted(set(stems.values()))
]
print(f"to be searched again: {stems}" if stems else "every term was found")
answer = TitanJob(
    "answer",
    "answer.py",
    args=[question, *(stems.get(term, term) for term in terms)],
    parents=[me.job, *(job.id for job in again)],
    bundle=here,
    env=model.settings(),
)
me.submit([*again, answer])
