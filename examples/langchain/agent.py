"""An agent that uses the tools: submits a script behind a gate, approves it, waits, reads its log.

    python examples/langchain/agent.py

It speaks as a model does, in messages with tool calls; here each call follows from the last answer
by a rule. Put `ChatOpenAI(...).bind_tools(TOOLS)` or any other chat model in the place of `decide`.
"""

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from titan_tools import TOOLS

SCRIPT = "import platform\nprint('hello from', platform.python_implementation())\n"
BY_NAME = {tool.name: tool for tool in TOOLS}


def decide(messages: list[AnyMessage]) -> AIMessage:
    """The next tool call, or the answer."""
    answers = [one.text for one in messages if isinstance(one, ToolMessage)]
    run = answers[0] if answers else ""
    steps = [
        ("titan_submit", {"name": "hello", "script": SCRIPT, "needs_approval": True}),
        ("titan_logs", {"run": run, "job": "no-such-job"}),
        ("titan_approve", {"run": run, "gate": "approve-hello", "comment": "it only says hello"}),
        ("titan_status", {"run": run, "wait_s": 60}),
        ("titan_logs", {"run": run, "job": "hello"}),
    ]
    if len(answers) == len(steps):
        return AIMessage(f"The script said: {answers[-1].strip()}")
    name, args = steps[len(answers)]
    call = {"name": name, "args": args, "id": f"call-{len(answers)}", "type": "tool_call"}
    return AIMessage("", tool_calls=[call])


def main() -> None:
    messages: list[AnyMessage] = [HumanMessage("Say hello from a worker.")]
    while True:
        said = decide(messages)
        messages.append(said)
        for call in said.tool_calls:
            answer = BY_NAME[call["name"]].invoke(call)
            print(f"{call['name']} -> {answer.text.strip()}")
            messages.append(answer)
        if not said.tool_calls:
            print(said.text)
            return


if __name__ == "__main__":
    main()
