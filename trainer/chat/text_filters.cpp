// Filters from a text to a text.
#include <algorithm>

#include "runtime/error.h"
#include "trainer/chat/filter_call.h"
#include "trainer/chat/format.h"
#include "trainer/chat/markup.h"
#include "trainer/chat/operators.h"
#include "trainer/chat/text_functions.h"
#include "trainer/chat/value_text.h"

namespace cadre::chat {
namespace {

using runtime::say;

void no_arguments(const FilterCall& call) {
  Bound(call.what(), call.arguments, {});
}

Value upper(const FilterCall& call) {
  no_arguments(call);
  return Value::string(change_case(to_text(call.operand), Case::kUpper));
}

Value lower(const FilterCall& call) {
  no_arguments(call);
  return Value::string(change_case(to_text(call.operand), Case::kLower));
}

Value capitalize_filter(const FilterCall& call) {
  no_arguments(call);
  return Value::string(capitalize(to_text(call.operand)));
}

Value title(const FilterCall& call) {
  no_arguments(call);
  return Value::string(jinja_title(to_text(call.operand)));
}

Value string(const FilterCall& call) {
  no_arguments(call);
  return call.operand.is_string() ? call.operand : Value::string(to_text(call.operand));
}

Value safe(const FilterCall& call) {
  no_arguments(call);
  return markup(to_text(call.operand));
}

Value escape(const FilterCall& call) {
  no_arguments(call);
  if (call.operand.is_string() && call.operand.as<StringObject>().escaped && call.name != "forceescape")
    return call.operand;
  return markup(escape_html(to_text(call.operand)));
}

Value striptags(const FilterCall& call) {
  no_arguments(call);
  return Value::string(strip_tags(to_text(call.operand)));
}

Value trim(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"chars"});
  const Text text = to_text(call.operand);
  if (bound.is_none(0)) return Value::string(strip(text, nullptr, Side::kBoth));
  const std::string_view characters = bound.string(0).as_bytes();
  return Value::string(strip(text, &characters, Side::kBoth));
}

Value replace_filter(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"old", "new", "count"}, 2);
  const Integer limit = bound.is_none(2) ? -1 : bound.integer_or(2, -1);
  return Value::string(replace(to_text(call.operand), to_text(bound.value(0)), to_text(bound.value(1)),
                               static_cast<std::int64_t>(std::clamp<Integer>(limit, -1, 1LL << 40))));
}

Value center(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"width"});
  const auto width = static_cast<std::uint64_t>(std::clamp<Integer>(bound.integer_or(0, 80), 0, 1LL << 40));
  return Value::string(pad(to_text(call.operand), width, " ", Side::kBoth));
}

Value format_filter(const FilterCall& call) {
  const Arguments& arguments = call.arguments;
  if (!arguments.positional.empty() && !arguments.keywords.empty()) {
    throw Failure("the filter 'format' takes positional or keyword arguments, not both");
  }
  Value values = Value::tuple(arguments.positional);
  if (!arguments.keywords.empty()) {
    const auto dict = make_dict();
    for (const Keyword& keyword : arguments.keywords) dict->set(Value::string(keyword.name), keyword.value);
    values = {Kind::kDict, dict};
  }
  return Value::string(percent_format(Value::string(to_text(call.operand)), values));
}

Value indent(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"width", "first", "blank"});
  if (call.operand.is_undefined()) fail_undefined(call.operand);
  if (!call.operand.is_string())
    throw Failure(say("the filter 'indent' expects a string, found ", type_name(call.operand)));
  Text indention;
  if (bound.has(0) && bound.value(0).is_string()) {
    indention = bound.value(0).as_text();
  } else {
    const Integer width = std::clamp<Integer>(bound.integer_or(0, 4), 0, 1LL << 40);
    Budget::allocate(static_cast<std::uint64_t>(width));
    indention = Text(std::string(static_cast<std::size_t>(width), ' '));
  }
  Text with_end = call.operand.as_text();
  with_end.append("\n");
  const std::vector<Text> lines = split_lines(with_end, false);
  Text out;
  if (bound.truth_or(1, false)) out.append(indention);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) {
      out.append("\n");
      if (bound.truth_or(2, false) || !lines[i].empty()) out.append(indention);
    }
    out.append(lines[i]);
    if (out.size() > Budget::kMaxText) Budget::allocate(out.size());
  }
  return Value::string(std::move(out));
}

Value truncate(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"length", "killwords", "end", "leeway"});
  const Integer length = bound.integer_or(0, 255);
  const Value end = bound.value_or(2, Value::string("..."));
  const Integer leeway = bound.is_none(3) ? 5 : bound.integer_or(3, 5);
  if (!end.is_string() || !call.operand.is_string()) throw Failure("the filter 'truncate' expects strings");
  const auto end_length = static_cast<Integer>(length_of(end));
  if (length < end_length) throw Failure(say("the filter 'truncate' expects a length of at least ", length_of(end)));
  if (leeway < 0) throw Failure("the filter 'truncate' expects a leeway of at least 0");
  if (static_cast<Integer>(length_of(call.operand)) <= length + leeway) return call.operand;
  Value cut =
      slice(call.operand, {.start = Value::none(), .stop = Value::integer(length - end_length), .step = Value::none()});
  if (!bound.truth_or(1, false)) cut = Value::string(split(cut.as_text(), " ", 1, true)[0]);
  return concatenate(cut, end);
}

