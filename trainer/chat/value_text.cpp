#include "trainer/chat/value_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "runtime/error.h"
#include "trainer/chat/characters.h"
#include "trainer/chat/loop.h"

namespace cadre::chat {
namespace {

void put_hex(std::string& out, std::uint32_t value, int digits) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) out.push_back(kDigits[value >> shift & 15U]);
}

void check(const Text& out) {
  if (out.size() > Budget::kMaxText) Budget::allocate(out.size());
}

void repr_into(Text& out, const Value& value);

void repr_items(Text& out, const std::vector<Value>& items, std::int32_t origin) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.append(", ", {.message = origin});
    repr_into(out, items[i]);
  }
}

void repr_entries(Text& out, const DictObject& dict) {
  const Origin origin{.message = dict.origin};
  out.append("{", origin);
  for (std::size_t i = 0; i < dict.entries.size(); ++i) {
    if (i > 0) out.append(", ", origin);
    repr_into(out, dict.entries[i].first);
    out.append(": ", origin);
    repr_into(out, dict.entries[i].second);
  }
  out.append("}", origin);
}

void repr_into(Text& out, const Value& value) {
  Budget::work(4);
  check(out);
  const Origin origin{.message = value.origin()};
  switch (value.kind()) {
    case Kind::kUndefined:
      out.append("Undefined");
      return;
    case Kind::kNone:
      out.append("None", origin);
      return;
    case Kind::kBoolean:
      out.append(value.as_boolean() ? "True" : "False", origin);
      return;
    case Kind::kInteger:
      out.append(integer_text(value.as_integer()), origin);
      return;
    case Kind::kFloat:
      out.append(float_text(value.as_float()), origin);
      return;
    case Kind::kString:
      out.append(quoted(value.as_text()));
      return;
    case Kind::kList: {
      const auto& list = value.as<ListObject>();
      out.append("[", {.message = list.origin});
      repr_items(out, list.items, list.origin);
      out.append("]", {.message = list.origin});
      return;
    }
    case Kind::kTuple:
      out.append("(");
      repr_items(out, value.items(), -1);
      out.append(value.items().size() == 1 ? ",)" : ")");
      return;
    case Kind::kDict:
      repr_entries(out, value.as<DictObject>());
      return;
    case Kind::kRange: {
      const auto& range = value.as<RangeObject>();
      out.append("range(" + integer_text(range.start) + ", " + integer_text(range.stop));
      if (range.step != 1) out.append(", " + integer_text(range.step));
      out.append(")");
      return;
    }
    case Kind::kView: {
      const std::vector<Value> items = iterate(value);
      out.append(type_name(value) + "([");
      repr_items(out, items, -1);
      out.append("])");
      return;
    }
    case Kind::kNamespace: {
      // A namespace may hold itself, so its nesting is no bound for this recursion.
      static thread_local int nested = 0;
      struct Guard {
        Guard() { ++nested; }
        ~Guard() { --nested; }
      } guard;
      if (nested > 20) throw Failure("printing a namespace that holds itself");
      out.append("<Namespace ");
      repr_entries(out, *value.as<NamespaceObject>().attributes);
      out.append(">");
      return;
    }
    case Kind::kLoop: {
      auto& loop = value.as<LoopObject>();
      out.append(runtime::say("<LoopContext ", loop.index0 + 1, "/", loop.length(), ">"));
      return;
    }
    case Kind::kMacro:
    case Kind::kIterator:
    case Kind::kMethod:
    case Kind::kFunction:
    case Kind::kCycler:
    case Kind::kJoiner:
      throw Failure(runtime::say("printing a ", type_name(value), " is not implemented: the text would not be stable"));
  }
}

class JsonWriter {
 public:
  JsonWriter(Text& out, const JsonOptions& options) : out_(out), options_(options) {}

