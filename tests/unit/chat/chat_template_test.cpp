#include "trainer/chat/chat_template.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <string>

#include "runtime/error.h"

namespace cadre::chat {
namespace {

namespace json = boost::json;

constexpr const char* kChatMl =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
    "'\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

Rendered render(std::string_view source, const char* messages, const RenderOptions& options = {}) {
  return ChatTemplate(source, "t").render(json::parse(messages), {}, options);
}

std::string text(std::string_view source, const char* messages = "[]") {
  return render(source, messages).text;
}

std::string error_of(std::string_view source, const char* messages = "[]") {
  try {
    return "no error, but: " + text(source, messages);
  } catch (const runtime::UserError& error) {
    return error.what();
  }
}

std::string spans_of(const Rendered& rendered) {
  std::string out;
  for (const MessageSpan& span : rendered.spans) {
    out += std::to_string(span.message) + "<" + rendered.text.substr(span.begin, span.end - span.begin) + ">";
  }
  return out;
}

std::string turns_of(const Rendered& rendered) {
  std::string out;
  for (const Turn& turn : rendered.turns) {
    const auto part = [&](std::size_t begin, std::size_t end) { return rendered.text.substr(begin, end - begin); };
    out += std::to_string(turn.message) + "<" + part(turn.begin, turn.content_end) + "|" +
           part(turn.content_end, turn.marker) + "|" + part(turn.marker, turn.end) + ">";
  }
  return out;
}

constexpr const char* kChat = R"([{"role":"user","content":"Hi"},{"role":"assistant","content":" Ho é "}])";

TEST(ChatTemplate, RendersAsJinjaDoes) {
  EXPECT_EQ(text("  {% if true %}\n{{ 1.0 }}\n  {% endif %}\nx\n"), "1.0\nx");
  EXPECT_EQ(text("{{ [1, 'a', none, true, 2.5, {'k': ()}] }}"), "[1, 'a', None, True, 2.5, {'k': ()}]");
  EXPECT_EQ(text("{% for i in range(3) %}{{ loop.index }}{{ ',' if not loop.last }}{% endfor %}"), "1,2,3");
  EXPECT_EQ(text("{% macro m(a, b=2) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, b='x') }}"), "121x");
  EXPECT_EQ(text("{{ {'a': [1, 'é\"']}|tojson }}"), R"({"a": [1, "é\""]})");
  EXPECT_EQ(text("{{ '%s-%d' % ('a', 3) }}{{ 'Straße'|upper }}{{ 'abc'[::-1] }}"), "a-3STRASSEcba");
}

TEST(ChatTemplate, UndefinedPrintsNothingAndHasNoAttributes) {
  EXPECT_EQ(text("[{{ x }}]"), "[]");
  EXPECT_EQ(error_of("a\n{{ x.y }}"), "t:2: 'x' is undefined");
}

TEST(ChatTemplate, SpansFollowContentThroughFilters) {
  EXPECT_EQ(spans_of(render(kChatMl, kChat)), "0<Hi>1< Ho é >");
  EXPECT_EQ(spans_of(render("{% for m in messages %}[{{ m.content|trim|upper }}]{% endfor %}", kChat)), "0<HI>1<HO É>");
  EXPECT_EQ(spans_of(render("{{ messages|map(attribute='content')|join('+')|replace('o', '00') }}", kChat)),
            "0<Hi>1< H>1< é >");
  EXPECT_EQ(spans_of(render("{{ messages[1].content[1:3] ~ messages[0].content }}", kChat)), "1<Ho>0<Hi>");
  EXPECT_EQ(spans_of(render(
                "{% set x %}a{{ messages[1].content }}b{% endset %}{{ '%s|%5s' % (x, messages[0].content) }}", kChat)),
            "1< Ho é >0<Hi>");
  EXPECT_EQ(spans_of(render("{{ messages[1].content|tojson }}{{ messages[0].content.split('i')|first }}", kChat)),
            "1<\" Ho é \">0<H>");
  EXPECT_EQ(spans_of(render("{{ messages[0].role }}", kChat)), "");
}

TEST(ChatTemplate, SpansHoldToolCalls) {
  const char* chat =
      R"([{"role":"assistant","content":"","tool_calls":[{"name":"f","arguments":{"x":1,"y":[true,null]}}]}])";
  EXPECT_EQ(
      spans_of(render("{{ messages[0].tool_calls[0].name }}({{ messages[0].tool_calls[0].arguments|tojson }})", chat)),
      R"(0<f>0<{"x": 1, "y": [true, null]}>)");
}

