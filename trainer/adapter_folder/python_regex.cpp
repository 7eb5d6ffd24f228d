#include "trainer/adapter_folder/python_regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <utility>

#include "runtime/error.h"
#include "runtime/quote.h"

namespace cadre::adapter_folder {
namespace {

using runtime::in_quotes;
using runtime::say;

constexpr std::size_t kMaxPatternBytes = 64 << 10;
constexpr std::uint32_t kMaxNesting = 100;
constexpr std::uint32_t kMaxSteps = 100'000;

// What PCRE2 takes and Python refuses; empty where there is nothing of the kind. Classes are passed over.
std::string beyond_python(std::string_view pattern) {
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char letter = pattern[i];
    const std::string_view rest = pattern.substr(i);
    if (letter == '\\') {
      if (++i == pattern.size()) return "it ends in a backslash";
      const bool is_letter = (pattern[i] >= 'a' && pattern[i] <= 'z') || (pattern[i] >= 'A' && pattern[i] <= 'Z');
      if (is_letter && std::string_view("AbBdDsSwWZafnrtvx").find(pattern[i]) == std::string_view::npos) {
        return "Python has no \\" + std::string(1, pattern[i]);
      }
    } else if (in_class) {
      if (rest.starts_with("[:") || rest.starts_with("[.") || rest.starts_with("[=")) {
        return "Python has no classes such as [:alpha:]";
      }
      in_class = letter != ']';
    } else if (letter == '[') {
      in_class = true;
      // A bracket that stands first in a class is a member of it.
      if (pattern.substr(i + 1).starts_with('^')) ++i;
      if (pattern.substr(i + 1).starts_with(']')) ++i;
    } else if (rest.starts_with("(*")) {
      return "Python has no (*…)";
    } else if (rest.starts_with("(?")) {
      const std::string_view kind = rest.substr(2);
      bool known = false;
      for (const char* start : {":", "P<", "P=", "=", "!", "<=", "<!", "#", ">", "(", "i", "m", "s", "x", "-"}) {
        known = known || kind.starts_with(start);
      }
      if (!known) return "Python has no " + std::string(rest.substr(0, 3));
    }
  }
  return "";
}

template <auto Free>
struct FreeWith {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};

}  // namespace

struct PythonRegex::State {
  std::string pattern, where;
  std::unique_ptr<pcre2_code, FreeWith<pcre2_code_free>> code;
  std::unique_ptr<pcre2_match_data, FreeWith<pcre2_match_data_free>> data;
  std::unique_ptr<pcre2_match_context, FreeWith<pcre2_match_context_free>> limits;

  bool match(std::string_view text, std::uint32_t options) const {
    const int found = pcre2_match(code.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0,
                                  options | PCRE2_ANCHORED, data.get(), limits.get());
    if (found >= 0) return true;
    if (found == PCRE2_ERROR_NOMATCH) return false;
    throw runtime::UserError(say(where, ": the regular expression ", in_quotes(pattern), " takes too long on ",
                                 in_quotes(text), "; simplify it"));
  }
};

PythonRegex::PythonRegex(const std::string& pattern, const std::string& where) : state_(std::make_unique<State>()) {
  const auto fail = [&](const auto&... why) {
    throw runtime::UserError(say(where, ": ", in_quotes(pattern), " is not a regular expression: ", why...));
  };
  if (pattern.size() > kMaxPatternBytes)
    fail("it has ", pattern.size(), " bytes, at most ", kMaxPatternBytes, " are read");
  if (const std::string why = beyond_python(pattern); !why.empty()) fail(why);
  const std::unique_ptr<pcre2_compile_context, FreeWith<pcre2_compile_context_free>> context(
      pcre2_compile_context_create(nullptr));
  pcre2_set_parens_nest_limit(context.get(), kMaxNesting);
  int error = 0;
  PCRE2_SIZE offset = 0;
  state_->pattern = pattern;
  state_->where = where;
  state_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF, &error,
                                   &offset, context.get()));
  if (state_->code == nullptr) {
    PCRE2_UCHAR text[200] = {};
    pcre2_get_error_message(error, text, sizeof text);
    fail(reinterpret_cast<const char*>(text), " (at byte ", offset, ")");
  }
  state_->data.reset(pcre2_match_data_create_from_pattern(state_->code.get(), nullptr));
  state_->limits.reset(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(state_->limits.get(), kMaxSteps);
  pcre2_set_depth_limit(state_->limits.get(), 10'000);
  pcre2_set_heap_limit(state_->limits.get(), 20'000);  // KiB
}

PythonRegex::~PythonRegex() = default;
PythonRegex::PythonRegex(PythonRegex&&) noexcept = default;
PythonRegex& PythonRegex::operator=(PythonRegex&&) noexcept = default;

bool PythonRegex::matches_all(std::string_view text) const {
  return state_->match(text, PCRE2_ENDANCHORED);
}

std::optional<std::string> PythonRegex::first_group_at_start(std::string_view text) const {
  if (!state_->match(text, 0)) return std::nullopt;
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(state_->data.get());
  if (pcre2_get_ovector_count(state_->data.get()) < 2 || ends[2] == PCRE2_UNSET) return "";
  return std::string(text.substr(ends[2], ends[3] - ends[2]));
}

}  // namespace cadre::adapter_folder
