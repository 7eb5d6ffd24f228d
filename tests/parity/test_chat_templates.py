"""Chat templates: our rendering against transformers', byte for byte.

    CADRE_BUILD=build .venv/bin/python -m unittest discover -s tests/parity -p 'test_chat*.py'

Templates of other models are read from ../shared/data/chat_templates, where that exists; the language itself is
compared on snippets (chat_snippets.py) in the environment that transformers sets up.
"""

import datetime
import json
import os
import pathlib
import subprocess
import sys
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from transformers.utils import chat_template_utils

import chat_conversations
import chat_snippets

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEMPLATES = ROOT.parent / "shared" / "data" / "chat_templates"
PROBE = pathlib.Path(os.environ.get("CADRE_BUILD", ROOT / "build")) / "probe_chat"
PROBE = PROBE if PROBE.exists() else next(iter(sorted(PROBE.parent.rglob("probe_chat"))), PROBE)
DATE = "2024-07-06"
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


class FixedDate(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromisoformat(DATE)


class Probe:
    """Our renderer, in a process of its own."""

    def __enter__(self):
        self.process = subprocess.Popen([PROBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(timeout=20)
        self.process.stdout.close()

    def render(self, template, messages, tools=None, prompt=False, variables=None):
        query = {"template": template, "messages": messages, "tools": tools, "add_generation_prompt": prompt,
                 "tokens": TOKENS, "date": DATE, "variables": variables or {}}
        self.process.stdin.write(json.dumps(query).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the probe died on {template!r}")
        answer = json.loads(line)
        if answer.get("error", "").startswith("INTERNAL"):
            raise AssertionError(answer["error"])
        return answer


def reference(template, messages, tools=None, prompt=False, variables=None, mask=False):
    """What transformers renders, and the character ranges of generation blocks; None where it raises."""
    chat_template_utils.datetime = FixedDate
    try:
        texts, indices = chat_template_utils.render_jinja_template(
            [messages], tools=tools, chat_template=template, return_assistant_tokens_mask=mask,
            add_generation_prompt=prompt, **TOKENS, **(variables or {}))
    except Exception:
        return None
    finally:
        chat_template_utils.datetime = datetime.datetime
    try:
        texts[0].encode()
    except UnicodeEncodeError:
        return None
    return (texts[0], indices[0] if mask else None)


def load(name):
    return (TEMPLATES / name).read_text(encoding="utf-8")


@unittest.skipUnless(PROBE.exists(), f"no probe at {PROBE}")
class LanguageTest(unittest.TestCase):
    def test_snippets(self):
        differences = []
        with Probe() as probe:
            for snippet in chat_snippets.SNIPPETS:
                expected = reference(snippet, chat_snippets.MESSAGES, chat_snippets.TOOLS, False, chat_snippets.VARIABLES)
                ours = probe.render(snippet, chat_snippets.MESSAGES, chat_snippets.TOOLS, False, chat_snippets.VARIABLES)
                wanted = None if expected is None else expected[0]
                if ours.get("text") != wanted:
                    differences.append(f"{snippet!r}\n    expected {wanted!r}\n    found    {ours.get('text')!r} {ours.get('error', '')}")
        self.assertFalse(differences, f"{len(differences)} differ:\n" + "\n".join(differences))
        self.assertGreaterEqual(len(chat_snippets.SNIPPETS), 150)

    def test_snippets_mean_something(self):
        """A table in which everything is an error would pass the test above."""
        fine = [s for s in chat_snippets.SNIPPETS
                if reference(s, chat_snippets.MESSAGES, chat_snippets.TOOLS, False, chat_snippets.VARIABLES) is not None]
        self.assertGreater(len(fine), 400)
        self.assertGreater(len(chat_snippets.SNIPPETS) - len(fine), 60)

    def test_not_implemented_is_named(self):
        with Probe() as probe:
            for snippet, word in chat_snippets.NOT_IMPLEMENTED:
                error = probe.render(snippet, chat_snippets.MESSAGES, None, False, chat_snippets.VARIABLES).get("error", "")
                self.assertIn(word, error, snippet)
                self.assertRegex(error, r"^template:\d+: ", snippet)

    def test_strings_of_every_character(self):
        """upper, lower, title, strip, repr and tojson of all scalar values, in chunks."""
        scalars = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
        template = ("{% for m in messages %}{% set c = m.content %}{{ [c, c|tojson, c|tojson(ensure_ascii=true), c|upper, "
                    "c|lower, c.title(), c|title, c|capitalize, c.swapcase(), c.casefold(), c|trim, c|length, c[::-1]] }}"
                    "{% endfor %}")
        classes = ("{% for c in messages[0].content %}{% for b in [c.isspace(), c.isalpha(), c.isdigit(), c.isdecimal(), "
                   "c.isnumeric(), c.isalnum(), c.isupper(), c.islower(), c.istitle(), c.isprintable()] %}"
                   "{{ b|int }}{% endfor %}{% endfor %}")
        chunk = 8192
        with Probe() as probe:
            for start in range(0, len(scalars), chunk):
                part = scalars[start:start + chunk]
                if start < 0x20000 or start >= 0xE0000 and start < 0xE2000:
                    pieces = ["".join(part), "A Σ".join(part)]
                    messages = [{"role": "user", "content": piece} for piece in pieces]
                    self.assertEqual(probe.render(template, messages).get("text"), reference(template, messages)[0], hex(start))
                messages = [{"role": "user", "content": "".join(part)}]
                # Against Python itself: Jinja's loops over a million characters take a minute.
                expected = "".join("".join("01"[b] for b in (
                    c.isspace(), c.isalpha(), c.isdigit(), c.isdecimal(), c.isnumeric(), c.isalnum(), c.isupper(),
                    c.islower(), c.istitle(), c.isprintable())) for c in part)
                self.assertEqual(probe.render(classes, messages).get("text"), expected, hex(start))

    def test_numbers(self):
        import random
        import struct
        generator = random.Random(7)
        numbers = [struct.unpack("d", struct.pack("Q", generator.getrandbits(64)))[0] for _ in range(3000)]
        numbers = [x for x in numbers if x == x and abs(x) != float("inf")]
        numbers += [generator.uniform(-1000, 1000) for _ in range(1000)] + [round(generator.uniform(0, 100), 2) for _ in range(1000)]
        numbers += [10.0 ** e for e in range(-20, 25)] + [0.0, -0.0, 5e-324, 1.7976931348623157e308, 1e16, 123456789012345680.0]
        template = "{% for x in messages[0].content %}{{ x }} {{ x|tojson }} {{ x|round(2) }} {{ '%.3f %e %g'|format(x, x, x) }}\n{% endfor %}"
        as_text = [{"role": "user", "content": [repr(x) for x in numbers]}]
        template = template.replace("messages[0].content", "messages[0].content|map('float')|list")
        with Probe() as probe:
            self.assertEqual(probe.render(template, as_text).get("text"), reference(template, as_text)[0])
            # And as JSON: parse_exactly reads what Python reads.
            read = [{"role": "user", "content": numbers + [2 ** 63 - 1, -2 ** 63, 2 ** 64 - 1, 0, 1]}]
            template = "{{ messages[0].content }}"
            self.assertEqual(probe.render(template, read).get("text"), reference(template, read)[0])

    def test_dates(self):
        directives = "%a %A %b %B %d %-d %e %m %-m %y %Y %H %I %M %S %p %j %-j %U %W %V %G %u %w %D %F %T %R %c %x %X %% %h %C"
        template = "{{ strftime_now('" + directives + "') }}"
        with Probe() as probe:
            for date in ["2024-07-06", "2023-01-01", "2024-02-29", "2020-12-31", "2021-01-03", "2026-11-24", "1999-10-09"]:
                with mock.patch(f"{__name__}.DATE", date):
                    self.assertEqual(probe.render(template, []).get("text"), reference(template, [])[0], date)


@unittest.skipUnless(PROBE.exists(), f"no probe at {PROBE}")
@unittest.skipUnless(TEMPLATES.exists(), "../shared/data/chat_templates is not there")
class TemplateTest(unittest.TestCase):
    def test_every_template_on_every_conversation(self):
        rendered = raised = 0
        with Probe() as probe:
            for path in sorted(TEMPLATES.glob("*.jinja")):
                template = path.read_text(encoding="utf-8")
                fine = 0
                for name, conversation in chat_conversations.CONVERSATIONS.items():
                    for prompt in (False, True):
                        for tools in (conversation.get("tools"), None):
                            with self.subTest(template=path.name, conversation=name, prompt=prompt, tools=tools is not None):
                                arguments = (template, conversation["messages"], tools, prompt, conversation.get("variables"))
                                expected = reference(*arguments)
                                ours = probe.render(*arguments)
                                self.assertEqual(ours.get("text"), None if expected is None else expected[0], ours.get("error"))
                                fine += expected is not None
                                raised += expected is None
                self.assertGreaterEqual(fine, 10, f"{path.name} renders too few conversations to tell anything")
                rendered += fine
        print(f"\n{rendered} renderings equal, {raised} raised by both", file=sys.stderr)

    def test_generation_blocks(self):
        template = load("phi_4.jinja")
        extra = "{% for message in messages %}[{{ message.role }}]{% if message.role == 'assistant' %}{% generation %}" \
                "{{ message.content | trim }}{% for t in message.tool_calls or [] %}<call>{{ t | tojson }}</call>{% endfor %}" \
                "<end>{% endgeneration %}{% else %}{{ message.content }}{% endif %}\n{% endfor %}"
        checked = 0
        with Probe() as probe:
            for source in (template, extra):
                for name, conversation in chat_conversations.CONVERSATIONS.items():
                    expected = reference(source, conversation["messages"], None, False, None, mask=True)
                    ours = probe.render(source, conversation["messages"])
                    if expected is None:
                        self.assertIn("error", ours)
                        continue
                    text, indices = expected
                    self.assertTrue(ours["from_generation_blocks"])
                    in_bytes = [(len(text[:a].encode()), len(text[:b].encode())) for a, b in indices if b > a]
                    self.assertEqual([tuple(span[:2]) for span in ours["spans"]], in_bytes, name)
                    for begin, end, message in ours["spans"]:
                        self.assertEqual(conversation["messages"][message]["role"], "assistant")
                        checked += 1
        self.assertGreater(checked, 30)

    def test_spans_hold_the_content(self):
        """What a plain assistant message says is what its spans say; nothing else is marked as its."""
        checked = 0
        with Probe() as probe:
            for path in sorted(TEMPLATES.glob("*.jinja")):
                template = path.read_text(encoding="utf-8")
                for name, conversation in chat_conversations.CONVERSATIONS.items():
                    ours = probe.render(template, conversation["messages"], conversation.get("tools"))
                    if "error" in ours or ours["from_generation_blocks"]:
                        continue
                    text = ours["text"].encode()
                    for i, message in enumerate(conversation["messages"]):
                        content = message.get("content")
                        if not isinstance(content, str) or message.get("tool_calls") or "reasoning_content" in message or "</think>" in content or set(message) - {"role", "content"}:
                            continue
                        found = b"".join(text[b:e] for b, e, m in ours["spans"] if m == i).decode()
                        if message["role"] == "assistant":
                            self.assertEqual(found.strip(), content.strip(), f"{path.name}: {name}: message {i}")
                            checked += 1
                        else:
                            # Left out, rendered once, or as the JSON of its string.
                            self.assertIn(found.strip(), {"", content.strip(), json.dumps(content, ensure_ascii=False)}, path.name)
        self.assertGreater(checked, 100)

    def test_turns(self):
        """Where the turn of an assistant begins and ends, for the shapes that templates have."""
        chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"},
                {"role": "user", "content": "Bye"}, {"role": "assistant", "content": "Ciao"}]
        call = [{"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "", "tool_calls": [{"id": "abcdefghi", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]}]
        cases = [
            ("chatml", chat, [("Hello!", "<|im_end|>"), ("Ciao", "<|im_end|>")]),
            ("llama3", chat, [("Hello!", "<|eot_id|>"), ("Ciao", "<|eot_id|>")]),
            ("gemma", chat, [("Hello!", "<end_of_turn>"), ("Ciao", "<end_of_turn>")]),
            ("gemma3", chat, [("Hello!", "<end_of_turn>"), ("Ciao", "<end_of_turn>")]),
            ("alpaca", chat, [("Hello!", "</s>"), ("Ciao", "</s>")]),
            ("deepseek_v2", chat, [("Hello!", "</s>"), ("Ciao", "</s>")]),
            ("falcon_h1", chat, [("Hello!", "<|im_end|>"), ("Ciao", "<|im_end|>")]),
            ("mistral_v1", chat, [(" Hello!", "</s>"), (" Ciao", "</s>")]),
            ("mistral_v2v3", chat, [(" Hello!", "</s>"), (" Ciao", "</s>")]),
            ("mistral_v3_tekken", chat, [("Hello!", "</s>"), ("Ciao", "</s>")]),
            ("phi_3", chat, [("Hello!", "<|end|>"), ("Ciao", "<|end|>")]),
            ("phi_35", chat, [("Hello!", "<|end|>"), ("Ciao", "<|end|>")]),
            ("phi_4", chat, [("Hello!", "<|im_end|>"), ("Ciao", "<|im_end|>")]),
            ("qwen_25", chat, [("Hello!", "<|im_end|>"), ("Ciao", "<|im_end|>")]),
            ("qwen3", chat, [("Hello!", "<|im_end|>"), ("</think>\n\nCiao", "<|im_end|>")]),
            ("llama3_2_vision", chat, [("Hello!", "<|eot_id|>"), ("Ciao", "<|eot_id|>")]),
            ("qwen_25", call, [("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>", "<|im_end|>")]),
            ("qwen3", call, [("</think>\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>", "<|im_end|>")]),
            ("mistral_v3_tekken", call, [("[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"x\": 1}, \"id\": \"abcdefghi\"}]", "</s>")]),
            ("llama3_2_vision", call, [("{\"name\": \"f\", \"parameters\": {\"x\": 1}}", "<|eot_id|>")]),
            ("chatml", [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": ""}], [("", "<|im_end|>")]),
        ]
        with Probe() as probe:
            for name, messages, expected in cases:
                ours = probe.render(load(name + ".jinja"), messages)
                text = ours["text"].encode()
                found = [(text[begin:marker].decode(), text[marker:end].decode())
                         for message, begin, _, marker, end in ours["turns"] if messages[message]["role"] == "assistant"]
                self.assertEqual(found, expected, name)


if __name__ == "__main__":
    unittest.main()
