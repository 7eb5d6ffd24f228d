#include "trainer/chat/markup.h"

#include <charconv>
#include <utility>

#include "runtime/error.h"
#include "trainer/chat/characters.h"
#include "trainer/chat/text_functions.h"

namespace cadre::chat {
namespace {

constexpr std::pair<std::string_view, std::string_view> kEntities[] = {
    {"&amp;", "&"},  {"&lt;", "<"},  {"&gt;", ">"},       {"&quot;", "\""},
    {"&#34;", "\""}, {"&#39;", "'"}, {"&nbsp;", "\u00A0"}};

Text unescape_html(const Text& text) {
  Text out;
  std::size_t plain = 0;
  const std::string_view bytes = text.view();
  for (std::size_t at = bytes.find('&'); at != std::string_view::npos; at = bytes.find('&', at + 1)) {
    const std::size_t end = bytes.find(';', at);
    if (end == std::string_view::npos) break;
    const std::string_view entity = bytes.substr(at, end - at + 1);
    std::string_view resolved;
    for (const auto& [name, character] : kEntities) {
      if (name == entity) resolved = character;
    }
    if (resolved.empty()) {
      if (entity.find_first_of(" <&", 1) != std::string_view::npos) continue;
      throw Failure(runtime::say("the HTML entity '", entity, "' is not implemented in striptags"));
    }
    out.append(text, plain, at);
    out.append(resolved, text.origin_at(at));
    plain = end + 1;
  }
  out.append(text, plain, bytes.size());
  return out;
}

// Everything from `open` to the next `close` after it taken out, again and again.
Text remove_between(const Text& text, std::string_view open, std::string_view close) {
  const std::string_view bytes = text.view();
  Text out;
  std::size_t plain = 0;
  for (;;) {
    const std::size_t begin = bytes.find(open, plain);
    const std::size_t end = begin == std::string_view::npos ? begin : bytes.find(close, begin + open.size());
    if (end == std::string_view::npos) break;
    out.append(text, plain, begin);
    plain = end + close.size();
  }
  out.append(text, plain, bytes.size());
  return out;
}

}  // namespace

Text escape_html(const Text& text) {
  Budget::allocate(text.size());
  Text out;
  std::size_t plain = 0;
  const std::string_view bytes = text.view();
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string_view escaped;
    switch (bytes[at]) {
      case '&':
        escaped = "&amp;";
        break;
      case '<':
        escaped = "&lt;";
        break;
      case '>':
        escaped = "&gt;";
        break;
      case '"':
        escaped = "&#34;";
        break;
      case '\'':
        escaped = "&#39;";
        break;
      default:
        continue;
    }
    out.append(text, plain, at);
    out.append(escaped, text.origin_at(at));
    if (out.size() > Budget::kMaxText) Budget::allocate(out.size());
    plain = at + 1;
  }
  out.append(text, plain, bytes.size());
  return out;
}

Value markup(Text text) {
  Value value = Value::string(std::move(text));
  value.as<StringObject>().escaped = true;
  return value;
}

Value concatenate_markup(const Value& left, const Value& right) {
  const auto part = [](const Value& value) {
    return value.as<StringObject>().escaped ? value.as_text() : escape_html(value.as_text());
  };
  Text out = part(left);
  const Text second = part(right);
  Budget::allocate(out.size() + second.size());
  out.append(second);
  return markup(std::move(out));
}

Text strip_tags(const Text& text) {
  const Text plain = remove_between(remove_between(text, "<!--", "-->"), "<", ">");
  Text out;
  for (const Text& word : split_whitespace(plain, -1)) {
    if (!out.empty()) out.append(" ");
    out.append(word);
  }
  return unescape_html(out);
}

}  // namespace cadre::chat