bool is_unreserved(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '-' || c == '~';
}

Text quote_url(const Text& text, bool for_query) {
  Budget::allocate(3 * text.size());
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  Text out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text.bytes()[i]);
    if (is_unreserved(c) || (c == '/' && !for_query)) {
      out.append(text, i, i + 1);
    } else if (c == ' ' && for_query) {
      out.append("+", text.origin_at(i));
    } else {
      const char escaped[] = {'%', kDigits[c >> 4], kDigits[c & 15]};
      out.append(std::string_view(escaped, 3), text.origin_at(i));
    }
  }
  return out;
}

Value urlencode(const FilterCall& call) {
  no_arguments(call);
  if (call.operand.is_string() || !is_iterable(call.operand))
    return Value::string(quote_url(to_text(call.operand), false));
  Text out;
  const auto add = [&out](const Value& key, const Value& value) {
    if (!out.empty()) out.append("&");
    out.append(quote_url(to_text(key), true));
    out.append("=");
    out.append(quote_url(to_text(value), true));
    Budget::allocate(out.size());
  };
  if (call.operand.is(Kind::kDict)) {
    for (const auto& [key, value] : call.operand.as<DictObject>().entries) add(key, value);
  } else {
    for (const Value& pair : iterate(call.operand)) {
      const std::vector<Value> parts = iterate(pair);
      if (parts.size() != 2) throw Failure("the filter 'urlencode' expects pairs");
      add(parts[0], parts[1]);
    }
  }
  return Value::string(std::move(out));
}

Value xmlattr(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"autospace"});
  if (!call.operand.is(Kind::kDict)) throw Failure("the filter 'xmlattr' expects a dict");
  Text out;
  for (const auto& [key, value] : call.operand.as<DictObject>().entries) {
    if (value.is_none() || value.is_undefined()) continue;
    if (!key.is_string() || key.as_bytes().find_first_of(" \t\n\r\f\v/>=") != std::string_view::npos) {
      throw Failure("invalid character in an attribute name");
    }
    if (!out.empty() || bound.truth_or(0, true)) out.append(" ");
    out.append(escape_html(key.as_text()));
    out.append("=\"");
    const bool escaped = value.is_string() && value.as<StringObject>().escaped;
    out.append(escaped ? value.as_text() : escape_html(to_text(value)));
    out.append("\"");
    Budget::allocate(out.size());
  }
  return Value::string(std::move(out));
}

Value wordcount(const FilterCall& call) {
  no_arguments(call);
  const Text text = to_text(call.operand);
  Budget::work(text.size() * 4);
  Integer words = 0;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = decode_at(text.view(), at);
    const bool word = c == '_' || is_alphanumeric(c);
    words += word && !inside ? 1 : 0;
    inside = word;
  }
  return Value::integer(words);
}

Value tojson(const FilterCall& call) {
  const Bound bound(call.what(), call.arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonOptions options;
  options.ensure_ascii = bound.truth_or(0, false);
  options.sort_keys = bound.truth_or(3, false);
  if (!bound.is_none(1)) {
    if (bound.value(1).is_string()) {
      options.indent = std::string(bound.value(1).as_bytes());
    } else {
      const Integer width = std::clamp<Integer>(bound.integer_or(1, 0), 0, 1000);
      options.indent = std::string(static_cast<std::size_t>(width), ' ');
    }
    options.item_separator = ",";
  }
  if (!bound.is_none(2)) {
    const std::vector<Value> separators = iterate(bound.value(2));
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string()) {
      throw Failure("the filter 'tojson' expects two strings as separators");
    }
    options.item_separator = separators[0].as_bytes();
    options.key_separator = separators[1].as_bytes();
  }
  return Value::string(to_json(call.operand, options));
}

}  // namespace

const FilterTable& text_filters() {
  static const FilterTable kTable = {{"upper", upper},
                                     {"lower", lower},
                                     {"capitalize", capitalize_filter},
                                     {"title", title},
                                     {"string", string},
                                     {"safe", safe},
                                     {"e", escape},
                                     {"escape", escape},
                                     {"forceescape", escape},
                                     {"striptags", striptags},
                                     {"trim", trim},
                                     {"replace", replace_filter},
                                     {"center", center},
                                     {"format", format_filter},
                                     {"indent", indent},
                                     {"truncate", truncate},
                                     {"urlencode", urlencode},
                                     {"xmlattr", xmlattr},
                                     {"wordcount", wordcount},
                                     {"tojson", tojson}};
  return kTable;
}

}  // namespace cadre::chat
