"""Bring together what the two sides of the diamond have found."""

from titan.sdk import current

me = current()
words = me.client.get_output("words", me.run)
sentences = me.client.get_output("sentences", me.run)
print(f"{words['words']} words in {sentences['sentences']} sentences")
print(f"the longest sentence has {sentences['longest']} words")
print("long words:", ", ".join(f"{word} ({count})" for word, count in words["long"]))
