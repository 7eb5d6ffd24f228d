#include "runtime/json_print.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <cmath>

#include "runtime/plain_text.h"

namespace cadre::runtime {
namespace {

class Printer {
 public:
  explicit Printer(bool pretty) : pretty_(pretty) {}

  void print(const boost::json::value& value) {
    switch (value.kind()) {
      case boost::json::kind::null:
        text_ += "null";
        break;
      case boost::json::kind::bool_:
        text_ += value.get_bool() ? "true" : "false";
        break;
      case boost::json::kind::int64:
        text_ += std::to_string(value.get_int64());
        break;
      case boost::json::kind::uint64:
        text_ += std::to_string(value.get_uint64());
        break;
      case boost::json::kind::double_:
        print_double(value.get_double());
        break;
      case boost::json::kind::string:
        print_string(value.get_string());
        break;
      case boost::json::kind::array:
        print_sequence('[', ']', value.get_array(), [this](const boost::json::value& item) { print(item); });
        break;
      case boost::json::kind::object:
        print_sequence('{', '}', value.get_object(), [this](const boost::json::key_value_pair& item) {
          print_string(item.key());
          text_ += pretty_ ? ": " : ":";
          print(item.value());
        });
        break;
    }
  }

  std::string take() { return std::move(text_); }

 private:
  // Boost.JSON writes bytes as they come and then refuses to read them.
  void print_string(boost::json::string_view text) {
    text_ += boost::json::serialize(boost::json::string_view(valid_utf8({text.data(), text.size()})));
  }

  void print_double(double number) {
    if (!std::isfinite(number)) {
      text_ += "null";
      return;
    }
    char digits[32];
    const std::string_view shortest(digits, std::to_chars(digits, digits + sizeof digits, number).ptr - digits);
    text_ += shortest;
    if (shortest.find_first_of(".e") == std::string_view::npos) text_ += ".0";
  }

  template <typename Sequence, typename PrintItem>
  void print_sequence(char open, char close, const Sequence& sequence, PrintItem print_item) {
    text_ += open;
    ++depth_;
    bool first = true;
    for (const auto& item : sequence) {
      if (!first) text_ += ',';
      first = false;
      new_line();
      print_item(item);
    }
    --depth_;
    if (!first) new_line();
    text_ += close;
  }

  void new_line() {
    if (pretty_) text_.append("\n").append(2 * depth_, ' ');
  }

  bool pretty_;
  std::size_t depth_ = 0;
  std::string text_;
};

std::string print(const boost::json::value& value, bool pretty) {
  Printer printer(pretty);
  printer.print(value);
  return printer.take();
}

}  // namespace

std::string json_line(const boost::json::value& value) {
  return print(value, false);
}
std::string json_pretty(const boost::json::value& value) {
  return print(value, true);
}

}  // namespace cadre::runtime
