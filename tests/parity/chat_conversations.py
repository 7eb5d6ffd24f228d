"""Conversations for the chat template tests: our own text."""

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Tells the weather – \"now\" & <later>.",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "Where? e.g. Zürich\nor 東京"},
            "days": {"type": "integer", "minimum": 1, "maximum": 7, "default": 1},
            "units": {"type": "string", "enum": ["C", "F", None]}}, "required": ["city"]},
        "return": {"type": "string"}}},
    {"type": "function", "function": {"name": "noop", "description": "", "parameters": {"type": "object", "properties": {}}}},
]
ARGUMENTS = {"city": "Zürich", "days": 3, "exact": True, "scale": 1.5, "big": 12345678901234567890, "none": None,
             "nested": {"b": [1, 2.0, -0.5, {"deep": ["é", "\u2028", "\\", "\"", "\t"]}], "a": {}}, "empty": []}


def call(name="get_weather", arguments=None, identifier="abcDEF123"):
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": ARGUMENTS if arguments is None else arguments}}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def system(text):
    return {"role": "system", "content": text}


def parts(*texts):
    return [{"type": "text", "text": t} for t in texts]


CONVERSATIONS = {
    "one question": {"messages": [user("What is the capital of France?")]},
    "one turn": {"messages": [user("What is the capital of France?"), assistant("Paris.")]},
    "system": {"messages": [system("You are brief."), user("Why is the sky blue?"), assistant("Rayleigh scattering.")]},
    "several turns": {"messages": [user("1 + 1?"), assistant("2"), user("And + 1?"), assistant("3"), user("Thanks!"), assistant("You're welcome.")]},
    "system, several turns, ends with a question": {"messages": [system("Answer in French."), user("Hello"), assistant("Bonjour"), user("Bye")]},
    "unicode": {"messages": [system("Ω ≈ ç √ 漢字"), user("Grüße 👋🏽 \u00a0 e\u0301 ﬁ \u200d ไทย"), assistant("Καλημέρα ς Σ — 「はい」 👩‍👩‍👧")]},
    "white space": {"messages": [user("  leading and trailing \n\n"), assistant("\n\n  code:\n\tindented\n\n"), user("\t"), assistant(" ")]},
    "empty strings": {"messages": [system(""), user(""), assistant("")]},
    "markup in content": {"messages": [user("{{ 7 * 7 }} {% if %} {# #} <|im_end|> </s>"), assistant("<b>&amp;</b> {{ x }} [INST] '\"\\")]},
    "thinking": {"messages": [user("Think."), assistant("<think>\nHm.\n</think>\n\nDone."), user("Again."), assistant("<think>\nHmm.\n</think>\n\nDone again.")]},
    "reasoning content": {"messages": [user("Think."), assistant("Done.", reasoning_content="First this,\nthen that."), user("More."), assistant("Fine.", reasoning_content="\nOnce more.\n")]},
    "thinking switched off": {"messages": [user("Quick!")], "variables": {"enable_thinking": False}},
    "tools offered": {"messages": [user("Weather in Zürich?")], "tools": TOOLS},
    "tools offered, system": {"messages": [system("Use tools."), user("Weather in Zürich?"), assistant("Which day?"), user("Today.")], "tools": TOOLS},
    "tool call": {"messages": [user("Weather?"), assistant("", tool_calls=[call()])], "tools": TOOLS},
    "tool call and result": {"messages": [user("Weather?"), assistant("", tool_calls=[call()]), {"role": "tool", "name": "get_weather", "content": "{\"t\": 21.5}", "tool_call_id": "abcDEF123"}, assistant("21.5 °C.")], "tools": TOOLS},
    "tool call with words": {"messages": [system("Use tools."), user("Weather?"), assistant("Let me look.", tool_calls=[call()]), {"role": "tool", "name": "get_weather", "content": "sunny", "tool_call_id": "abcDEF123"}, assistant("Sunny.")], "tools": TOOLS},
    "two tool calls": {"messages": [user("Both?"), assistant("", tool_calls=[call(), call("noop", {}, "123456789")]), {"role": "tool", "content": "1", "tool_call_id": "abcDEF123"}, {"role": "tool", "content": "2", "tool_call_id": "123456789"}, assistant("Done."), user("Thanks")], "tools": TOOLS},
    "tool call, content none": {"messages": [user("Weather?"), {"role": "assistant", "content": None, "tool_calls": [call()]}, {"role": "tool", "content": "ok", "tool_call_id": "abcDEF123"}, assistant("ok")]},
    "tool arguments as a string": {"messages": [user("Weather?"), assistant("", tool_calls=[call(arguments="{\"city\": \"Bern\"}")])]},
    "tool result as an object": {"messages": [user("Weather?"), assistant("", tool_calls=[call()]), {"role": "tool", "content": {"t": 1.0, "ok": True, "none": None}, "tool_call_id": "abcDEF123"}]},
    "tool call without an id": {"messages": [user("Weather?"), assistant("", tool_calls=[{"type": "function", "function": {"name": "f", "arguments": {}}}])]},
    "bare tool call": {"messages": [user("Weather?"), assistant("", tool_calls=[{"name": "f", "arguments": {"a": 1}}])]},
    "content in parts": {"messages": [user(parts("One.", " Two ")), assistant(parts("Three")), user(parts()), assistant(parts("Four", "Five"))]},
    "system in parts": {"messages": [{"role": "system", "content": parts("Be", " kind.")}, user(parts("Hello")), assistant(parts("Hi"))]},
    "image": {"messages": [user([{"type": "image"}, {"type": "text", "text": "What is this?"}]), assistant("A cat.")]},
    "two users in a row": {"messages": [user("a"), user("b"), assistant("c")]},
    "assistant first": {"messages": [assistant("Welcome."), user("Hi")]},
    "system in the middle": {"messages": [user("a"), assistant("b"), system("Now shout."), user("c"), assistant("D")]},
    "unknown role": {"messages": [user("a"), {"role": "critic", "content": "b"}]},
    "no content": {"messages": [user("a"), {"role": "assistant"}]},
    "no messages": {"messages": []},
    "more keys": {"messages": [{"role": "user", "content": "a", "name": "Ann", "weight": 0}, {"role": "assistant", "content": "b", "weight": 1.0}]},
    "custom tools": {"messages": [user("Weather?")], "variables": {"custom_tools": TOOLS, "tools_in_user_message": False, "date_string": "1 Jan 2020"}},
}
