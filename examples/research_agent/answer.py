"""Write the answer from what all searchers have found, with sources."""

import sys

import thinking

from titan.sdk import current

question, *terms = sys.argv[1:]
me = current()
found = {
    term: me.client.get_output(f"search-{term}", me.run) or [] for term in dict.fromkeys(terms)
}
text = thinking.answer(question, found)
me.set_output(text)
print(text)