TEST(ChatTemplate, TurnsEndAfterTheMarker) {
  EXPECT_EQ(turns_of(render(kChatMl, kChat)), "0<Hi||<|im_end|>>1< Ho é ||<|im_end|>>");
  EXPECT_EQ(turns_of(render(kChatMl, R"([{"role":"assistant","content":""}])")), "0<||<|im_end|>>");
  // Without a generation prompt, what stands before the content is the model's unless it names the role.
  EXPECT_EQ(turns_of(render("{% for m in messages %}{{ ' ' + m.content + eos_token }}{% endfor %}", kChat,
                            {.eos_token = "</s>"})),
            "0<Hi||</s>>1<  Ho é ||</s>>");
  EXPECT_EQ(turns_of(render("{% for m in messages %}<{{ m.role }}>{{ m.content }}<e>\n{% endfor %}", kChat)),
            "0<Hi||<e>>1< Ho é ||<e>>");
  // A prompt that only follows a user's message.
  EXPECT_EQ(turns_of(render("{% for m in messages %}[{{ m.role }}]<t>{{ m.content }}<e>{% endfor %}"
                            "{% if add_generation_prompt and messages[-1].role == 'user' %}[assistant]{% endif %}",
                            kChat)),
            "0<Hi||<e>>1<<t> Ho é ||<e>>");
}

TEST(ChatTemplate, GenerationBlocksAreTheSpans) {
  const Rendered rendered = render(
      "{% for m in messages %}{% if m.role == 'assistant' %}A:{% generation %}{{ m.content }}<e>{% endgeneration %}"
      "{% else %}{{ m.content }}{% endif %}\n{% endfor %}",
      kChat);
  EXPECT_TRUE(rendered.from_generation_blocks);
  EXPECT_EQ(spans_of(rendered), "1< Ho é <e>>");
  EXPECT_EQ(turns_of(rendered), "1< Ho é ||<e>>");
}

TEST(ChatTemplate, RenderedTwiceIsMarkedTwice) {
  EXPECT_EQ(spans_of(render("{{ messages[0].content }}-{{ messages[0].content }}", kChat)), "0<Hi>0<Hi>");
}

TEST(ChatTemplate, ErrorsNameLineAndConstruct) {
  EXPECT_EQ(error_of("\n\n{% include 'x' %}"), "t:3: {% include %} is not available in a chat template");
  EXPECT_EQ(error_of("{{ 1|nope }}"), "t:1: there is no filter named 'nope'");
  EXPECT_EQ(error_of("{{ 1 is nope }}"), "t:1: there is no test named 'nope'");
  EXPECT_EQ(error_of("{{ 'a'.encode() }}"), "t:1: method 'encode' of str is not implemented");
  EXPECT_EQ(error_of("\n{{ raise_exception('no system role') }}"),
            "t:2: the template rejects this conversation: no system role");
  EXPECT_EQ(error_of("{{ strftime_now('%Y') }}"),
            "t:1: strftime_now needs a date: set chat_template_date to YYYY-MM-DD");
  EXPECT_EQ(error_of("", "{}"), "t: expected messages to be an array of objects");
  EXPECT_EQ(error_of("", "[1]"), "t: expected message 0 to be an object");
  EXPECT_EQ(error_of("\xff"), "t:1: the template is not UTF-8");
}

// Each ends in an error, soon.
TEST(ChatTemplate, HostileTemplatesEnd) {
  const std::string deep(5000, '('), chain = [] {
    std::string out = "x";
    for (int i = 0; i < 5000; ++i) out += ".x";
    return out;
  }();
  const std::string sources[] = {
      "{{ 'x' * 10000000000 }}",
      "{{ [0] * 10000000000 }}",
      "{{ range(10000000000) }}",
      "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
      "{% set ns = namespace(s='x') %}{% for a in range(100000) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      "{% set ns = namespace(s=[]) %}{% for a in range(100000) %}{% set ns.s = [ns.s] %}{% endfor %}",
      "{% set ns = namespace(s=none) %}{% for a in range(100000) %}{% for b in [ns.s] %}{% set ns.s = loop %}{% endfor "
      "%}{% endfor %}",
      "{% set ns = namespace() %}{% set ns.s = ns %}{{ ns }}",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
      "{% for a in range(100000) %}{{ 'x' * 1000000 }}{% endfor %}",
      "{{ 'a'|center(100000000000) }}",
      "{{ '%1000000000d' % 1 }}",
      "{{ '{:1000000000}'.format(1) }}",
      "{{ ('x' * 60000000)|replace('', 'yyyyyyyy') }}",
      "{{ ('\\n' * 60000000)|indent(1000) }}",
      "{{ 2 ** 100000000000 }}",
      "{{ " + deep + "1" + std::string(5000, ')') + " }}",
      "{{ " + chain + " }}",
      "{{ " + std::string(100000, '[') + " }}",
      "{{ " + std::string(100000, '-') + "1 }}",
      [] {
        std::string s;
        for (int i = 0; i < 5000; ++i) s += "{% if 1 %}";
        return s;
      }(),
      [] {
        std::string s = "{{ 1 ";
        for (int i = 0; i < 5000; ++i) s += "if 1 else 2 ";
        return s + "}}";
      }(),
      [] {
        std::string s = "{{ ";
        for (int i = 0; i < 5000; ++i) s += "not ";
        return s + "1 }}";
      }(),
  };
  for (const std::string& source : sources) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(error_of(source).starts_with("no error")) << source.substr(0, 80);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30)) << source.substr(0, 80);
  }
}

}  // namespace
}  // namespace cadre::chat
