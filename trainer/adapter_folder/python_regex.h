// Regular expressions as Python's `re` reads them, on PCRE2 with bounded effort: adapter configurations hold such.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace cadre::adapter_folder {

class PythonRegex {
 public:
  // UserError: "where: …" for what does not compile, or what PCRE2 knows and Python does not.
  PythonRegex(const std::string& pattern, const std::string& where);
  ~PythonRegex();
  PythonRegex(PythonRegex&&) noexcept;
  PythonRegex& operator=(PythonRegex&&) noexcept;

  // re.fullmatch. UserError where the effort passes its bound; so does the other.
  bool matches_all(std::string_view text) const;
  // re.match: where it matches from the beginning on, the text of the first group, empty where that took no part.
  std::optional<std::string> first_group_at_start(std::string_view text) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cadre::adapter_folder