  void write(const Value& value, int level) {
    Budget::work(4);
    check(out_);
    const Origin origin{.message = value.origin()};
    switch (value.kind()) {
      case Kind::kNone:
        out_.append("null", origin);
        return;
      case Kind::kBoolean:
        out_.append(value.as_boolean() ? "true" : "false", origin);
        return;
      case Kind::kInteger:
        out_.append(integer_text(value.as_integer()), origin);
        return;
      case Kind::kFloat:
        out_.append(json_float(value.as_float()), origin);
        return;
      case Kind::kString:
        write_string(value.as_text());
        return;
      case Kind::kList:
      case Kind::kTuple: {
        const auto& list = value.as<ListObject>();
        const Origin brackets{.message = list.origin};
        write_sequence("[", "]", list.items.size(), brackets, level,
                       [&](std::size_t i) { write(list.items[i], level + 1); });
        return;
      }
      case Kind::kDict:
        write_dict(value.as<DictObject>(), level);
        return;
      default:
        throw Failure(runtime::say("Object of type ", type_name(value), " is not JSON serializable"));
    }
  }

 private:
  template <typename WriteItem>
  void write_sequence(std::string_view open, std::string_view close, std::size_t n, Origin origin, int level,
                      const WriteItem& write_item) {
    out_.append(open, origin);
    for (std::size_t i = 0; i < n; ++i) {
      if (i > 0) out_.append(options_.item_separator, origin);
      new_line(level + 1, origin);
      write_item(i);
    }
    if (n > 0) new_line(level, origin);
    out_.append(close, origin);
  }

  void write_dict(const DictObject& dict, int level) {
    std::vector<const std::pair<Value, Value>*> entries;
    Budget::allocate(dict.entries.size() * sizeof(void*));
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (options_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(),
                       [](const auto* a, const auto* b) { return less(a->first, b->first); });
    }
    const Origin origin{.message = dict.origin};
    write_sequence("{", "}", entries.size(), origin, level, [&](std::size_t i) {
      write_key(entries[i]->first);
      out_.append(options_.key_separator, origin);
      write(entries[i]->second, level + 1);
    });
  }

  void write_key(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
        write_string(key.as_text());
        return;
      case Kind::kNone:
        out_.append("\"null\"");
        return;
      case Kind::kBoolean:
        out_.append(key.as_boolean() ? "\"true\"" : "\"false\"");
        return;
      case Kind::kInteger:
        out_.append("\"" + integer_text(key.as_integer()) + "\"");
        return;
      case Kind::kFloat:
        out_.append("\"" + json_float(key.as_float()) + "\"");
        return;
      default:
        throw Failure(runtime::say("keys must be str, int, float, bool or None, not ", type_name(key)));
    }
  }

  void write_string(const Text& text) {
    Budget::allocate(text.size() / 2);
    out_.append("\"", text.origin_at(0));
    std::size_t plain = 0;  // start of what needs no escape
    const std::string_view bytes = text.view();
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t begin = at;
      const auto byte = static_cast<unsigned char>(bytes[at]);
      if (byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\') {
        ++at;
        continue;
      }
      const char32_t c = decode_at(bytes, at);
      if (c >= 0x7F && !options_.ensure_ascii) continue;
      out_.append(text, plain, begin);
      out_.append(escape(c), text.tracked() ? text.origin_at(begin) : Origin{});
      plain = at;
    }
    out_.append(text, plain, bytes.size());
    out_.append("\"", text.empty() ? Origin{} : text.origin_at(text.size() - 1));
    check(out_);
  }

  static std::string escape(char32_t c) {
    switch (c) {
      case '"':
        return "\\\"";
      case '\\':
        return "\\\\";
      case '\n':
        return "\\n";
      case '\r':
        return "\\r";
      case '\t':
        return "\\t";
      case '\b':
        return "\\b";
      case '\f':
        return "\\f";
      default:
        break;
    }
    std::string out = "\\u";
    if (c < 0x10000) {
      put_hex(out, c, 4);
      return out;
    }
    put_hex(out, 0xD800U + ((c - 0x10000U) >> 10), 4);
    out += "\\u";
    put_hex(out, 0xDC00U + ((c - 0x10000U) & 0x3FFU), 4);
    return out;
  }

  static std::string json_float(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return float_text(value);
  }

  void new_line(int level, Origin origin) {
    if (!options_.indent) return;
    Budget::allocate(1 + options_.indent->size() * static_cast<std::size_t>(level));
    std::string line = "\n";
    for (int i = 0; i < level; ++i) line += *options_.indent;
    out_.append(line, origin);
    check(out_);
  }

  Text& out_;
  const JsonOptions& options_;
};

}  // namespace

