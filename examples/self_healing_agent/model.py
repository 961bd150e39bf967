"""A real model, when `TITAN_EXAMPLE_MODEL` names one: any server that speaks OpenAI's chat completions.

    TITAN_EXAMPLE_MODEL       its base URL, for example http://127.0.0.1:11434/v1
    TITAN_EXAMPLE_MODEL_NAME  the model to ask for; "default" when it is not set
    TITAN_EXAMPLE_KEY_FILE    a file on the workers that holds the key, if one is needed

Only the path of the key travels with a job: what a job declares is kept in the cluster's log.
"""

import json
import os
import urllib.request
from pathlib import Path

NAMES = ("TITAN_EXAMPLE_MODEL", "TITAN_EXAMPLE_MODEL_NAME", "TITAN_EXAMPLE_KEY_FILE")
TIMEOUT_S = 120


def settings() -> dict[str, str]:
    """What a job needs in its environment to ask the same model."""
    return {name: os.environ[name] for name in NAMES if os.environ.get(name)}


def ask(prompt: str) -> str | None:
    """The model's answer; None when no model is set, and the planner of the example is to think."""
    base = os.environ.get("TITAN_EXAMPLE_MODEL")
    if not base:
        return None
    body = {
        "model": os.environ.get("TITAN_EXAMPLE_MODEL_NAME", "default"),
        "messages": [{"role": "user", "content": prompt}],
    }
    headers = {"Content-Type": "application/json"}
    if key_file := os.environ.get("TITAN_EXAMPLE_KEY_FILE"):
        headers["Authorization"] = f"Bearer {Path(key_file).read_text().strip()}"
    url = f"{base.rstrip('/')}/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return str(json.load(answer)["choices"][0]["message"]["content"])
