// The methods of Python's str.
#include <algorithm>
#include <array>
#include <map>

#include "runtime/error.h"
#include "trainer/chat/arguments.h"
#include "trainer/chat/format.h"
#include "trainer/chat/functions.h"
#include "trainer/chat/text_functions.h"
#include "trainer/chat/value_text.h"

namespace cadre::chat {
namespace {

using runtime::say;

struct Call {
  Evaluator& evaluator;
  const Value& self;
  const std::string& name;
  const Arguments& arguments;

  const Text& text() const { return self.as_text(); }
  void no_arguments() const { Bound(name + "()", arguments, {}); }
};

Value strings(const std::vector<Text>& parts) {
  Budget::allocate(parts.size() * sizeof(Value));
  std::vector<Value> out;
  out.reserve(parts.size());
  for (const Text& part : parts) out.push_back(Value::string(part));
  return Value::list(std::move(out));
}

Value strip_method(const Call& call) {
  const Bound bound(call.name + "()", call.arguments, {"chars"});
  const Side side = call.name == "strip" ? Side::kBoth : call.name == "lstrip" ? Side::kLeft : Side::kRight;
  if (bound.is_none(0)) return Value::string(strip(call.text(), nullptr, side));
  const std::string_view characters = bound.string(0).as_bytes();
  return Value::string(strip(call.text(), &characters, side));
}

Value split_method(const Call& call) {
  const Bound bound(call.name + "()", call.arguments, {"sep", "maxsplit"});
  const auto limit = static_cast<std::int64_t>(std::clamp<Integer>(bound.integer_or(1, -1), -1, 1LL << 40));
  const bool from_right = call.name == "rsplit";
  if (bound.is_none(0)) return strings(split_whitespace(call.text(), limit, from_right));
  if (bound.string(0).as_text().empty()) throw Failure("empty separator");
  return strings(split(call.text(), bound.string(0).as_bytes(), limit, from_right));
}

Value partition_method(const Call& call) {
  const Bound bound(call.name + "()", call.arguments, {"sep"}, 1);
  const Text& separator = bound.string(0).as_text();
  if (separator.empty()) throw Failure("empty separator");
  const bool from_right = call.name == "rpartition";
  const Text& text = call.text();
  Budget::work(text.size());
  const std::size_t at = from_right ? text.view().rfind(separator.view()) : text.view().find(separator.view());
  if (at == std::string_view::npos) {
    const Value empty = Value::string(""), whole = Value::string(text);
    return from_right ? Value::tuple({empty, empty, whole}) : Value::tuple({whole, empty, empty});
  }
  return Value::tuple({Value::string(text.slice(0, at)), Value::string(separator),
                       Value::string(text.slice(at + separator.size(), text.size()))});
}

// Bytes of characters [start, stop) as arguments 1 and 2 give them; false where start is past the end.
bool window(const Call& call, const Bound& bound, std::size_t& begin, std::size_t& end) {
  const auto length = static_cast<Integer>(length_of(call.self));
  const auto place = [&](std::size_t i, Integer fallback) {
    Integer at = bound.is_none(i) ? fallback : bound.integer_or(i, fallback);
    if (at < 0) at = std::max<Integer>(0, at + length);
    return at;
  };
  const Integer from = place(1, 0), to = std::min(place(2, length), length);
  if (from > length || from > to) return false;
  const std::string_view bytes = call.text().view();
  Budget::work(bytes.size() / 2);
  const auto offset = [&](Integer characters) {
    if (call.self.as<StringObject>().ascii) return static_cast<std::size_t>(characters);
    std::size_t at = 0;
    for (Integer i = 0; i < characters; ++i) decode_at(bytes, at);
    return at;
  };
  begin = offset(from);
  end = offset(to);
  return true;
}

Value affix_method(const Call& call) {
  const Bound bound(call.name + "()", call.arguments, {"prefix", "start", "end"}, 1);
  std::size_t begin = 0, end = 0;
  const bool in_range = window(call, bound, begin, end);
  const auto matches = [&](const Value& affix) {
    if (!affix.is_string()) {
      if (affix.is_undefined()) fail_undefined(affix);
      throw Failure(say(call.name, " first arg must be str or a tuple of str, not ", type_name(affix)));
    }
    if (!in_range) return false;
    const std::string_view part = call.text().view().substr(begin, end - begin);
    return call.name == "startswith" ? part.starts_with(affix.as_bytes()) : part.ends_with(affix.as_bytes());
  };
  if (!bound.value(0).is(Kind::kTuple)) return Value::boolean(matches(bound.value(0)));
  const std::vector<Value>& items = bound.value(0).items();
  return Value::boolean(std::any_of(items.begin(), items.end(), matches));
}

Value find_method(const Call& call) {
  const Bound bound(call.name + "()", call.arguments, {"sub", "start", "end"}, 1);
  const std::string_view what = bound.string(0).as_bytes();
  std::size_t begin = 0, end = 0;
  std::size_t at = std::string_view::npos;
  const bool from_right = call.name[0] == 'r';
  if (window(call, bound, begin, end)) {
    const std::string_view part = call.text().view().substr(begin, end - begin);
    Budget::work(part.size());
    if (call.name == "count") return Value::integer(static_cast<Integer>(count_occurrences(part, what)));
    at = from_right ? part.rfind(what) : part.find(what);
  } else if (call.name == "count") {
    return Value::integer(0);
  }
  if (at == std::string_view::npos) {
    if (call.name.ends_with("index")) throw Failure("substring not found");
    return Value::integer(-1);
  }
  return Value::integer(static_cast<Integer>(count_characters(call.text().view().substr(0, begin + at))));
}

Value replace_method(const Call& call) {
  const Bound bound(call.name + "()", call.arguments, {"old", "new", "count"}, 2);
  const auto limit = static_cast<std::int64_t>(std::clamp<Integer>(bound.integer_or(2, -1), -1, 1LL << 40));
  return Value::string(replace(call.text(), bound.string(0).as_text(), bound.string(1).as_text(), limit));
}

Value join_method(const Call& call) {
  const Bound bound(call.name + "()", call.arguments, {"iterable"}, 1);
  Text out;
  std::size_t i = 0;
  for (const Value& item : iterate(bound.value(0))) {
    if (!item.is_string())
      throw Failure(say("sequence item ", i, ": expected str instance, ", type_name(item), " found"));
    if (i++ > 0) out.append(call.text());
    out.append(item.as_text());
    if (out.size() > Budget::kMaxText) Budget::allocate(out.size());
  }
  return Value::string(std::move(out));
}

Value pad_method(const Call& call) {
  const Bound bound(call.name + "()", call.arguments, {"width", "fillchar"}, 1);
  const auto width = static_cast<std::uint64_t>(std::clamp<Integer>(bound.integer_or(0, 0), 0, 1LL << 40));
  const std::string fill = bound.has(1) ? std::string(bound.string(1).as_bytes()) : " ";
  if (count_characters(fill) != 1) throw Failure("the fill character must be exactly one character long");
  const Side side = call.name == "ljust" ? Side::kLeft : call.name == "rjust" ? Side::kRight : Side::kBoth;
  return Value::string(pad(call.text(), width, fill, side));
}

Value zfill_method(const Call& call) {
  const Bound bound("zfill()", call.arguments, {"width"}, 1);
  const auto width = static_cast<std::uint64_t>(std::clamp<Integer>(bound.integer_or(0, 0), 0, 1LL << 40));
  const Text& text = call.text();
  const bool sign = !text.empty() && (text.bytes()[0] == '-' || text.bytes()[0] == '+');
  Text out = text.slice(0, sign ? 1 : 0);
  out.append(pad(text.slice(sign ? 1 : 0, text.size()), width - (sign && width > 0 ? 1 : 0), "0", Side::kRight));
  return Value::string(std::move(out));
}

Value case_method(const Call& call) {
  call.no_arguments();
  if (call.name == "upper") return Value::string(change_case(call.text(), Case::kUpper));
  if (call.name == "lower") return Value::string(change_case(call.text(), Case::kLower));
  if (call.name == "casefold") return Value::string(change_case(call.text(), Case::kFold));
  if (call.name == "title") return Value::string(python_title(call.text()));
  if (call.name == "capitalize") return Value::string(capitalize(call.text()));
  return Value::string(swap_case(call.text()));
}

Value class_method(const Call& call) {
  call.no_arguments();
  const std::string_view bytes = call.text().view();
  Budget::work(bytes.size() * 4);
  const auto all = [&](const auto& accepts) {
    for (std::size_t at = 0; at < bytes.size();) {
      if (!accepts(decode_at(bytes, at))) return false;
    }
    return !bytes.empty();
  };
  const auto all_in = [&](CharacterClass c) { return Value::boolean(all([c](char32_t x) { return is_in(c, x); })); };
  if (call.name == "isspace") return all_in(CharacterClass::kSpace);
  if (call.name == "isalpha") return all_in(CharacterClass::kAlpha);
  if (call.name == "isdigit") return all_in(CharacterClass::kDigit);
  if (call.name == "isdecimal") return all_in(CharacterClass::kDecimal);
  if (call.name == "isnumeric") return all_in(CharacterClass::kNumeric);
  if (call.name == "isalnum") return Value::boolean(all(is_alphanumeric));
  if (call.name == "isascii") return Value::boolean(is_ascii(bytes));
  if (call.name == "isprintable") {
    return Value::boolean(bytes.empty() || all([](char32_t c) { return is_in(CharacterClass::kPrintable, c); }));
  }
  if (call.name == "isidentifier") {
    return Value::boolean(all([](char32_t c) { return c == '_' || is_alphanumeric(c); }) &&
                          !(bytes[0] >= '0' && bytes[0] <= '9'));
  }
  bool cased = false, wrong = false, inside = false;
  for (std::size_t at = 0; at < bytes.size();) {
    const char32_t c = decode_at(bytes, at);
    const bool upper = is_in(CharacterClass::kUpper, c), lower = is_in(CharacterClass::kLower, c);
    const bool title = is_in(CharacterClass::kTitle, c);
    cased = cased || (call.name == "isupper" ? upper : call.name == "islower" ? lower : upper || lower || title);
    if (call.name == "isupper")
      wrong = wrong || lower || title;
    else if (call.name == "islower")
      wrong = wrong || upper || title;
    else
      wrong = wrong || (inside ? upper || title : lower);
    inside = upper || lower || title;
  }
  return Value::boolean(cased && !wrong);
}

Value remove_affix_method(const Call& call) {
  const Bound bound(call.name + "()", call.arguments, {"affix"}, 1);
  const std::string_view affix = bound.string(0).as_bytes(), bytes = call.text().view();
  if (call.name == "removeprefix") {
    return Value::string(bytes.starts_with(affix) ? call.text().slice(affix.size(), bytes.size()) : call.text());
  }
  return Value::string(bytes.ends_with(affix) ? call.text().slice(0, bytes.size() - affix.size()) : call.text());
}

Value expand_tabs_method(const Call& call) {
  const Bound bound("expandtabs()", call.arguments, {"tabsize"});
  const auto tab = static_cast<std::uint64_t>(std::clamp<Integer>(bound.integer_or(0, 8), 0, 1LL << 20));
  const std::string_view bytes = call.text().view();
  Text out;
  std::uint64_t column = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t begin = at;
    const char32_t c = decode_at(bytes, at);
    if (c != '\t') {
      out.append(call.text(), begin, at);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    } else if (tab > 0) {
      const std::uint64_t n = tab - column % tab;
      Budget::allocate(n);
      out.append(std::string(n, ' '), call.text().origin_at(begin));
      column += n;
    }
    if (out.size() > Budget::kMaxText) Budget::allocate(out.size());
  }
  return Value::string(std::move(out));
}

Value lines_method(const Call& call) {
  const Bound bound("splitlines()", call.arguments, {"keepends"});
  return strings(split_lines(call.text(), bound.truth_or(0, false)));
}

Value format_method(const Call& call) {
  if (call.name == "format") return Value::string(brace_format(call.evaluator, call.self, call.arguments));
  const Bound bound("format_map()", call.arguments, {"mapping"}, 1);
  if (!bound.value(0).is(Kind::kDict)) throw Failure("format_map() expects a dict");
  Arguments named;
  for (const auto& [key, value] : bound.value(0).as<DictObject>().entries) {
    if (key.is_string()) named.keywords.push_back({.name = std::string(key.as_bytes()), .value = value});
  }
  return Value::string(brace_format(call.evaluator, call.self, named));
}

using Method = Value (*)(const Call&);

const std::map<std::string_view, Method>& methods() {
  static const std::map<std::string_view, Method> kMethods = {{"strip", strip_method},
                                                              {"lstrip", strip_method},
                                                              {"rstrip", strip_method},
                                                              {"split", split_method},
                                                              {"rsplit", split_method},
                                                              {"partition", partition_method},
                                                              {"rpartition", partition_method},
                                                              {"startswith", affix_method},
                                                              {"endswith", affix_method},
                                                              {"find", find_method},
                                                              {"rfind", find_method},
                                                              {"index", find_method},
                                                              {"rindex", find_method},
                                                              {"count", find_method},
                                                              {"replace", replace_method},
                                                              {"join", join_method},
                                                              {"center", pad_method},
                                                              {"ljust", pad_method},
                                                              {"rjust", pad_method},
                                                              {"zfill", zfill_method},
                                                              {"upper", case_method},
                                                              {"lower", case_method},
                                                              {"casefold", case_method},
                                                              {"title", case_method},
                                                              {"capitalize", case_method},
                                                              {"swapcase", case_method},
                                                              {"isspace", class_method},
                                                              {"isalpha", class_method},
                                                              {"isdigit", class_method},
                                                              {"isdecimal", class_method},
                                                              {"isnumeric", class_method},
                                                              {"isalnum", class_method},
                                                              {"isascii", class_method},
                                                              {"isprintable", class_method},
                                                              {"isidentifier", class_method},
                                                              {"isupper", class_method},
                                                              {"islower", class_method},
                                                              {"istitle", class_method},
                                                              {"removeprefix", remove_affix_method},
                                                              {"removesuffix", remove_affix_method},
                                                              {"expandtabs", expand_tabs_method},
                                                              {"splitlines", lines_method},
                                                              {"format", format_method},
                                                              {"format_map", format_method}};
  return kMethods;
}

}  // namespace

bool has_string_method(std::string_view name) {
  return methods().contains(name);
}

Value call_string_method(Evaluator& evaluator, const MethodObject& method, const Arguments& arguments) {
  if (method.self.as<StringObject>().escaped) {
    throw Failure(say("method '", method.name, "' of an escaped string is not implemented"));
  }
  return methods().at(method.name)({evaluator, method.self, method.name, arguments});
}

}  // namespace cadre::chat