std::string integer_text(Integer value) {
  __extension__ typedef unsigned __int128 Unsigned;
  std::array<char, 48> digits{};
  std::size_t at = digits.size();
  Unsigned rest = value < 0 ? Unsigned{0} - static_cast<Unsigned>(value) : static_cast<Unsigned>(value);
  do {
    digits[--at] = static_cast<char>('0' + static_cast<int>(rest % 10));
    rest /= 10;
  } while (rest != 0);
  if (value < 0) digits[--at] = '-';
  return {digits.data() + at, digits.size() - at};
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 40> buffer{};
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific).ptr;
  const std::string_view shortest(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
  const std::size_t e = shortest.find('e');
  int exponent = 0;
  const std::size_t digits_at = shortest[e + 1] == '+' ? e + 2 : e + 1;
  std::from_chars(shortest.data() + digits_at, shortest.data() + shortest.size(), exponent);
  std::string digits, sign;
  for (const char c : shortest.substr(0, e)) {
    if (c == '-')
      sign = "-";
    else if (c != '.')
      digits += c;
  }
  if (exponent < -4 || exponent >= 16) {
    std::string out = sign + digits.substr(0, 1);
    if (digits.size() > 1) out += "." + digits.substr(1);
    const std::string magnitude = std::to_string(exponent < 0 ? -exponent : exponent);
    return out + (exponent < 0 ? "e-" : "e+") + (magnitude.size() < 2 ? "0" : "") + magnitude;
  }
  if (exponent < 0) return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return sign + digits + std::string(whole - digits.size(), '0') + ".0";
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

Text quoted(const Text& text) {
  const std::string_view bytes = text.view();
  Budget::allocate(bytes.size() + 2);
  const bool has_single = bytes.find('\'') != std::string_view::npos;
  const char quote = has_single && bytes.find('"') == std::string_view::npos ? '"' : '\'';
  Text out;
  out.append(std::string_view(&quote, 1), text.origin_at(0));
  std::size_t plain = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t begin = at;
    const char32_t c = decode_at(bytes, at);
    std::string escape;
    if (c == static_cast<char32_t>(quote) || c == '\\')
      escape = std::string("\\") + static_cast<char>(c);
    else if (c == '\n')
      escape = "\\n";
    else if (c == '\r')
      escape = "\\r";
    else if (c == '\t')
      escape = "\\t";
    else if (c >= 0x20 && c < 0x7F)
      continue;
    else if (c >= 0x80 && is_in(CharacterClass::kPrintable, c))
      continue;
    else {
      escape = c < 0x100 ? "\\x" : c < 0x10000 ? "\\u" : "\\U";
      put_hex(escape, c, c < 0x100 ? 2 : c < 0x10000 ? 4 : 8);
    }
    out.append(text, plain, begin);
    out.append(escape, text.tracked() ? text.origin_at(begin) : Origin{});
    plain = at;
  }
  out.append(text, plain, bytes.size());
  out.append(std::string_view(&quote, 1), text.empty() ? Origin{} : text.origin_at(text.size() - 1));
  return out;
}

Text to_text(const Value& value) {
  if (value.is_string()) return value.as_text();
  if (value.is_undefined()) return {};
  return to_repr(value);
}

Text to_repr(const Value& value) {
  Text out;
  repr_into(out, value);
  Budget::allocate(out.size());
  return out;
}

Text to_json(const Value& value, const JsonOptions& options) {
  Text out;
  JsonWriter(out, options).write(value, 0);
  Budget::allocate(out.size());
  return out;
}

}  // namespace cadre::chat
